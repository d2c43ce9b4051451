/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/producer_block.c - see producer_block.h.
 *
 *	get	no node, or null data	the first block is 0 to 999; without a node it is created (a Java broker would ask for ever)
 *		a block			ours is the one behind it
 *	set	at the version read, or create
 *		OK			it is ours
 *		BAD_VERSION, NO_NODE, NODE_EXISTS	somebody else was quicker - or we were, and the answer to the first sending was lost:
 *			that cannot be told apart (our own former run writes the same bytes), so look again and take the block behind
 *
 * IF IT DIES HERE  The block written last belongs to nobody; a thousand ids of 2^63 are lost.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "zk/paths.h"
#include "zk/producer_block.h"
#include "zk/step_int.h"

struct taking {
	struct zk	*zk;
	int32_t		 broker_id;
	zk_producer_block_fn *done;
	void		*ctx;
	struct zk_producer_id_block block;	/* the one that is being written */
	struct errbuf	 eb;
};

static void look(struct taking *);

static void
end(struct taking *t, enum err e)
{
	t->done(t->ctx, e, &t->block, &t->eb);
	free(t);
}

static void
written(void *ctx, const struct zk_result *r)
{
	struct taking *t = ctx;

	switch (r->error) {
	case ZKE_OK:
		end(t, OK);
		return;
	case ZKE_BAD_VERSION:
	case ZKE_NO_NODE:
	case ZKE_NODE_EXISTS:
		look(t);
		return;
	default:
		end(t, zk_step_error(&t->eb, r, "writing"));
	}
}

/* `last`: the last id given out so far. */
static enum err
next_block(struct taking *t, const struct zk_producer_id_block *last)
{
	if (last->last < -1) {
		errbuf_set(&t->eb, "%s: a block cannot end at %" PRId64, ZK_PRODUCER_ID_BLOCK, last->last);
		return (ERR_MALFORMED);
	}
	if (last->last > INT64_MAX - ZK_PRODUCER_BLOCK_SIZE) {
		errbuf_set(&t->eb, "%s: all producer ids are used up: the last block ends at %" PRId64, ZK_PRODUCER_ID_BLOCK, last->last);
		return (ERR_LIMIT);
	}
	t->block = (struct zk_producer_id_block){ .broker_id = t->broker_id, .first = last->last + 1, .last = last->last + ZK_PRODUCER_BLOCK_SIZE,
	    .raw = last->raw };
	return (OK);
}

static enum err
write_block(struct taking *t, const struct zk_result *r)
{
	struct arena a;
	struct slice text;

	arena_init(&a, 2 * LIMIT_JUTE_MAX);
	text = zk_producer_id_block_encode(&a, &t->block);
	t->block.raw = SLICE_NULL;	/* was the answer's */
	if (text.p == NULL)
		errbuf_set(&t->eb, "%s is too large to be rewritten", ZK_PRODUCER_ID_BLOCK);
	else if (r->error == ZKE_NO_NODE)
		zk_create_recursive(t->zk, ZK_PRODUCER_ID_BLOCK, text, written, t);
	else
		zk_set(t->zk, ZK_PRODUCER_ID_BLOCK, text, r->stat.version, written, t);
	arena_fini(&a);
	return (text.p == NULL ? ERR_MALFORMED : OK);
}

static enum err
take_from(struct taking *t, const struct zk_result *r)
{
	struct zk_producer_id_block last = { .broker_id = -1, .first = -1, .last = -1 };
	enum err e = OK;

	if (r->error != ZKE_OK && r->error != ZKE_NO_NODE)
		return (zk_step_error(&t->eb, r, "reading"));
	if (r->error == ZKE_OK && r->data.p != NULL)
		e = zk_producer_id_block_decode(r->data, &last, &t->eb);
	if (e != OK) {
		errbuf_add(&t->eb, "%s", ZK_PRODUCER_ID_BLOCK);
		return (e);
	}
	e = next_block(t, &last);
	return (e == OK ? write_block(t, r) : e);
}

static void
seen(void *ctx, const struct zk_result *r)
{
	struct taking *t = ctx;
	enum err e = take_from(t, r);

	if (e != OK)
		end(t, e);
}

static void
look(struct taking *t)
{
	zk_get(t->zk, ZK_PRODUCER_ID_BLOCK, NULL, seen, t);
}

void
zk_producer_block_take(struct zk *zk, int32_t broker_id, zk_producer_block_fn *done, void *ctx)
{
	struct taking *t = xcalloc(1, sizeof(*t));

	t->zk = zk;
	t->broker_id = broker_id;
	t->done = done;
	t->ctx = ctx;
	look(t);
}
