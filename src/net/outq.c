/* SPDX-License-Identifier: Apache-2.0
 *
 * net/outq.c - see outq.h for the interface.
 *
 * The queue is consumed in place: an item that left in part is cut from its front, an item that left whole is unlinked (a file item
 * drops its reference), a message without items is given back to its owner.
 *
 * INVARIANTS
 *   (1) bytes is the sum of the chains' len, and each chain's len the sum of its items'.
 *   (2) nothing is sent beside the order of the queue: one call to the transport always starts at the first byte of the first item.
 *   (3) a file is only touched on the loop when its window is warm: probed, prefetched, or there are no workers to do it.
 *   (4) small ranges are read into the loop's scratch for one sendmsg only; what did not leave is read again, so nothing is retained.
 *   (5) at most one job is in flight; when the queue ends first, the job keeps its own file reference or source and is told nothing (q = NULL).
 *   (6) a source belongs to its item or to the job that runs it; its item is the queue's first all the while.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "net/outq.h"

enum {
	IOV_MAX_ITEMS = 64,		/* slices in one sendmsg: a response has a handful, a pipelined batch of them a few dozen */
	PREFETCH_CHUNK = 131072,	/* a worker reads the window in pieces of this */
};

struct outq_prefetch {
	struct job	 job;
	struct outq	*q;		/* NULL: the queue ended */
	struct file	*file;
	uint64_t	 pos, len;
	struct chain_source *source;	/* not NULL: make its next piece instead, of at most len bytes */
	struct slice	 piece;
};

/* What one sendmsg takes. */
struct gather {
	struct iovec	iov[IOV_MAX_ITEMS];
	int		n;
	uint64_t	bytes, bytes_max;
	size_t		scratch_used;
	bool		file_follows;	/* a range for sendfile stands right behind */
};

void
outq_init(struct outq *q, const struct outq_options *opt)
{
	memset(q, 0, sizeof(*q));
	q->opt = *opt;
	TAILQ_INIT(&q->messages);
}

static void
message_done(struct outq *q, struct out_message *m)
{
	TAILQ_REMOVE(&q->messages, m, link);
	q->bytes -= m->chain.len;
	chain_fini(&m->chain);
	m->sent(m);
}

void
outq_fini(struct outq *q)
{
	struct out_message *m;

	if (q->prefetch != NULL)
		q->prefetch->q = NULL;
	q->prefetch = NULL;
	q->failed = true;
	while ((m = TAILQ_FIRST(&q->messages)) != NULL)
		message_done(q, m);
}

void
outq_rehome(struct outq *q, struct loop *l, uint8_t *scratch)
{
	must(TAILQ_EMPTY(&q->messages) && q->prefetch == NULL);
	q->opt.loop = l;
	q->opt.scratch = scratch;
}

void
outq_add(struct outq *q, struct out_message *m)
{
	must(m->sent != NULL);
	TAILQ_INSERT_TAIL(&q->messages, m, link);
	q->bytes += m->chain.len;
}

static uint64_t
item_len(const struct chain_item *it)
{
	switch (it->kind) {
	case CHAIN_MEM:
		return (it->mem.len);
	case CHAIN_FILE:
		return (it->file.len);
	default:
		return (it->made.left);
	}
}

/* ---- consuming ---- */

static void
item_cut(struct chain_item *it, uint64_t n)
{
	if (it->kind == CHAIN_MEM) {
		it->mem.p += n;
		it->mem.len -= n;
	} else if (it->kind == CHAIN_FILE) {
		it->file.pos += n;
		it->file.len -= n;
	} else {
		it->made.ready.p += n;
		it->made.ready.len -= n;
		it->made.left -= n;
	}
}

static void
chain_pop(struct outq *q, struct chain *c)
{
	struct chain_item *it = c->first;

	if (it->kind == CHAIN_FILE) {
		if (q->warm_file == it->file.file)
			q->warm_file = NULL;	/* the address may be another file's next */
		file_range_fini(&it->file);
	}
	if (it->kind == CHAIN_SOURCE)
		it->made.source->ops->free(it->made.source);
	c->first = it->next;
	if (c->first == NULL)
		c->last = &c->first;
}

/* Drops empty items and messages at the front, so that the first item (if any) has bytes. */
static struct chain_item *
front(struct outq *q)
{
	struct out_message *m;

	while ((m = TAILQ_FIRST(&q->messages)) != NULL) {
		while (m->chain.first != NULL && item_len(m->chain.first) == 0)
			chain_pop(q, &m->chain);
		if (m->chain.first != NULL)
			return (m->chain.first);
		message_done(q, m);
	}
	return (NULL);
}

static void
consume(struct outq *q, uint64_t n)
{
	while (n > 0) {
		struct chain_item *it = front(q);
		struct out_message *m = TAILQ_FIRST(&q->messages);
		uint64_t part;

		must(it != NULL);
		part = MIN(n, item_len(it));
		item_cut(it, part);
		m->chain.len -= part;
		q->bytes -= part;
		n -= part;
	}
}

