# SPDX-License-Identifier: Apache-2.0
#
# man.awk - manual pages from the tables: awk -f man.awk TABLES PAGE.in
#
# TABLES is broker/man.def or tools/man.def after the preprocessor.  Lines of PAGE.in (mdoc) that begin with @ are orders:
#	@keys broker KIND [ottla|kafka]		the settings of impl.def's KIND, only our own or only Kafka's
#	@keys topic, @keys dynamic
#	@list option|exit|signal|limit
#	@versions
#	@verbs GROUP	the verbs of ottla's group: what they do, options, examples;  @synopsis	one line for each
#	@rules		the rules of log/rules.def
# Anything else stays as it is.  What a setting's entry says is held against the parser's own tables by test/unit/config/test_man.

FNR == NR { text = text " " $0; next }
FNR == 1 { read_rows() }
/^@keys / { keys($2, $3, $4); next }
/^@list / { list($2); next }
/^@versions/ { versions(); next }
/^@verbs / { verbs($2); next }
/^@rules/ { rules(); next }
/^@synopsis/ { synopsis(); next }
/^@/ { print FILENAME ":" FNR ": no such order: " $0 >"/dev/stderr"; failed = 1; exit 1 }
{ print }
END { if (!failed && nrows < 40) { print "man.awk: the tables are empty" >"/dev/stderr"; exit 1 } }

# ---- the tables: field[row, 0] is the table's name ----

function read_rows(	rows, n, i, j, k, parts, row) {
	n = split(text, rows, /@R /)
	for (i = 2; i <= n; i++) {
		row = rows[i]
		sub(/ *@E.*/, "", row)
		k = split(row, parts, / *@F */)
		for (j = 1; j <= k; j++)
			field[i - 1, j - 1] = unquote(parts[j])
		if (parts[1] == "impl") {
			impl_kind[parts[2]] = parts[3]
			impl_words[parts[2]] = field[i - 1, 3]
		}
		if (parts[1] == "synonym")
			topic_of[field[i - 1, 2]] = topic_of[field[i - 1, 2]] (topic_of[field[i - 1, 2]] == "" ? "" : " and ") field[i - 1, 1]
		if (parts[1] == "synonym")
			broker_of[field[i - 1, 1]] = field[i - 1, 2]
		if (parts[1] == "topic_impl")
			impl_of[field[i - 1, 1]] = parts[3]
		if (parts[1] == "broker")
			impl_of[field[i - 1, 2]] = parts[7]
		is_null[i - 1] = parts[4] == "NULL"
	}
	nrows = n - 1
}

# Words outside of quotes stay; the insides of string literals are joined, \n is a newline.
function unquote(s,	out, i, c, in_string) {
	gsub(/^ +| +$/, "", s)
	for (i = 1; i <= length(s); i++) {
		c = substr(s, i, 1)
		if (c == "\"")
			in_string = !in_string
		else if (in_string && c == "\\") {
			c = substr(s, ++i, 1)
			out = out (c == "n" ? "\n" : c)
		} else if (in_string || s !~ /^"/)
			out = out c
	}
	return out
}

# ---- roff ----

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
		if (line != "" && (length(line) + length(words[i]) > 76 || (line ~ /[.?!]$/ && words[i] ~ /^[A-Z]/))) {
			print line
			line = ""
		}
		line = line (line == "" ? "" : " ") words[i]
	}
	if (line != "")
		print line
}

# ---- settings ----

function lower_bound(type) {
	return type == "int" ? "-2147483648" : type == "short" ? "-32768" : "-9223372036854775808"
}

function upper_bound(type) {
	return type == "int" ? "2147483647" : type == "short" ? "32767" : "9223372036854775807"
}

function number_words(type, v,	w, out) {
	split(v, w, / +/)
	out = type == "double" ? "a number" : "a whole number"
	if (w[1] ~ /^range/)
		out = out " from " decimal(type, w[2]) " to " decimal(type, w[3])
	else if (w[1] != "any" || type != "double")
		out = out " from " (w[1] == "any" ? lower_bound(type) : decimal(type, w[2]))
	if (type != "double" && w[1] !~ /^range/)
		out = out " to " upper_bound(type)
	return out (w[1] ~ /minus_one/ ? ", or -1" : "")
}

