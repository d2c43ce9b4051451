# SPDX-License-Identifier: Apache-2.0
#
# awk -f layers.awk src/LAYERS src/*/*.[ch] zk/*.[ch]: an include may name a file of its own directory or of a strictly lower row.
# Headers called foo_int.h are private to their directory, and every include of ours carries its directory.
FNR == NR { if ($1 ~ /^[0-9]+$/) for (i = 2; i <= NF; i++) rank[$i] = $1; next }
FNR == 1 {
	split(FILENAME, p, "/")
	me = (p[1] == "src") ? p[2] : p[1]
	if (!(me in rank)) {
		print FILENAME ": " me "/ has no row in src/LAYERS"
		bad = 1
	}
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
	split($0, s, "\"")
	n = split(s[2], q, "/")
	you = q[1]
	if (n != 2) {
		print FILENAME ":" FNR ": \"" s[2] "\": write the directory, \"" me "/" q[n] "\""
		bad = 1
	} else if (you != me && (!(you in rank) || rank[you] + 0 >= rank[me] + 0 || q[2] ~ /_int\.h$/)) {
		print FILENAME ":" FNR ": " me "/ must not include " you "/" q[2]
		bad = 1
	}
}
END { exit bad }
