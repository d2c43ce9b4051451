# SPDX-License-Identifier: Apache-2.0
#
# common.sh - what contrib/check and contrib/quickstart share: where things are kept, how packages get here, how the tree is built.
# Sourced, not run; plain sh.  Needs nothing that a bare Debian 12 lacks (no ps, ss or curl).
#
#	top	the source tree			work	the build directory (build-check/ in the tree, or $OTTLA_BUILD)
#	cache	downloads, kept between runs	logs	one file per step

top=$(cd "$(dirname "$0")/.." && pwd)
work=${OTTLA_BUILD:-$top/build-check}
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ottla-check
logs=$work/log
jobs=$(nproc 2>/dev/null || echo 2)
export DEBIAN_FRONTEND=noninteractive
mkdir -p "$logs" "$cache"

# What `configure` and `make` need, then what only the tests need.
build_packages="gcc libc6-dev make autoconf automake pkg-config xz-utils libzookeeper-mt-dev libisal-dev libjansson-dev libsnappy-dev
	zlib1g-dev libssl-dev libsqlite3-dev liburcu-dev uthash-dev liblz4-dev libzstd-dev libsystemd-dev"
unit_packages="libcunit1-dev python3 clang-format mandoc groff|groff-base"
fuzz_packages="clang libclang-rt-14-dev"
analysis_packages="clang-tidy cppcheck"
zookeeper_packages="java|default-jre-headless libzookeeper-java"

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
now() { date +%s; }

have_package() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# need_packages NAME... - installs what is missing of NAME; "command|package" asks for the package only when the command is not there.
# Returns 1 when they cannot be had; exits 1 with the line to type when we may not install.
need_packages() {
	missing=
	for want; do
		package=${want#*|}
		case $want in
		*"|"*) command -v "${want%%|*}" >/dev/null 2>&1 || have_package "$package" || missing="$missing $package";;
		*) have_package "$package" || missing="$missing $package";;
		esac
	done
	[ -n "$missing" ] || return 0
	as_root=
	if [ "$(id -u)" != 0 ]; then
		if ! command -v sudo >/dev/null 2>&1; then
			warn "Packages are missing and only root may install them.  As root:"
			warn "  apt-get update && apt-get install -y --no-install-recommends$missing"
			trap - EXIT		# that line is all there is to say
			exit 1
		fi
		as_root="sudo env DEBIAN_FRONTEND=noninteractive"
	fi
	say "installing:$missing"
	set -- /var/lib/apt/lists/*Packages*
	if [ ! -e "$1" ]; then
		$as_root apt-get -qq update >"$logs/apt.log" 2>&1 </dev/null || true
	fi
	apt_install || { $as_root apt-get -qq update >>"$logs/apt.log" 2>&1 </dev/null; apt_install; } || {
		warn "apt-get could not install:$missing (see $logs/apt.log)"
		return 1
	}
}

apt_install() {
	# shellcheck disable=SC2086 # the list is words
	$as_root apt-get -qq -y --no-install-recommends install $missing >>"$logs/apt.log" 2>&1 </dev/null
}

# end_tree SIGNAL PID - signals a process we started and everything that descends from it, by id.  Each is stopped until its children have the signal:
# a shell would start the next command meanwhile, and nobody would know of that one.
end_tree() {
	kill -STOP "$2" 2>/dev/null || return 0
	for stat in /proc/[0-9]*/stat; do
		line=$(cat "$stat" 2>/dev/null) || continue
		rest=${line##*) }
		parent=${rest#* }
		[ "${parent%% *}" = "$2" ] && (end_tree "$1" "${line%% *}")
	done
	kill -"$1" "$2" 2>/dev/null
	kill -CONT "$2" 2>/dev/null
}

# keyed NAME FILE... - the directory in the cache that belongs to NAME and the present content of the files.
keyed() {
	name=$1; shift
	printf '%s/%s-%s\n' "$cache" "$name" "$(cat "$@" | cksum | tr ' ' '-')"
}

# source_tree - where to configure from.  Automake refuses an out-of-tree build of a tree that is configured in place, so such a tree is
# mirrored (modification times kept: nothing is built twice).
source_tree() {
	[ -f "$top/config.status" ] || { printf '%s\n' "$top"; return; }
	mkdir -p "$work/src"
	(cd "$top" && tar -c --exclude=./.git --exclude='./build*' --exclude=./config.status --exclude=./config.h --exclude=./Makefile \
	    --exclude='*.o' --exclude='*.a' --exclude=.deps .) | tar -x -C "$work/src" --keep-newer-files 2>/dev/null
	printf '%s\n' "$work/src"
}

# configured NAME CONFIGURE-ARGUMENT... - configures $work/NAME; does nothing that is done already.
configured() {
	name=$1; shift
	src=$(source_tree)
	if [ ! -f "$src/configure" ] || [ "$src/configure.ac" -nt "$src/configure" ]; then
		(cd "$src" && autoreconf -fi) || return 1
	fi
	mkdir -p "$work/$name"
	if [ ! -f "$work/$name/config.status" ] || [ "$src/configure" -nt "$work/$name/config.status" ]; then
		(cd "$work/$name" && "$src/configure" "$@") || return 1
	fi
}

# build NAME CONFIGURE-ARGUMENT... - and builds there.
build() {
	configured "$@" || return 1
	make -C "$work/$1" -s -j"$jobs"
}
