/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/tools.h - what the verbs of ottla share: arguments, output, exit statuses.
 *
 * One process, one thread (ZooKeeper's library has its own), one verb.  Standard output is the answer, standard error all the rest.
 */
#ifndef TOOLS_TOOLS_H
#define TOOLS_TOOLS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/cdefs.h"
#include "base/err.h"
#include "base/str.h"
#include "log/inspect.h"

enum status {			/* the greatest one of all parts of the work is the process's */
	STATUS_CLEAN = 0,
	STATUS_FOUND = 1,	/* violations, differences */
	STATUS_USAGE = 2,
	STATUS_FAILED = 3	/* something could not be read, locked or written */
};

enum option {
#define OPTION(id, name, argument, help) OPT_##id,
#include "tools/options.def"
#undef OPTION
	OPT_COUNT_
};

struct verb;
struct arguments {
	const struct verb *verb;
	const char *value[OPT_COUNT_];	/* NULL: not given; "" for one without argument */
	const char **operands;
	unsigned noperands;
};

/* ---- options.c ---- */
typedef enum status verb_fn(const struct arguments *);
struct verb {
	const char *group, *name, *operands, *summary, *options, *text, *examples;
	verb_fn *fn;
};
/* Parses; prints help or complaint itself: *status is then what the process ends with, and false is returned. */
bool	 arguments_parse(int argc, char **argv, struct arguments *, enum status *);
void	 arguments_fini(struct arguments *);
static inline bool given(const struct arguments *a, enum option o) { return (a->value[o] != NULL); }
/* For verbs: "ottla log verify: words" on standard error, with where to read on. */
enum status usage_error(const struct arguments *, const char *fmt, ...) PRINTF_LIKE(2, 3);
enum status failure(const struct arguments *, const char *fmt, ...) PRINTF_LIKE(2, 3);	/* STATUS_FAILED */
bool	 option_i64(const struct arguments *, enum option, int64_t *);	/* leaves *v when not given; false: complained */
bool	 is_wanted(const struct arguments *, const char *name);	/* some operand is a part of it, or there are no operands */
/* The word nearest to one that is not there; candidates live as long as it is used. */
struct nearest {
	const char *word;
	unsigned within;	/* nothing as far away as this is near */
	const char *best;	/* NULL: nothing is near */
};
void	 nearest_offer(struct nearest *, const char *candidate);
bool	 option_time(const struct arguments *, enum option, int64_t *ms);

#define VERB(group, name, operands, summary, options, text, examples) verb_fn verb_##group##_##name;
#include "tools/verbs.def"
#undef VERB

static inline enum status
worse(enum status a, enum status b)
{
	return (a > b ? a : b);
}

/* ---- complete.c ---- */
void	 complete_names(const struct arguments *);	/* topics, groups, brokers that the cluster has, one a line; what fails, fails in silence */

/* ---- out.c ---- */
struct line { struct strbuf sb; };	/* one object on one line */
void	 line_begin(struct line *, const char *type);	/* {"type":"..." */
void	 line_string(struct line *, const char *key, const char *value);	/* NULL: null */
void	 line_bytes(struct line *, const char *key, struct slice);	/* text; what is no UTF-8 goes to KEY_hex */
void	 line_int(struct line *, const char *key, int64_t);
void	 line_bool(struct line *, const char *key, bool);
void	 line_raw(struct line *, const char *key, const char *json);
void	 line_end(struct line *);	/* prints */

void	 print_escaped(struct slice);	/* in quotes; what cannot be printed as \n, \t, \xNN */
void	 format_time(int64_t ms, char out[40]);	/* "2026-11-28T20:14:01.123Z", "none" for -1 */

struct table;			/* columns set under each other; numbers to the right */
struct table *table_new(const char *const *heads, unsigned n);
void	 table_cell(struct table *, const char *fmt, ...) PRINTF_LIKE(2, 3);	/* the next cell of the row */
void	 table_print(struct table **);	/* and frees; nothing when it has no row */

extern const struct log_progress *const progress;	/* NULL-safe: prints only when standard error is a terminal */
void	 progress_end(void);

/* ---- place.c: operands that are directories ---- */
enum operand_kind { OPERAND_FILE, OPERAND_PARTITION, OPERAND_LOG_DIR };
struct operand {		/* operand_fini */
	enum operand_kind kind;
	char *path;		/* absolute */
	char *place;		/* the log directory; of a partition the directory above */
};
bool	 operand_open(const struct arguments *, const char *given, struct operand *);	/* false: complained */
void	 operand_fini(struct operand *);

#endif