function decimal(type, n) {
	return type == "double" && n !~ /\./ ? n ".0" : n
}

function valid_words(type, v,	words) {
	if (type == "boolean")
		return "true or false"
	if (type ~ /^(int|short|long|double)$/)
		return number_words(type, v)
	words = v
	sub(/^[a-z_]+ */, "", words)
	gsub(/"/, "", words)
	if (v ~ /^each_of/)
		return "a comma-separated list of " words
	if (v ~ /^one_of/)
		return "one of " words
	if (v == "version")
		return "a version of Kafka such as 3.9"
	if (v == "throttled")
		return "* or partition:broker,partition:broker,..."
	return v == "non_empty" ? "a text that is not empty" : ""
}

function mode_words(mode) {
	if (mode == "READ_ONLY")
		return "A change needs a restart."
	return mode == "PER_BROKER" ? "Can be changed while the broker runs, for one broker at a time." : \
	    "Can be changed while the broker runs, for one broker or for all."
}

function impl_sentence(impl) {
	if (impl_kind[impl] == "HARMLESS")
		return " Accepted, but without effect: " impl_words[impl] "."
	if (impl_kind[impl] == "NOT_BUILT")
		return " A value other than the default is refused: " impl_words[impl] "."
	if (impl_kind[impl] == "SILENT")
		return " Checked and kept, until the coordinators of groups and transactions are built."
	return ""
}

function entry(i,	table, type, name, def, valid, words, s) {
	table = field[i, 0]; type = tolower(field[i, 1]); name = field[i, 2]; def = field[i, 3]
	words = valid_words(type, field[i, 4])
	s = "Type " type (words == "" ? "" : ": " words) "."
	s = s (is_null[i] ? " Not set by default." : def == "" ? " Empty by default." : " Default " def ".")
	if (table != "topic")
		s = s " " mode_words(field[i, 5])
	if (table == "broker" && topic_of[name] != "")
		s = s " Topics override it with " topic_of[name] "."
	if (table == "topic" && broker_of[name] != "")
		s = s " Not set: " broker_of[name] " of the broker."
	if (table == "broker" && field[i, 7] == "INTERNAL")
		s = s " DescribeConfigs shows it only when it is set."
	print ".It Cm " name
	say(field[i, 8])
	print ".br"
	say(s impl_sentence(table != "topic" ? field[i, 6] : impl_of[broker_of[name] != "" ? broker_of[name] : name]))
}

function keys(table, kind, whose,	i, ours, n) {
	print ".Bl -tag -width Ds"
	for (i = 1; i <= nrows; i++) {
		ours = field[i, 2] ~ /^ottla\./
		if (field[i, 0] != table || (kind != "" && impl_kind[field[i, 6]] != kind) || (whose == "ottla" && !ours) || (whose == "kafka" && ours))
			continue
		entry(i)
		n++
	}
	print ".El"
	if (n == 0) {
		print "man.awk: no " kind " key of " table >"/dev/stderr"
		failed = 1
		exit 1
	}
}

# ---- the rest ----

function list(table,	i) {
	print ".Bl -tag -width Ds"
	for (i = 1; i <= nrows; i++) {
		if (field[i, 0] != table)
			continue
		if (table == "option") {
			print ".It" (field[i, 1] == "" ? "" : " Fl " roff(substr(field[i, 1], 2))) (field[i, 2] == "" ? "" : " Ar " field[i, 2])
			say(capital(field[i, 3]) ".")
		} else if (table == "limit") {
			print ".It Dv " field[i, 1] " = " field[i, 2]
			say(capital(field[i, 3]) ".")
		} else {
			print ".It " (table == "signal" ? "Dv " : "") field[i, 1]
			say(capital(field[i, 2]) ".")
		}
	}
	print ".El"
}

# A file's name keeps its letters.
function capital(s) {
	if (s ~ /^[a-z-]+[.-][a-z]/)
		return s
	return toupper(substr(s, 1, 1)) substr(s, 2)
}

function versions(	i, s) {
	for (i = 1; i <= nrows; i++)
		if (field[i, 0] == "version")
			s = s (s == "" ? "" : ", ") field[i, 1] (field[i, 2] > 0 ? " (to " field[i, 1] "-IV" field[i, 2] ")" : "")
	say(s ".")
}

# ---- ottla: verbs and rules ----

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
