# TSINK_ARG_DEV: --enable-dev, --enable-dev=thread, --enable-werror.
#
# A dev build has warnings as errors, a sanitizer, DASSERT and sync points (TSINK_DEV).
# Sets tsink_dev (no, address, thread) and the default CFLAGS, so it comes before
# AC_PROG_CC.
AC_DEFUN([TSINK_ARG_DEV], [
AC_ARG_ENABLE([dev],
    [AS_HELP_STRING([--enable-dev@<:@=thread@:>@],
        [warnings are errors, ASan and UBSan (or TSan), assertions of the dear kind])],
    [], [enable_dev=no])
AS_CASE([$enable_dev],
    [no], [tsink_dev=no tsink_dev_words="release"],
    [yes|address], [tsink_dev=address tsink_dev_words="dev, address and undefined sanitizers"],
    [thread], [tsink_dev=thread tsink_dev_words="dev, thread sanitizer"],
    [AC_MSG_ERROR([--enable-dev takes address or thread, not "$enable_dev"])])
AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [warnings are errors (implied by --enable-dev)])],
    [], [enable_werror=no])
AS_IF([test "$tsink_dev" != no], [enable_werror=yes])
AS_IF([test "$tsink_dev" = no],
    [: ${CFLAGS="-O2 -g"} ${CXXFLAGS="-O2 -g"}],
    [: ${CFLAGS="-O1 -g"} ${CXXFLAGS="-O1 -g"}])
])
