# SPDX-License-Identifier: Apache-2.0
"""format.py CLANG_FORMAT FILE... - what clang-format and we agree about, and no more.

clang-format decides where a blank stands and where it does not, and how deep a statement is indented.  Where a line ends, how the rest of a
statement is indented and what is aligned in columns is the author's: our tables and declarations are read in columns, which clang-format cannot
keep.  Neither changes anything but white space, so both texts are walked together, gap by gap.

	ours	clang-format's	verdict
	" "	""		a blank too many		(but no longer when it is a line's end)
	""	" "		a blank is missing
	indent	indent		must be the same when both begin a statement
	" "	newline		"if (x) y();" on one line: refused after a closing parenthesis and after else"""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

CONTROL = re.compile(r"\s*(\} )?(else )?(if|for|while|[A-Z]+_FOREACH(_SAFE)?) \(")


def gaps(text):
    """[(white space before, character, line)] of each visible character; the backslashes that continue a macro count as white space."""
    out, line = [], 1
    text = re.sub(r"\\\n", " \n", text)
    for m in re.finditer(r"(\s*)(\S)", text):
        line += m.group(1).count("\n")
        out.append((m.group(1), m.group(2), line))
    return out


def indent(gap):
    return gap[gap.rfind("\n") + 1:].expandtabs(8)


def macro_lines(text):
    """The lines inside #define, whose bodies stand as their authors folded them."""
    inside, out = False, set()
    for number, line in enumerate(text.split("\n"), 1):
        inside = inside or re.match(r"\s*#\s*define\b", line) is not None
        if inside:
            out.add(number)
        inside = inside and line.endswith("\\")
    return out


def begins_statement(a, i):
    """Does the visible character i begin a statement?  Not behind the brace of an initialiser."""
    if a[i - 1][1] in ";}":
        return True
    return a[i - 1][1] == "{" and a[i - 1][0] != "" and (a[i - 2][1] == ")" or a[i - 2][1].isalnum())


def compare(name, ours, theirs):
    a, b = gaps(ours), gaps(theirs)
    macro = macro_lines(ours)
    if [x[1] for x in a] != [x[1] for x in b]:
        return [f"{name}: clang-format changes more than white space"]
    lines = ours.split("\n")
    found = []
    for i in range(1, len(a)):
        mine, his, line = a[i][0], b[i][0], a[i][2]
        where = f"{name}:{line}"
        if line in macro:
            continue
        if his == "" and mine != "" and "\n" not in mine:
            found.append(f"{where}: a blank too many before '{a[i][1]}': {lines[line - 1].strip()}")
        elif mine == "" and his != "" and "\n" not in his:
            found.append(f"{where}: a blank is missing before '{a[i][1]}': {lines[line - 1].strip()}")
        elif "\n" in his and "\n" in mine:
            if begins_statement(a, i) and len(indent(his)) % 8 == 0 and a[i][1] not in "#/{" and indent(mine) != indent(his):
                found.append(f"{where}: indented by {len(indent(mine))}, not {len(indent(his))}: {lines[line - 1].strip()}")
        elif "\n" in his and a[i - 1][1] == ")" and a[i][1] != "{" and CONTROL.match(lines[line - 1]):
            found.append(f"{where}: the statement belongs on a line of its own: {lines[line - 1].strip()}")
    return found


def check(tool, name):
    with open(name, encoding="utf-8") as f:
        ours = f.read()
    done = subprocess.run([tool, name], capture_output=True, text=True)
    if done.returncode != 0:
        return [f"{name}: {done.stderr.strip()}"]
    return compare(name, ours, done.stdout)


def main():
    tool, names = sys.argv[1], sys.argv[2:]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [x for r in pool.map(lambda n: check(tool, n), names) for x in r]
    print("\n".join(found))
    print(f"{len(names)} files, {len(found)} complaints")
    return found != []


sys.exit(main())
