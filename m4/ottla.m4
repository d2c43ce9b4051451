# SPDX-License-Identifier: Apache-2.0

# OTTLA_REQUIRE(VAR, LIB, HEADER, FUNCTION, DEBIAN PACKAGE, [PROLOGUE])
# Sets VAR_LIBS, or stops with the one line that mends it.
AC_DEFUN([OTTLA_REQUIRE], [
    AC_CHECK_HEADER([$3], [], [AC_MSG_ERROR([$3 is needed; on Debian: apt-get install $5])], [m4_default([$6],[#include <stddef.h>])])
    ottla_save_LIBS=$LIBS
    AC_CHECK_LIB([$2], [$4], [$1_LIBS=-l$2], [AC_MSG_ERROR([lib$2 is needed; on Debian: apt-get install $5])])
    LIBS=$ottla_save_LIBS
    AC_SUBST([$1_LIBS])
])

# OTTLA_OPTIONAL(option, VAR, LIB, HEADER, FUNCTION, DEBIAN PACKAGE, WHAT)
# --with-option fails when it is missing, --without-option leaves it out, silence takes it when it is there.
AC_DEFUN([OTTLA_OPTIONAL], [
    AC_ARG_WITH([$1], [AS_HELP_STRING([--without-$1], [build without lib$3 ($7)])], [], [with_$1=auto])
    have_$1=no
    $2_LIBS=
    AS_IF([test "$with_$1" != no], [
        ottla_save_LIBS=$LIBS
        AC_CHECK_HEADER([$4], [AC_CHECK_LIB([$3], [$5], [have_$1=yes])])
        LIBS=$ottla_save_LIBS
        AS_IF([test "$have_$1" = no && test "$with_$1" = yes], [AC_MSG_ERROR([lib$3 was asked for; on Debian: apt-get install $6])])
    ])
    AS_IF([test "$have_$1" = yes], [
        $2_LIBS=-l$3
        summary_$1=" $1"
        AC_DEFINE([HAVE_$2], [1], [lib$3: $7])
    ])
    AC_SUBST([$2_LIBS])
    AM_CONDITIONAL([HAVE_$2], [test "$have_$1" = yes])
])

AC_DEFUN([AX_OTTLA_THREADS], [
    ottla_save_LIBS=$LIBS
    AC_SEARCH_LIBS([pthread_create], [pthread])
    AC_SEARCH_LIBS([exp2], [m])
    PTHREAD_LIBS=$LIBS
    LIBS=$ottla_save_LIBS
    AC_SUBST([PTHREAD_LIBS])
])
