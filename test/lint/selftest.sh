#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The lint finds what it is there to find: a small tree with one offence of each kind, and then without.
top=$(cd "${srcdir:-.}" && pwd)
build_dir=$(pwd)
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
trap 'exit 99' INT TERM
bad=0

mkdir -p "$tmp/src/base" "$tmp/src/log" "$tmp/zk" "$tmp/test/unit" "$tmp/test/lint"
cp "$top/src/LAYERS" "$tmp/src/"
cp "$top/.clang-format" "$tmp/"
cp "$top"/test/lint/*.awk "$top"/test/lint/*.py "$top"/test/lint/*.sh "$top/test/lint/Makefile.inc" "$tmp/test/lint/"
: >"$tmp/configure.ac"
cp "$build_dir/config.h" "$tmp/"

put() {
	printf "$2" >"$tmp/$1"
}

# run SCRIPT: what the script says about the small tree
run() {
	(cd "$tmp" && srcdir=. sh "test/lint/$1.sh" 2>&1)
}

finds() {
	out=$(run "$1") && { echo "$1 did not fail where it should say: $2"; bad=1; }
	echo "$out" | grep -qF "$2" || { echo "$1 did not say: $2; it said:"; echo "$out"; bad=1; }
}

content() {
	out=$(run "$1") || { echo "$1 complained about a clean tree:"; echo "$out"; bad=1; }
}

put src/base/README 'base\n'
put src/log/README 'log\n'
put src/base/a.h '#include <stdint.h>\nint64_t a(void);\n'
put src/log/b.c '#include "base/a.h"\n#define B_MAGIC\t0x11111111u\nint b(int (*open)(int));\n'
put src/Makefile.inc 'X = src/base/a.h src/log/b.c \\\n\tsrc/log/c.c src/log/c_int.h zk/d.c zk/session.c src/log/e.h src/base/README src/log/README zk/README\n'
for s in layers headers banned tidy; do
	content $s
done

put src/base/a.h '#include "log/e.h"\n'
put src/log/e.h 'int e(void);\n'
finds layers 'src/base/a.h:1: base/ must not include log/e.h'
put src/base/a.h '#include "a.h"\n'
finds layers 'write the directory'
put src/base/a.h '#include <stdint.h>\nint64_t a(void);\n'
put zk/README 'zk\n'
put zk/d.c '#include "log/c_int.h"\n'
finds layers 'zk/d.c:1: zk/ must not include log/c_int.h'
put zk/d.c '#include "log/e.h"\n'
content layers

put src/base/a.h 'uint32_t a(void);\n'
finds headers 'src/base/a.h: does not compile alone'
put src/base/a.h '#include <stdint.h>\nint64_t a(void);\n'

put src/log/c.c 'x = open("f");\n'
finds banned 'src/log/c.c:1: open() is banned here; use struct fs'
put src/log/c.c '/* a\n b */ y = a + (fsync (1));\n'
finds banned 'src/log/c.c:2: fsync()'
put src/log/c.c 'p = strcpy(a, b);\n'
finds banned 'use str_copy'
put src/log/c.c 'f->ops->open(x); v.open(x); reopen(x); /* open(x) */ "open(x)"; (*open)(x); // open(x)\ny = open(x); /* lint-allow: a reason */\n'
content banned
put src/log/c.c 'static int each(int (*write)(int))\n{\n\treturn (write(1));\n}\n'
content banned
put src/log/c.c 'int c;\n'
put zk/session.c 's = socket(1);\n'
content banned
put zk/d.c 's = socket(1);\n'
finds banned 'zk/d.c:1: socket()'
put zk/d.c 'int d;\n'

put src/log/c.c 'int c; \n'
finds tidy 'trailing blanks'
put src/log/c.c 'int c;\n'
put src/log/dead.c 'int dead;\n'
finds tidy 'src/log/dead.c: no Makefile.inc names it'
rm "$tmp/src/log/dead.c"
put src/log/c.c '#define C_MAGIC\t0x11111111u\n'
finds tidy 'magic numbers used twice: 0x11111111'
put src/log/c.c 'int c;\n'
rm "$tmp/zk/README"
finds tidy 'zk: has no README'
put zk/README 'zk\n'
content tidy
sed -i 's| src/base/README||' "$tmp/src/Makefile.inc"
content tidy		# a directory without code needs none
sed -i 's| src/log/README||' "$tmp/src/Makefile.inc"
finds tidy 'src/log/README: no Makefile.inc names it'

if command -v "${CLANG_FORMAT:-clang-format}" >/dev/null && command -v python3 >/dev/null; then
	put src/log/c.c 'int\tc;\t\t/* columns are ours */\nint d[] = { 1, 2,\n\t\t3 };\n'
	content format
	put src/log/c.c 'int c(int a) { return (a+1); }\n'
	finds format "src/log/c.c:1: a blank is missing before '+'"
	put src/log/c.c 'int c( int a) { return (a + 1); }\n'
	finds format "src/log/c.c:1: a blank too many before 'i'"
	put src/log/c.c 'int\nc(int a)\n{\n\ta++;\n    return (a);\n}\n'
	finds format 'src/log/c.c:5: indented by 4, not 8'
	put src/log/c.c 'int\nc(int a)\n{\n\tif (a) return (1);\n\treturn (a);\n}\n'
	finds format 'src/log/c.c:4: the statement belongs on a line of its own'
fi

mkdir -p "$tmp/src/config"
: >"$tmp/src/config/topic_synonyms.def"
put src/config/broker.def 'CFG(INT, "a.b", a_b, "1", ANY,\n    READ_ONLY, HONOURED, 0,\n    "Words.")\n'
finds settings 'a.b: HONOURED'
put src/base/f.c 'int f(struct c *c) { return (c->a_b); }\n'
content settings

mkdir -p "$tmp/src/broker"
put src/config/server.properties.5 '.Dd November 28, 2026\n.Dt S 5\n.Os\n.Sh NAME\n.Nm s\n.Nd words\n'
put src/broker/ottlad.8 '.Dd November 28, 2026\n.Dt O 8\n.Os\n.Sh NAME\n.Nm o\n.Nd words\n.Sh DESCRIPTION\n.Bl -tag\n.It x\n'
run man >/dev/null
case $? in
77)	: ;;
*)	finds man 'ottlad.8';;
esac

exit $bad
