# TSINK_CC_FLAGS(VARIABLE, FLAGS): appends each of the flags that the C compiler takes.
AC_DEFUN([TSINK_CC_FLAGS], [
for tsink_flag in $2; do
    AC_MSG_CHECKING([whether $CC takes $tsink_flag])
    tsink_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $tsink_flag"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
        [AC_MSG_RESULT([yes])
         $1="$$1 $tsink_flag"],
        [AC_MSG_RESULT([no])])
    CFLAGS=$tsink_save_CFLAGS
done
])

# TSINK_LD_FLAGS(VARIABLE, FLAGS): the same for the linker.
AC_DEFUN([TSINK_LD_FLAGS], [
for tsink_flag in $2; do
    AC_MSG_CHECKING([whether linking takes $tsink_flag])
    tsink_save_LDFLAGS=$LDFLAGS
    LDFLAGS="$LDFLAGS $tsink_flag"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
        [AC_MSG_RESULT([yes])
         $1="$$1 $tsink_flag"],
        [AC_MSG_RESULT([no])])
    LDFLAGS=$tsink_save_LDFLAGS
done
])

# TSINK_FLAGS: what every object is compiled with. Needs TSINK_ARG_DEV.
#
#   TSINK_CFLAGS       warnings for C, mode, hardening or sanitizers
#   TSINK_CXXFLAGS     the same for the one C++ file
#   CONVERSION_CFLAGS  for base, codec, storage: a silent narrowing is data loss there
#   TSINK_LDFLAGS      hardening or sanitizers of the linker
AC_DEFUN([TSINK_FLAGS], [
TSINK_CFLAGS="-std=gnu11"
TSINK_CXXFLAGS="-std=c++17 -fno-exceptions -fno-rtti"
CONVERSION_CFLAGS=
TSINK_LDFLAGS=
tsink_mode=
tsink_warn=

TSINK_CC_FLAGS([tsink_warn], [-Wall -Wextra -Wshadow -Wwrite-strings -Wvla])
# A function that fails returns err_set(...), of which gcc cannot know that it is never
# ST_OK, so it sees "maybe uninitialised" results behind every TRY(). -Wuninitialized
# stays. snprintf() into a text of fixed size is meant to truncate.
TSINK_CC_FLAGS([tsink_warn], [-Wno-maybe-uninitialized -Wno-format-truncation])
TSINK_CC_FLAGS([TSINK_CFLAGS], [-Wstrict-prototypes -Wmissing-prototypes])
TSINK_CC_FLAGS([CONVERSION_CFLAGS], [-Wconversion -Wno-sign-conversion])
AS_IF([test "$enable_werror" = yes], [tsink_warn="$tsink_warn -Werror"])

AS_CASE([$tsink_dev],
    [no], [
        TSINK_CC_FLAGS([tsink_mode], [-D_FORTIFY_SOURCE=2 -fstack-protector-strong dnl
-fstack-clash-protection -fcf-protection])
        TSINK_LD_FLAGS([TSINK_LDFLAGS], [-pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack])],
    [address], [tsink_san="-fsanitize=address,undefined -fno-sanitize-recover=undefined"],
    [thread], [tsink_san="-fsanitize=thread"])
AS_IF([test "$tsink_dev" != no], [
    # TSan does not model fences, of which gcc warns: where one is used, the code says
    # why it is enough.
    TSINK_CC_FLAGS([tsink_warn], [-Wno-tsan])
    tsink_mode="-DTSINK_DEV=1 -fno-omit-frame-pointer $tsink_san"
    TSINK_LDFLAGS="$tsink_san"
    AC_MSG_CHECKING([whether programs with $tsink_san link])
    tsink_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS $tsink_san"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [AC_MSG_RESULT([yes])],
        [AC_MSG_ERROR([the compiler's sanitizer library is missing])])
    CFLAGS=$tsink_save_CFLAGS])

TSINK_CFLAGS="$TSINK_CFLAGS $tsink_warn $tsink_mode"
TSINK_CXXFLAGS="$TSINK_CXXFLAGS $tsink_warn $tsink_mode"
AC_SUBST([TSINK_CFLAGS])
AC_SUBST([TSINK_CXXFLAGS])
AC_SUBST([CONVERSION_CFLAGS])
AC_SUBST([TSINK_LDFLAGS])
])
