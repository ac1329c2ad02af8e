# TSINK_PKG(NAME, MODULE, FLOOR, DEBIAN PACKAGE): a library that the build needs, by
# pkg-config; sets NAME_CFLAGS and NAME_LIBS. An empty floor takes any version (re2.pc
# has said 0.0.0 for years).
AC_DEFUN([TSINK_PKG], [
PKG_CHECK_MODULES([$1], m4_ifblank([$3], [[$2]], [[$2 >= $3]]), [],
    [AC_MSG_ERROR([$2 m4_ifnblank([$3], [$3 or later ])is missing; on Debian: apt-get install $4
    (sh deps/setup.sh installs everything; deps/README.md names other systems' packages)])])
])

# TSINK_PKG_TEST(NAME, MODULE, FLOOR, DEBIAN PACKAGE): a library that only the tests
# need. What is missing is gathered in tsink_tests_missing.
AC_DEFUN([TSINK_PKG_TEST], [
PKG_CHECK_MODULES([$1], [$2 >= $3], [],
    [tsink_tests_missing="$tsink_tests_missing $4"])
tsink_tests_words=${tsink_tests_missing:+"no, without$tsink_tests_missing"}
tsink_tests_words=${tsink_tests_words:-yes}
])
