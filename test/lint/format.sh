#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# How far the sources are from what clang-format would make of them.  Advice: fails only with OTTLA_LINT_FORMAT=1.
. "${srcdir:-.}/test/lint/files.sh"
: "${CLANG_FORMAT:=clang-format}"
command -v "$CLANG_FORMAT" >/dev/null 2>&1 || { echo "clang-format is not installed: skipped"; exit 77; }
total=0
differ=0
for f in $(c_files src zk test); do
	total=$((total + 1))
	"$CLANG_FORMAT" "$f" | cmp -s - "$f" && continue
	differ=$((differ + 1))
	[ -z "$OTTLA_LINT_FORMAT" ] || "$CLANG_FORMAT" "$f" | diff -u "$f" - | head -20
done
echo "clang-format would change $differ of $total files"
[ -z "$OTTLA_LINT_FORMAT" ] || [ "$differ" -eq 0 ]
