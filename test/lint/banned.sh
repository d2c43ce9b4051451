#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The world is reached through the seams: test/lint/banned.awk has the list.
. "${srcdir:-.}/test/lint/files.sh"
# shellcheck disable=SC2046
exec awk -f test/lint/banned.awk $(c_files src zk test)
