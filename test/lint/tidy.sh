#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Small orders of the house: no trailing blanks, no dead files, a README where there is code, magic numbers that differ.
. "${srcdir:-.}/test/lint/files.sh"
bad=0

fail() {
	echo "$1"
	bad=1
}

# Trailing blanks, in whatever people write by hand.
written=$(tree_files src zk test contrib conf m4 configure.ac Makefile.am HACKING README ChangeLog |
    grep -v '^test/golden/.*properties$' | grep -E '(\.(c|h|def|inc|sh|awk|py|ac|am|m4|java|properties)|README|HACKING|ChangeLog|LAYERS)$')
# shellcheck disable=SC2086
if [ -n "$written" ] && grep -nE '[[:blank:]]+$' /dev/null $written; then
	fail "trailing blanks"
fi

# Dead files: what no makefile names is neither built nor in the tarball.
find . \( -name Makefile.inc -o -name Makefile.am \) -path './*' ! -path './build*' -exec cat {} + | tr -s ' \t\\=' '\n' | LC_ALL=C sort -u >"$build_dir/lint-listed.$$"
for f in $(tree_files src zk test/unit | grep -E '\.(c|h|def)$') $(tree_files test/lint | grep -E '\.(sh|awk)$'); do
	grep -qxF "$f" "$build_dir/lint-listed.$$" || fail "$f: no Makefile.inc names it"
done

# A README for every directory with code in it, and short enough to be read.
for d in $(tree_files src zk | grep '\.c$' | sed 's|/[^/]*$||' | LC_ALL=C sort -u); do
	if [ ! -f "$d/README" ]; then
		fail "$d: has no README"
	elif [ "$(wc -l <"$d/README")" -gt 200 ]; then
		fail "$d/README: longer than 200 lines"
	elif ! grep -qxF "$d/README" "$build_dir/lint-listed.$$"; then
		fail "$d/README: no Makefile.inc names it"
	fi
done
rm -f "$build_dir/lint-listed.$$"

# A magic number names one kind of object.
# shellcheck disable=SC2046
twice=$(grep -hE '^#define[ 	]+[A-Z0-9_]+_MAGIC[ 	]+0x[0-9a-fA-F]{8}' /dev/null $(c_files src zk) | awk '{ print tolower($3) }' | sed 's/u$//' | sort | uniq -d)
[ -z "$twice" ] || fail "magic numbers used twice: $twice"

exit $bad
