/* SPDX-License-Identifier: Apache-2.0
 *
 * config/config_int.h - shared by the files of this directory only.
 */
#ifndef CONFIG_CONFIG_INT_H
#define CONFIG_CONFIG_INT_H

#include "config/broker.h"
#include "config/topic.h"

/* ---- value.c: one value, Java's rules.  `field` points at a field of the key's C type. ---- */
/* Parses and checks.  A NULL text gives null.  On failure the field is null/0 and eb says what is wrong, without the value. */
bool	 config_value_parse(const struct config_key *, const char *text, void *field, bool *is_null, struct errbuf *);
void	 config_value_fini(const struct config_key *, void *field);
char	*config_value_format(const struct config_key *, const void *field);	/* as Java prints it; NULL for a NULL text */
bool	 config_value_test(const struct config_key *, const char *text, struct errbuf *);	/* parse and throw away */
bool	 config_double_parse(struct slice, double *);				/* Double.parseDouble, without blanks around */
char	*config_double_text(double);						/* Double.toString */
char	*config_trim(const char *);						/* String.trim(), fresh */
struct config_list config_list_split(const char *text, bool drop_empty);	/* at commas, blanks around them dropped; one free()able block */
void	 config_list_fini(struct config_list *);
char	*config_list_text(const struct config_list *);				/* joined by commas */
/* "a whole number of at least 1": what would have been right. */
void	 config_valid_words(const struct config_key *, struct strbuf *);
bool	 config_version_known(const char *);					/* a Kafka version, "3.9" or "3.9-IV0" */

/* ---- what hangs on a struct config ---- */
struct config_internal {
	_Atomic unsigned   refs;
	char		  *file;		/* for messages */
	struct config_map  fixed;		/* file and overrides, with node.id and broker.id made equal */
	struct config_map  by_default;		/* dynamic, cluster default; only what is allowed there */
	struct config_map  by_broker;		/* dynamic, this broker */
	struct config_map  merged;		/* the three on top of each other: Java's "originals" */
	bool		  *nulls;		/* by index in config_broker_keys */
};

struct topic_config_internal {
	_Atomic unsigned   refs;
};

/* ---- build.c: maps to value ---- */
struct config *config_build(const char *file, const struct config_map *fixed, const struct config_map *by_default,
    const struct config_map *by_broker, struct config_report *);
void	 config_overlay(struct config_map *, const struct config_map *over);	/* Java's overrideProps: synonyms of what is set go away */
/* "FILE:LINE: key = value" or "FILE: key" for one that nobody set; what a message begins with. */
void	 config_place(const char *file, const struct config_map *, const char *name, struct strbuf *);

/* ---- cross.c: rules that involve several settings (KafkaConfig.validateValues); also fills the derived fields ---- */
void	 config_derive(struct config *, struct config_report *);

/* ---- providers.c ---- */
void	 config_resolve(struct config_map *, const struct config_input *, struct config_report *);	/* ${provider:path:key} */

/* ---- secrets.c ---- */
bool	 config_is_secret(const char *name);
bool	 config_secret_open(const struct config *, const char *encoded, char **clear, struct errbuf *);

/* ---- dynamic.c ---- */
/* What stands in ZooKeeper, made fit for use: entries that may not be there or are wrong go (an error each, `path` in front), passwords are decoded. */
void	 config_drop_bad(const struct config *, struct config_map *, bool per_broker, const char *path, struct config_report *);

/* ---- screen.c: which keys make sense at all: unknown, not built, without effect ---- */
void	 config_screen(const struct config *, struct config_report *);

static inline void *
config_field(const void *base, const struct config_key *key)
{
	return ((char *)(uintptr_t)base + key->offset);
}

/* The value of a key for a listener: listener.name.X.key, else the key itself; NULL = unset. */
const char *config_listener_text(const struct config *, const char *listener, const char *key);

#endif
