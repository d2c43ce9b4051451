# SPDX-License-Identifier: Apache-2.0
#
# awk -f man.awk TABLES ottla.1.in: TABLES is man.def after the preprocessor.  Lines of the page that are orders:
#	@verbs GROUP	the verbs of a group: synopsis, what they do, options, examples
#	@rules		the rules of log/rules.def
#	@synopsis	one line for each verb
# Anything else stays as it is.

FNR == NR { text = text " " $0; next }
FNR == 1 { read_rows() }
/^@verbs / { verbs($2); next }
/^@rules/ { rules(); next }
/^@synopsis/ { synopsis(); next }
{ print }
END { if (nrows < 40) { print "man.awk: the tables are empty" >"/dev/stderr"; exit 1 } }

function read_rows(	rows, n, i, j, k, parts, row) {
	n = split(text, rows, /@R /)
	for (i = 2; i <= n; i++) {
		row = rows[i]
		sub(/ *@E.*/, "", row)
		k = split(row, parts, / *@F */)
		for (j = 1; j <= k; j++)
			field[i - 1, j - 1] = unquote(parts[j])
	}
	nrows = n - 1
}

# The insides of string literals, joined, \n a newline; a bare word stays.
function unquote(s,	out, i, c, inside) {
	gsub(/^ +| +$/, "", s)
	if (s !~ /^"/)
		return s
	for (i = 1; i <= length(s); i++) {
		c = substr(s, i, 1)
		if (c == "\"")
			inside = !inside
		else if (inside && c == "\\") {
			c = substr(s, ++i, 1)
			out = out (c == "n" ? "\n" : c)
		} else if (inside)
			out = out c
	}
	return out
}

function roff(s) {
	gsub(/\\/, "\\e", s)
	gsub(/-/, "\\-", s)
	return s
}

# Filled text: a sentence begins a line, lines stay short, none begins with a dot or a quote.
function say(s,	words, n, i, line) {
	gsub(/\n/, " ", s)
	gsub(/`/, "", s)
	n = split(roff(s), words, / +/)
	for (i = 1; i <= n; i++) {
		if (words[i] == "")
			continue
		if (words[i] ~ /^[.']/)
			words[i] = "\\&" words[i]
		if (line != "" && (length(line) + length(words[i]) > 76 || (line ~ /[.?!:]$/ && words[i] ~ /^[A-Z]/))) {
			print line
			line = ""
		}
		line = line (line == "" ? "" : " ") words[i]
	}
	if (line != "")
		print line
}

# A file's name keeps its letters.
function capital(s) {
	if (s ~ /^[a-z-]+[.-][a-z]/)
		return s
	return toupper(substr(s, 1, 1)) substr(s, 2)
}

function synopsis(	i) {
	for (i = 1; i <= nrows; i++)
		if (field[i, 0] == "verb") {
			print ".Nm"
			print ".Cm " field[i, 1] " " field[i, 2]
			print ".Op Ar options"
			print ".Ar " field[i, 3]
		}
}

function options_of(names,	i) {
	print ".Bl -tag -width Ds"
	for (i = 1; i <= nrows; i++)
		if (field[i, 0] == "option" && (field[i, 1] == "help" || index(" " names " ", " " field[i, 1] " ") > 0)) {
			print ".It Fl \\-" roff(field[i, 1]) (field[i, 2] == "NULL" || field[i, 2] == "((void *)0)" ? "" : " Ar " field[i, 2])
			say(capital(field[i, 3]) ".")
		}
	print ".El"
}

function verbs(group,	i) {
	for (i = 1; i <= nrows; i++) {
		if (field[i, 0] != "verb" || field[i, 1] != group)
			continue
		print ".Ss ottla " field[i, 1] " " field[i, 2]
		say(capital(field[i, 4]) ".")
		print ".Pp"
		say(field[i, 6])
		options_of(field[i, 5])
		print ".Pp"
		print "Examples:"
		print ".Bd -literal"
		sub(/\n$/, "", field[i, 7])
		print roff(field[i, 7])
		print ".Ed"
	}
}

function rules(	i) {
	print ".Bl -tag -width XXX"
	for (i = 1; i <= nrows; i++)
		if (field[i, 0] == "rule") {
			print ".It \\&" field[i, 1]
			say(capital(field[i, 2]) ".")
			say("Repair: " field[i, 3] ".")
		}
	print ".El"
}
