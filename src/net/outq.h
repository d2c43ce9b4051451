/* SPDX-License-Identifier: Apache-2.0
 *
 * net/outq.h - what one connection still has to send: a queue of messages, each a chain of memory slices, file ranges and sources.
 *
 * Memory of neighbouring items, and small file ranges read beside it, leave in one sendmsg; larger ranges go by sendfile in bounded
 * windows.  A window that is not in the page cache is first read by a worker, so that a cold read never stalls the loop.  A source makes
 * its next piece on a worker too, when the one before has left: one piece per connection is in memory.  Bytes per flush are capped, so that one fast reader does not starve the others of its loop.
 *
 * Ownership  The caller owns struct out_message and the memory its chain borrows until `sent` is called: once, when its last byte was
 *            handed to the kernel or the queue is ended.  The chain's file references are the message's.
 * Threads    One loop.
 * Failure    OUTQ_ERROR is final: nothing more is sent; the owner closes the connection.  A range that ends before its length (file
 *            truncated under it) is such an error: the peer could not tell the missing bytes from others.
 */
#ifndef NET_OUTQ_H
#define NET_OUTQ_H

#include <sys/queue.h>

#include "base/chain.h"
#include "event/workers.h"
#include "net/transport.h"

struct out_message {
	TAILQ_ENTRY(out_message) link;
	struct chain	chain;
	void (*sent)(struct out_message *);	/* may free the message */
};

enum outq_result {
	OUTQ_EMPTY,		/* everything has left */
	OUTQ_BLOCKED,		/* the socket is full: flush again when writable */
	OUTQ_MORE,		/* the cap of one turn was reached: flush again next turn */
	OUTQ_FETCHING,		/* a worker reads the next window, or makes the next piece: `ready` will be called */
	OUTQ_ERROR,
};

struct outq_prefetch;		/* a job in flight; outlives the queue when it must */

struct outq_options {
	struct loop	*loop;
	struct workers	*workers;	/* NULL: never prefetch, and sources work on the loop */
	uint8_t		*scratch;	/* for small ranges; shared by the queues of one loop */
	size_t		 scratch_size;
	void (*ready)(void *ctx);	/* a prefetch ended: flush again.  Never called from inside outq_flush */
	void		*ctx;
};

struct outq {
	struct outq_options	opt;
	TAILQ_HEAD(, out_message) messages;
	uint64_t		bytes;		/* unsent bytes of all messages */
	struct outq_prefetch   *prefetch;
	struct file	       *warm_file;	/* window known to be in the page cache (identity only) */
	uint64_t		warm_pos, warm_end;
	bool			failed;
	bool			file_ended;	/* ... because a range was longer than its file */
};

void	 outq_init(struct outq *, const struct outq_options *);
void	 outq_fini(struct outq *);		/* drops everything; `sent` of each message is called */
void	 outq_rehome(struct outq *, struct loop *, uint8_t *scratch);	/* an empty one changes its loop */
void	 outq_add(struct outq *, struct out_message *);		/* chain and sent are set; chain may be empty */
/* Adds to *sent the bytes handed to the kernel; stops after about bytes_max of them. */
enum outq_result outq_flush(struct outq *, struct transport *, uint64_t bytes_max, uint64_t *sent, struct errbuf *);
static inline uint64_t outq_bytes(const struct outq *q) { return (q->bytes); }
void	 outq_check(const struct outq *);	/* asserts every invariant */

#endif
