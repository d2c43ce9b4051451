#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# conf/ottlad.service: systemd, where it is, understands every line; and what the design relies on stands in it.
src=${srcdir:-.} unit=conf/ottlad.service bad=0
[ -f "$unit" ] || { echo "$unit: was not made"; exit 1; }

grep -q '@' "$unit" && { echo "$unit: a path was not filled in"; bad=1; }
for line in Type=notify KillMode=control-group Restart=on-failure 'ExecReload=/bin/kill -HUP $MAINPID'; do
	grep -qxF "$line" "$unit" || { echo "$unit: lacks $line"; bad=1; }
done
grep -qF HUP "$src/conf/ottlad.logrotate" || { echo "conf/ottlad.logrotate: no SIGHUP"; bad=1; }
if command -v systemd-analyze >/dev/null 2>&1; then
	tmp=$(mktemp -d) || exit 99
	trap 'rm -rf "$tmp"' EXIT
	# It wants to see the programs: those of this machine.
	sed 's|^\(Exec[A-Za-z]*\)=.*/ottlad |\1=/bin/true |' "$unit" >"$tmp/ottlad.service"
	out=$(systemd-analyze verify --man=no "$tmp/ottlad.service" 2>&1) || bad=1
	out=$(printf '%s\n' "$out" | grep ottlad.service)
	[ -z "$out" ] || { echo "$out"; bad=1; }
fi
exit $bad
