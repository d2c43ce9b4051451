#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The manual pages render: mandoc and groff, the two that people have, find nothing to say about them.
pages="src/broker/ottlad.8 src/config/server.properties.5 src/tools/ottla.1"
src=${srcdir:-.} bad=0 ran=0

complain() {
	[ -z "$2" ] || { printf '%s: %s\n' "$1" "$2"; bad=1; }
}

for page in $pages; do
	file=$page
	[ -f "$file" ] || file=$src/$page
	[ -f "$file" ] || { echo "$page: was not made"; bad=1; continue; }
	if command -v mandoc >/dev/null 2>&1; then
		ran=1
		complain mandoc "$(mandoc -T lint "$file" 2>&1 | grep -v 'outdated mandoc.db\|referenced manual not found')"
	fi
	if command -v groff >/dev/null 2>&1; then
		ran=1
		complain "groff $page" "$(groff -ww -mandoc -Tascii -z "$file" 2>&1)"
		LC_ALL=C groff -mandoc -Tascii -P-cbou "$file" | grep -q "^NAME" || { echo "$page: groff prints no NAME"; bad=1; }
	fi
done
[ "$ran$bad" != 00 ] || { echo "neither mandoc nor groff is here"; exit 77; }
exit $bad
