# TSINK_WITH_JEMALLOC: --with-jemalloc (auto), for programs only: a library must not
# replace its host's allocator. Off under sanitizers, which have their own. Sets
# JEMALLOC_LIBS. Needs TSINK_ARG_DEV.
AC_DEFUN([TSINK_WITH_JEMALLOC], [
AC_ARG_WITH([jemalloc],
    [AS_HELP_STRING([--without-jemalloc], [programs use the C library's allocator])],
    [], [with_jemalloc=auto])
tsink_allocator_words="C library"
JEMALLOC_LIBS=
AS_IF([test "$tsink_dev" != no],
    [AS_IF([test "$with_jemalloc" = yes],
        [AC_MSG_ERROR([--with-jemalloc and --enable-dev exclude each other])])
     tsink_allocator_words="sanitizer"],
    [test "$with_jemalloc" != no],
    [PKG_CHECK_MODULES([JEMALLOC], [jemalloc >= 5.2],
        [tsink_allocator_words="jemalloc"],
        [AS_IF([test "$with_jemalloc" = yes],
            [AC_MSG_ERROR([jemalloc is missing; on Debian: apt-get install libjemalloc-dev])])])])
AC_SUBST([JEMALLOC_LIBS])
])
