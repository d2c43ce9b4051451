#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A setting whose row says that it works (HONOURED) is read by some code: its field, or its name where texts are looked up.
. "${srcdir:-.}/test/lint/files.sh"
bad=0

# shellcheck disable=SC2046 # a list of files
cat $(tree_files src | grep '\.[ch]$') src/config/topic_synonyms.def |
    awk '{ gsub(/[^A-Za-z0-9_."]+/, "\n"); print }' | tr '"' '\n' | sed 's/.*\.\([a-z_0-9]*\)$/&\n\1/' | sort -u >"$build_dir/lint-words.$$"
awk '/^CFG\(/ { split($0, q, "\""); name = q[2]; split(q[3], f, /[, ]+/); field = f[2]; getline
	if ($0 ~ / HONOURED,/) print name, field }' src/config/broker.def |
while read -r name field; do
	grep -qxF -e "$field" -e "$name" "$build_dir/lint-words.$$" || echo "$name: HONOURED in src/config/broker.def, but no code reads it"
done >"$build_dir/lint-settings.$$"
[ ! -s "$build_dir/lint-settings.$$" ] || { cat "$build_dir/lint-settings.$$"; bad=1; }
rm -f "$build_dir/lint-words.$$" "$build_dir/lint-settings.$$"
exit $bad
