/* SPDX-License-Identifier: Apache-2.0
 *
 * base/chain.h - a sequence of memory slices and file ranges: what a response is made of, and what `records` is on the wire.
 *
 * Ownership  The items live in an arena (or inline); a memory item borrows its bytes, which must outlive the chain; a file item owns
 *            a reference, released by chain_fini.  chain_fini never frees memory items.
 */
#ifndef BASE_CHAIN_H
#define BASE_CHAIN_H

#include "base/arena.h"
#include "base/fs.h"
#include "base/slice.h"

enum chain_kind { CHAIN_MEM, CHAIN_FILE };

struct chain_item {
	struct chain_item *next;
	enum chain_kind	   kind;
	union {
		struct slice	  mem;
		struct file_range file;
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
void chain_append(struct chain *, struct chain *from);				/* moves all items of from to the end */
void chain_fini(struct chain *);						/* drops file references; the chain is empty afterwards */

#endif
