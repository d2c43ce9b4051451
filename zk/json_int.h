/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/json_int.h - reading and writing JSON for zk/json_*.c, on jansson.
 *
 * A decoder is sticky: the first thing that is wrong is reported, later reads give 0 or NULL.
 */
#ifndef ZK_JSON_INT_H
#define ZK_JSON_INT_H

#include <jansson.h>

#include "zk/json.h"

struct dec {
	struct arena  *arena;		/* NULL: nothing is allocated */
	struct errbuf *eb;
	const char    *what;		/* "broker registration" */
	json_t	      *root;		/* an object */
	enum err       err;
};

bool	 dec_begin(struct dec *, struct arena *, struct slice, const char *what, struct errbuf *);
enum err dec_end(struct dec *);				/* drops the JSON */
void	 dec_fail(struct dec *, const char *fmt, ...) PRINTF_LIKE(2, 3);
void	*dec_alloc(struct dec *, size_t n, size_t size);	/* zeroed; fails the decoder when the arena is full */
const char *dec_dup(struct dec *, const char *);
struct slice dec_raw(struct dec *, struct slice);

/* Values as Kafka's reader takes them: an int is a JSON integer of 32 bits, never text or 1.0. */
int32_t	 dec_int_value(struct dec *, json_t *, const char *key);
int32_t	 dec_int(struct dec *, json_t *obj, const char *key);			/* required */
int32_t	 dec_int_or(struct dec *, json_t *obj, const char *key, int32_t otherwise);	/* absent */
const char *dec_str(struct dec *, json_t *obj, const char *key);		/* required; borrowed from the JSON */
json_t	*dec_object(struct dec *, json_t *obj, const char *key, bool required);	/* NULL when absent */
json_t	*dec_array(struct dec *, json_t *obj, const char *key, bool required);
struct zk_ints dec_ints(struct dec *, json_t *array, const char *key);		/* NULL: empty */

/* A writer starts from `raw` (keeping what is unknown) or empty. */
json_t	*enc_begin(struct slice raw);
struct slice enc_end(struct arena *, json_t *);		/* steals; null slice: arena full, or a string was not UTF-8 */
void	 enc_set(json_t *obj, const char *key, json_t *value);	/* steals; a NULL value spoils obj: enc_end answers null */
json_t	*enc_ints(struct zk_ints);

#endif
