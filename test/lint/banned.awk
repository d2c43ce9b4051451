# SPDX-License-Identifier: Apache-2.0
#
# awk -f banned.awk FILE...: calls that go past the seams, or that no C program should make.  A call is an identifier before "(" that is
# not a member (->open, .open) nor a function pointer that the file declares, (*open)(...), outside comments and strings.  A line that says "lint-allow: reason" in a comment is let through.
BEGIN {
	say("open openat creat fopen opendir", "struct fs: file_open, fs_read_file, ops->list (base/fs.h)")
	say("read pread preadv preadv2", "file_pread (base/fs.h), or the transport (net/)")
	say("write pwrite pwritev", "file_pwrite, ops->pwritev (base/fs.h), or the transport (net/)")
	say("fsync fdatasync syncfs sync", "ops->sync, sync_dir, sync_all (base/fs.h)")
	say("rename renameat unlink unlinkat mkdir rmdir truncate ftruncate", "struct fs (base/fs.h)")
	say("mmap munmap", "ops->map and map_guard (base/fs.h)")
	say("socket connect bind listen accept accept4", "net/")
	say("getaddrinfo gethostbyname", "net/")
	say("clock_gettime gettimeofday time", "struct clock (base/clock.h)")
	say("nanosleep usleep", "a timer (event/loop.h)")
	say("pthread_create", "loops and workers (event/)")
	say("fork vfork system popen", "nothing: only main and the keeper make processes")
	say("random srandom getrandom", "struct random (base/random.h)")
	split("strcpy:str_copy strcat:strbuf_add sprintf:str_format vsprintf:strbuf_vadd strtok:struct_reader gmtime:gmtime_r " \
	    "localtime:localtime_r rand:random_below srand:random_seeded_init sleep:timer_set select:watch_add", pairs, " ")
	for (i in pairs) {
		split(pairs[i], pair, ":")
		never[pair[1]] = pair[2]
	}
}

function say(names, instead,	v, n, j) {
	n = split(names, v, " ")
	for (j = 1; j <= n; j++)
		seam[v[j]] = instead
}

# The line without comments, strings and character constants.  `inside` says that a comment goes on.
function code(s,	out, c) {
	out = ""
	while (s != "") {
		if (inside) {
			c = index(s, "*/")
			if (c == 0)
				return out
			s = substr(s, c + 2)
			inside = 0
		} else if (substr(s, 1, 2) == "/*") {
			s = substr(s, 3)
			inside = 1
		} else if (substr(s, 1, 2) == "//") {
			return out
		} else if (match(s, /^"([^"\\]|\\.)*"/) || match(s, /^'([^'\\]|\\.)*'/)) {
			out = out " "
			s = substr(s, RLENGTH + 1)
		} else if (match(s, /^[^"'\/]+/)) {
			out = out substr(s, 1, RLENGTH)
			s = substr(s, RLENGTH + 1)
		} else {
			out = out substr(s, 1, 1)
			s = substr(s, 2)
		}
	}
	return out
}

function complain(name, instead) {
	print FILENAME ":" FNR ": " name "() is banned here; use " instead
	bad = 1
}

FNR == 1 {
	inside = 0
	split("", own)
	world = FILENAME ~ /^src\/(base|event|net)\// || FILENAME ~ /^zk\/(session|keeper|attach)/ || FILENAME == "src/broker/main.c" || \
	    FILENAME !~ /^(src|zk)\//
}

{
	line = code($0)
	if ($0 ~ /lint-allow: [a-z]/)
		next
	rest = line
	while (match(rest, /\(\*[a-z_0-9]+\)[ \t]*\(/)) {
		name = substr(rest, RSTART + 2)
		own[substr(name, 1, index(name, ")") - 1)] = 1
		rest = substr(rest, RSTART + RLENGTH)
	}
	while (match(line, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/)) {
		before = RSTART > 1 ? substr(line, RSTART - 1, 1) : " "
		if (RSTART > 2 && before == ">" && substr(line, RSTART - 2, 1) != "-")
			before = " "
		name = substr(line, RSTART, RLENGTH - 1)
		sub(/[ \t]+$/, "", name)
		line = substr(line, RSTART + RLENGTH)
		if (before ~ /[.>0-9]/ || name in own)
			continue
		if (name in never)
			complain(name, never[name])
		else if (!world && name in seam)
			complain(name, seam[name])
	}
}

END { exit bad }
