/* SPDX-License-Identifier: Apache-2.0
 *
 * base/chain.h - a sequence of memory slices, file ranges and sources: what a response is made of, and what `records` is on the wire.
 *
 * A source makes its bytes while they are sent, a piece at a time, so that what is large when it is made need not stand in memory.  Its
 * length is known before: it is part of what was promised in front of it.
 *
 * Ownership  The items live in an arena (or inline); a memory item borrows its bytes, which must outlive the chain; a file item owns
 *            a reference and a source item its source, released by chain_fini.  chain_fini never frees memory items.
 */
#ifndef BASE_CHAIN_H
#define BASE_CHAIN_H

#include "base/arena.h"
#include "base/fs.h"
#include "base/slice.h"

enum chain_kind { CHAIN_MEM, CHAIN_FILE, CHAIN_SOURCE };

struct workers;

struct chain_source {
	const struct chain_source_ops *ops;
	struct workers *readers;	/* who calls make, because a disk may hang there; NULL: any worker */
};

struct chain_source_ops {
	/* The next bytes: at least one, at most `left`; valid until the next call of either.  It may block, and is called by one thread at a
	 * time, not always the same.  It cannot fail: the length is out already, so whoever promises one has an answer for every case. */
	struct slice (*make)(struct chain_source *, uint64_t left);
	void (*free)(struct chain_source *);
};

struct chain_made {
	struct chain_source *source;	/* NULL while somebody has it to call make */
	uint64_t	     left;	/* bytes to come, ready ones included */
	struct slice	     ready;
};

struct chain_item {
	struct chain_item *next;
	enum chain_kind	   kind;
	union {
		struct slice	  mem;
		struct file_range file;
		struct chain_made made;
	};
};

struct chain {
	struct chain_item *first, **last;
	uint64_t	   len;		/* bytes in all items */
	bool		   null;	/* Kafka's null records, as opposed to empty */
};

void chain_init(struct chain *);
bool chain_add_mem(struct chain *, struct arena *, struct slice);		/* false: arena full */
bool chain_add_file(struct chain *, struct arena *, struct file_range *);	/* takes the reference (moved out of *range); false: arena full, reference kept by caller */
bool chain_add_source(struct chain *, struct arena *, struct chain_source **, uint64_t len);	/* takes *source, and sets it NULL; false: arena full, kept by caller */
void chain_append(struct chain *, struct chain *from);				/* moves all items of from to the end */
void chain_fini(struct chain *);						/* drops file references and sources; the chain is empty afterwards */

#endif
