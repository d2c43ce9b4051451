/* SPDX-License-Identifier: Apache-2.0
 *
 * record/validate_int.h - shared by validate.c (batches of magic 2) and validate_legacy.c (what Produce 0 to 2 may carry).
 */
#ifndef RECORD_VALIDATE_INT_H
#define RECORD_VALIDATE_INT_H

#include "record/record.h"
#include "record/validate.h"

enum { PRODUCE_ONE_BATCH = 3 };		/* from this version on each partition carries one batch of magic 2 */

struct check {
	const struct record_rules   *rules;
	const struct record_request *request;
	struct codec_ctx	    *ctx;
	struct arena		    *arena;
	struct record_info	    *info;		/* info->header: the batch or message being looked at */
	struct record_failure	    *failure;
	size_t			     rejected;		/* records, also those past the list's limit */
	bool			     bad_timestamp, gaps;
};

enum kerr check_fail(struct check *, enum kerr, const char *detail);	/* NULL: the code's own words */
#define FAILF(c, code, ...)	check_fail((c), (code), arena_printf((c)->arena, __VA_ARGS__))

enum kerr check_bytes(struct check *, struct slice whole);		/* of info->header: offset, size, checksum, codec */
enum kerr check_batch(struct check *, struct slice whole);		/* then everything else about a batch of magic 2; fills info */
void	  check_record(struct check *, int32_t index, const struct record *); /* key and timestamp */
void	  reject_record(struct check *, int32_t index, const char *message);
enum kerr records_rejected(struct check *);				/* the verdict on those that were */
enum kerr walk_failed(struct check *, enum err, const struct errbuf *);

static inline enum codec
target_codec(const struct record_rules *rules, enum codec source)
{
	return (rules->compression == RECORD_COMPRESSION_PRODUCER ? source : (enum codec)rules->compression);
}

/* validate_legacy.c: Produce 0 to 2. */
enum kerr check_old_produce(struct check *, struct slice bytes);

#endif
