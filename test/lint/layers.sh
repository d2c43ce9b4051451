#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Includes point strictly downwards: src/LAYERS.
. "${srcdir:-.}/test/lint/files.sh"
# shellcheck disable=SC2046
exec awk -f test/lint/layers.awk src/LAYERS $(tree_files src zk | grep '\.\(c\|h\|def\)$')