/* ---- warm windows ---- */

static void
prefetch_run(struct job *job)
{
	struct outq_prefetch *p = CONTAINER_OF(job, struct outq_prefetch, job);
	void *chunk;
	uint64_t done = 0;

	if (p->source != NULL) {
		p->piece = p->source->ops->make(p->source, p->len);
		return;
	}
	chunk = xmalloc(PREFETCH_CHUNK);
	while (done < p->len) {
		size_t want = (size_t)MIN(p->len - done, (uint64_t)PREFETCH_CHUNK), got = 0;

		if (file_pread(p->file, chunk, want, p->pos + done, &got, NULL) != OK || got < want)
			break;		/* the send will meet it, and report it */
		done += got;
	}
	free(chunk);
}

/* What a source made, and the source, go back to the item, which is the first still. */
static void
piece_made(struct outq *q, struct chain_source *source, struct slice piece)
{
	struct chain_item *it = TAILQ_FIRST(&q->messages)->chain.first;

	must(it->kind == CHAIN_SOURCE && it->made.ready.len == 0 && piece.len > 0 && piece.len <= it->made.left);
	it->made.source = source;
	it->made.ready = piece;
}

static void
prefetch_done(struct job *job)
{
	struct outq_prefetch *p = CONTAINER_OF(job, struct outq_prefetch, job);
	struct outq *q = p->q;

	if (q != NULL)
		q->prefetch = NULL;
	if (p->source != NULL) {
		if (q != NULL)
			piece_made(q, p->source, p->piece);
		else
			p->source->ops->free(p->source);
	} else if (q != NULL) {
		q->warm_file = p->file;
		q->warm_pos = p->pos;
		q->warm_end = p->pos + p->len;
	}
	if (p->file != NULL)
		file_unref(&p->file);
	free(p);
	if (q != NULL)
		q->opt.ready(q->opt.ctx);
}

static void
job_start(struct outq *q, struct outq_prefetch *p)
{
	struct workers *readers = p->file != NULL ? p->file->readers : p->source->readers;

	must(q->prefetch == NULL);
	p->q = q;
	p->job.run = prefetch_run;
	p->job.done = prefetch_done;
	p->job.loop = q->opt.loop;
	q->prefetch = p;
	workers_submit(readers != NULL ? readers : q->opt.workers, &p->job);
}

static void
prefetch_start(struct outq *q, const struct file_range *r, uint64_t len)
{
	struct outq_prefetch *p = xcalloc(1, sizeof(*p));

	p->file = file_ref(r->file);
	p->pos = r->pos;
	p->len = len;
	job_start(q, p);
}

/* The first item's next piece.  OUTQ_MORE: it is there. */
static enum outq_result
piece_start(struct outq *q, struct chain_made *m)
{
	struct outq_prefetch *p;

	if (q->opt.workers == NULL) {
		piece_made(q, m->source, m->source->ops->make(m->source, m->left));
		return (OUTQ_MORE);
	}
	p = xcalloc(1, sizeof(*p));
	p->source = m->source;
	p->len = m->left;
	m->source = NULL;
	job_start(q, p);
	return (OUTQ_FETCHING);
}

/* How many bytes from the start of the range may be read without waiting for the disk; 0: not known to be. */
static uint64_t
warm_bytes(struct outq *q, const struct file_range *r)
{
	uint64_t window = MIN(r->len, (uint64_t)LIMIT_SEND_WINDOW);

	if (q->opt.workers == NULL)
		return (r->len);
	if (q->warm_file == r->file && r->pos >= q->warm_pos && r->pos < q->warm_end)
		return (MIN(r->len, q->warm_end - r->pos));
	if (!r->file->fs->ops->cached(r->file, r->pos, (size_t)window))
		return (0);
	q->warm_file = r->file;
	q->warm_pos = r->pos;
	q->warm_end = r->pos + window;
	return (window);
}

/* ---- sending ---- */

static void
gather_add(struct gather *g, const void *p, uint64_t len)
{
	len = MIN(len, g->bytes_max - g->bytes);
	g->iov[g->n].iov_base = (void *)(uintptr_t)p;
	g->iov[g->n].iov_len = (size_t)len;
	g->n++;
	g->bytes += len;
}

/* A small range goes through the scratch, if it is warm and there is room: then it is part of this sendmsg. */
static bool
gather_small(struct outq *q, struct gather *g, const struct file_range *r)
{
	uint8_t *p = q->opt.scratch + g->scratch_used;

	if (r->len > LIMIT_SMALL_RANGE_MAX || q->opt.scratch_size - g->scratch_used < r->len || warm_bytes(q, r) < r->len)
		return (false);
	if (file_pread_full(r->file, p, (size_t)r->len, r->pos, NULL) != OK)
		return (false);		/* met again at the front of the queue, where sendfile reports it */
	gather_add(g, p, r->len);
	g->scratch_used += (size_t)r->len;
	return (true);
}

