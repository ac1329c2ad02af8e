# TSINK_CHECK_ROARING(FLOOR, DEBIAN PACKAGE): CRoaring, by pkg-config where it has a .pc
# file and by header and library where it has none (Debian 12). Sets ROARING_CFLAGS and
# ROARING_LIBS.
AC_DEFUN([TSINK_CHECK_ROARING], [
AC_ARG_VAR([ROARING_CFLAGS], [compiler flags for CRoaring, overriding the search])
AC_ARG_VAR([ROARING_LIBS], [linker flags for CRoaring, overriding the search])
AS_IF([test -z "$ROARING_LIBS"], [
    AC_MSG_CHECKING([for CRoaring by pkg-config])
    AS_IF([$PKG_CONFIG --exists "roaring >= $1" 2>/dev/null],
        [ROARING_CFLAGS=`$PKG_CONFIG --cflags roaring`
         ROARING_LIBS=`$PKG_CONFIG --libs roaring`
         AC_MSG_RESULT([yes])],
        [AC_MSG_RESULT([no])
         ROARING_LIBS=-lroaring])])
tsink_save_CPPFLAGS=$CPPFLAGS tsink_save_LIBS=$LIBS
CPPFLAGS="$CPPFLAGS $ROARING_CFLAGS" LIBS="$ROARING_LIBS $LIBS"
AC_MSG_CHECKING([whether CRoaring compiles and links])
AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <roaring/roaring.h>]],
        [[return roaring_bitmap_create() == 0;]])],
    [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no])
     AC_MSG_ERROR([CRoaring $1 or later is missing; on Debian: apt-get install $2])])
CPPFLAGS=$tsink_save_CPPFLAGS LIBS=$tsink_save_LIBS
])
