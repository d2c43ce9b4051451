# SPDX-License-Identifier: Apache-2.0
#
# Read by the other scripts of test/lint: what they look at.  They run at the top of the source tree (srcdir, from `make check`).
#
# In a clone the files are git's, new ones included; in an unpacked tarball, where there is no git, they are found.

build_dir=$(pwd)
cd "${srcdir:-.}" || exit 99

in_clone() {
	[ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$(pwd -P)" ]
}

# tree_files DIR...: every file below these directories
tree_files() {
	if in_clone; then
		git ls-files -co --exclude-standard -- "$@" | while read -r f; do
			[ ! -f "$f" ] || echo "$f"
		done
	else
		find "$@" -type f ! -path '*/.deps/*' ! -name '*.o' ! -name '*.a' ! -name '*.log' ! -name '*.trs' 2>/dev/null
	fi | LC_ALL=C sort
}

c_files() {
	tree_files "$@" | grep '\.[ch]$'
}
