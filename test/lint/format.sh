#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Blanks and indentation as clang-format sets them; line ends and columns are ours (test/lint/format.py says how the two meet).
. "${srcdir:-.}/test/lint/files.sh"
: "${CLANG_FORMAT:=clang-format}"
command -v "$CLANG_FORMAT" >/dev/null 2>&1 || { echo "clang-format is not installed: skipped"; exit 77; }
command -v python3 >/dev/null 2>&1 || { echo "python3 is not installed: skipped"; exit 77; }
# shellcheck disable=SC2046 # names without blanks
exec python3 test/lint/format.py "$CLANG_FORMAT" $(c_files src zk test)
