#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Every header compiles alone: who includes it need not know what else it wants.  Lists (*.def) are exempt.
. "${srcdir:-.}/test/lint/files.sh"
bad=0
for h in $(c_files src zk test/unit | grep '\.h$'); do
	# shellcheck disable=SC2086
	echo "#include \"${h#src/}\"" | ${CC:-cc} $OTTLA_LINT_CFLAGS -std=gnu11 -Wall -Wextra -Werror -Wno-missing-field-initializers \
	    -I"$build_dir" -Isrc -I. -include config.h -fsyntax-only -x c - || { echo "$h: does not compile alone"; bad=1; }
done
exit $bad