static bool
gather_item(struct outq *q, struct gather *g, const struct chain_item *it)
{
	if (g->n == IOV_MAX_ITEMS || g->bytes == g->bytes_max)
		return (false);
	if (item_len(it) == 0)
		return (true);
	if (it->kind == CHAIN_MEM) {
		gather_add(g, it->mem.p, it->mem.len);
		return (true);
	}
	if (it->kind == CHAIN_SOURCE) {
		if (it->made.ready.len > 0)
			gather_add(g, it->made.ready.p, it->made.ready.len);
		return (it->made.ready.len == it->made.left);
	}
	if (gather_small(q, g, &it->file))
		return (true);
	g->file_follows = warm_bytes(q, &it->file) > 0;
	return (false);
}

static void
gather(struct outq *q, struct gather *g)
{
	const struct out_message *m;
	const struct chain_item *it;

	TAILQ_FOREACH(m, &q->messages, link)
		for (it = m->chain.first; it != NULL; it = it->next)
			if (!gather_item(q, g, it))
				return;
}

static enum outq_result
send_failed(struct outq *q, int errnum, const struct chain_item *it, struct errbuf *eb)
{
	q->failed = true;
	if (errnum != 0)
		errbuf_errno(eb, errnum, "sending");
	else {
		q->file_ended = true;
		errbuf_set(eb, "%s ends before position %" PRIu64 ", which an answer refers to", it->file.file->path, it->file.pos + it->file.len);
	}
	return (OUTQ_ERROR);
}

/* The first item is a range that does not leave with memory: one sendfile, within its warm window. */
static enum outq_result
send_range(struct outq *q, struct transport *t, struct chain_item *it, uint64_t max, uint64_t *sent, struct errbuf *eb)
{
	uint64_t len = MIN(warm_bytes(q, &it->file), max);
	enum net_io io;
	size_t n = 0;
	int errnum = 0;

	if (len == 0) {
		prefetch_start(q, &it->file, MIN(it->file.len, (uint64_t)LIMIT_SEND_WINDOW));
		return (OUTQ_FETCHING);
	}
	io = t->ops->send_file(t, it->file.file, it->file.pos, (size_t)MIN(len, (uint64_t)LIMIT_SENDFILE_MAX), &n, &errnum);
	if (io == NET_IO_ERROR)
		return (send_failed(q, errnum, it, eb));
	if (io != NET_IO_OK)
		return (OUTQ_BLOCKED);
	consume(q, n);
	*sent += n;
	return (OUTQ_MORE);
}

/* One call to the transport.  OUTQ_MORE: some bytes left. */
static enum outq_result
send_some(struct outq *q, struct transport *t, uint64_t max, uint64_t *sent, struct errbuf *eb)
{
	struct chain_item *first = front(q);
	struct gather g = { .bytes_max = max };
	enum net_io io;
	size_t n = 0;
	int errnum = 0;

	if (first == NULL)
		return (OUTQ_EMPTY);
	if (max == 0)
		return (OUTQ_MORE);
	if (first->kind == CHAIN_SOURCE && first->made.ready.len == 0)
		return (piece_start(q, &first->made));
	gather(q, &g);
	if (g.n == 0)
		return (send_range(q, t, first, max, sent, eb));
	io = t->ops->send(t, g.iov, g.n, g.file_follows && g.bytes < max, &n, &errnum);
	if (io == NET_IO_ERROR)
		return (send_failed(q, errnum, first, eb));
	if (io != NET_IO_OK)
		return (OUTQ_BLOCKED);
	consume(q, n);
	*sent += n;
	return (OUTQ_MORE);
}

enum outq_result
outq_flush(struct outq *q, struct transport *t, uint64_t bytes_max, uint64_t *sent, struct errbuf *eb)
{
	enum outq_result r;
	uint64_t start = *sent;

	if (q->failed)
		return (OUTQ_ERROR);
	if (q->prefetch != NULL)
		return (OUTQ_FETCHING);
	do {
		r = send_some(q, t, bytes_max - MIN(*sent - start, bytes_max), sent, eb);
	} while (r == OUTQ_MORE && *sent - start < bytes_max);
	if (r == OUTQ_MORE && front(q) == NULL)
		r = OUTQ_EMPTY;
	return (r);
}

void
outq_check(const struct outq *q)
{
	const struct out_message *m;
	const struct chain_item *it;
	uint64_t bytes = 0, chain;

	TAILQ_FOREACH(m, &q->messages, link) {
		chain = 0;
		for (it = m->chain.first; it != NULL; it = it->next)
			chain += item_len(it);
		must(chain == m->chain.len);
		bytes += chain;
	}
	must(bytes == q->bytes);
}
