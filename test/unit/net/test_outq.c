/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cdefs.h"
#include "base/limits.h"
#include "base/random.h"
#include "net/outq.h"
#include "test/unit/unit.h"

enum { SCRATCH = 65536, FILE_BYTES = 3 * 1024 * 1024 };

/* A socket that takes as much as it is told and remembers what came by which call. */
struct fake_transport {
	struct transport t;
	uint8_t	*got;
	size_t	 len, size;
	size_t	 budget, per_call;
	unsigned sends, send_files, more;
	int	 fail_errno;
};

static void
fake_take(struct fake_transport *f, const void *p, size_t n)
{
	if (f->len + n > f->size) {
		f->size = 2 * (f->len + n);
		f->got = realloc(f->got, f->size);
	}
	memcpy(f->got + f->len, p, n);
	f->len += n;
	f->budget -= n;
}

static enum net_io
fake_send(struct transport *t, const struct iovec *iov, int niov, bool more, size_t *n, int *errp)
{
	struct fake_transport *f = CONTAINER_OF(t, struct fake_transport, t);
	size_t left = MIN(f->budget, f->per_call);

	*n = 0;
	if (f->fail_errno != 0) {
		*errp = f->fail_errno;
		return (NET_IO_ERROR);
	}
	if (left == 0)
		return (NET_IO_AGAIN);
	f->sends++;
	f->more += more;
	for (int i = 0; i < niov && left > 0; i++) {
		size_t part = MIN(left, iov[i].iov_len);

		fake_take(f, iov[i].iov_base, part);
		left -= part;
		*n += part;
	}
	return (NET_IO_OK);
}

static enum net_io
fake_send_file(struct transport *t, struct file *file, uint64_t pos, size_t len, size_t *n, int *errp)
{
	struct fake_transport *f = CONTAINER_OF(t, struct fake_transport, t);
	size_t left = MIN(MIN(f->budget, f->per_call), len), got = 0;
	uint8_t *piece;

	*n = 0;
	if (left == 0)
		return (NET_IO_AGAIN);
	f->send_files++;
	piece = malloc(left);
	if (file_pread(file, piece, left, pos, &got, NULL) != OK || got == 0) {
		free(piece);
		*errp = 0;
		return (NET_IO_ERROR);
	}
	fake_take(f, piece, got);
	free(piece);
	*n = got;
	return (NET_IO_OK);
}

static const struct transport_ops fake_ops = { .name = "fake", .send = fake_send, .send_file = fake_send_file };

static bool file_cached;

static bool
fake_cached(struct file *f, uint64_t pos, size_t len)
{
	(void)f;
	(void)pos;
	(void)len;
	return (file_cached);
}

struct world {
	struct clock_manual clock;
	struct loop	*loop;
	struct workers	*workers;
	struct arena	 arena;
	struct outq	 q;
	struct fake_transport f;
	uint8_t		*scratch;
	struct fs_ops	 ops;
	struct fs	 fs;
	struct file	*file;
	uint8_t		*content;
	unsigned	 sent_calls, ready_calls;
	uint64_t	 sent;
};

struct message {
	struct out_message m;
	struct world	  *w;
};

static void
message_sent(struct out_message *m)
{
	struct message *x = CONTAINER_OF(m, struct message, m);

	x->w->sent_calls++;
	free(x);
}

static void
ready(void *ctx)
{
	((struct world *)ctx)->ready_calls++;
}

static void
make_file(struct world *w)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/f", unit_tmpdir());
	w->content = malloc(FILE_BYTES);
	for (size_t i = 0; i < FILE_BYTES; i++)
		w->content[i] = (uint8_t)(i * 31 + (i >> 11));
	w->ops = *fs_real()->ops;
	w->ops.cached = fake_cached;
	w->fs.ops = &w->ops;
	if (file_open(fs_real(), path, FS_RDWR | FS_CREATE | FS_TRUNC, &w->file, NULL) != OK ||
	    file_pwrite(w->file, w->content, FILE_BYTES, 0, NULL) != OK)
		abort();
	w->file->fs = &w->fs;
}

static void
world_init(struct world *w, bool with_workers)
{
	struct outq_options o = { 0 };

	memset(w, 0, sizeof(*w));
	clock_manual_init(&w->clock, 0);
	if (loop_new(&(struct loop_options){ .name = "t", .clock = &w->clock.clock }, &w->loop, NULL) != OK ||
	    workers_new(0, "w", &w->workers, NULL) != OK)
		abort();
	arena_init(&w->arena, 1 << 20);
	w->scratch = malloc(SCRATCH);
	make_file(w);
	o.loop = w->loop;
	o.workers = with_workers ? w->workers : NULL;
	o.scratch = w->scratch;
	o.scratch_size = SCRATCH;
	o.ready = ready;
	o.ctx = w;
	outq_init(&w->q, &o);
	w->f.t.ops = &fake_ops;
	w->f.budget = w->f.per_call = SIZE_MAX;
	file_cached = true;
}

static void
world_fini(struct world *w)
{
	outq_fini(&w->q);
	workers_free(&w->workers);
	loop_free(&w->loop);
	arena_fini(&w->arena);
	CHECK_EQ(w->file->refs, 1);
	w->file->fs = fs_real();
	file_unref(&w->file);
	free(w->scratch);
	free(w->content);
	free(w->f.got);
}

static struct message *
message_new(struct world *w)
{
	struct message *x = calloc(1, sizeof(*x));

	x->w = w;
	x->m.sent = message_sent;
	chain_init(&x->m.chain);
	return (x);
}

static void
add_mem(struct world *w, struct message *x, const void *p, size_t n)
{
	CHECK(chain_add_mem(&x->m.chain, &w->arena, slice_of(p, n)));
}

static void
add_file(struct world *w, struct message *x, uint64_t pos, uint64_t len)
{
	struct file_range r = { .file = file_ref(w->file), .pos = pos, .len = len };

	CHECK(chain_add_file(&x->m.chain, &w->arena, &r));
}

/* A source that copies the file's content, in pieces of its own choosing. */
struct copier {
	struct chain_source s;
	struct world	*w;
	size_t		 pos, piece_max;
};

static unsigned sources_alive;

static struct slice
copier_make(struct chain_source *s, uint64_t left)
{
	struct copier *c = CONTAINER_OF(s, struct copier, s);
	struct slice piece = slice_of(c->w->content + c->pos, (size_t)MIN(left, c->piece_max));

	c->pos += piece.len;
	return (piece);
}

static void
copier_free(struct chain_source *s)
{
	sources_alive--;
	free(CONTAINER_OF(s, struct copier, s));
}

static void
add_source(struct world *w, struct message *x, size_t pos, uint64_t len, size_t piece_max)
{
	static const struct chain_source_ops ops = { copier_make, copier_free };
	struct copier *c = calloc(1, sizeof(*c));
	struct chain_source *s = &c->s;

	*c = (struct copier){ .s.ops = &ops, .w = w, .pos = pos, .piece_max = piece_max };
	sources_alive++;
	CHECK(chain_add_source(&x->m.chain, &w->arena, &s, len));
	CHECK(s == NULL);
}

static enum outq_result
flush(struct world *w)
{
	enum outq_result r = outq_flush(&w->q, &w->f.t, UINT64_MAX, &w->sent, NULL);

	outq_check(&w->q);
	return (r);
}

TEST(memory_of_several_messages_leaves_in_one_call)
{
	struct world w;
	struct message *a, *b;

	world_init(&w, false);
	a = message_new(&w);
	add_mem(&w, a, "head", 4);
	add_mem(&w, a, "body", 4);
	outq_add(&w.q, &a->m);
	outq_add(&w.q, &message_new(&w)->m);	/* empty: only its turn counts */
	b = message_new(&w);
	add_mem(&w, b, "next", 4);
	outq_add(&w.q, &b->m);
	CHECK_EQ(flush(&w), OUTQ_EMPTY);
	CHECK_EQ(w.f.sends, 1);
	CHECK_EQ(w.sent_calls, 3);
	CHECK_EQ(w.f.len, 12);
	CHECK_MEM(w.f.got, "headbodynext", 12);
	CHECK_EQ(w.f.more, 0);
	world_fini(&w);
}

TEST(a_small_range_leaves_with_the_headers_a_large_one_by_sendfile)
{
	struct world w;
	struct message *a;

	world_init(&w, false);
	a = message_new(&w);
	add_mem(&w, a, "head", 4);
	add_file(&w, a, 100, 2000);
	add_mem(&w, a, "tail", 4);
	outq_add(&w.q, &a->m);
	CHECK_EQ(flush(&w), OUTQ_EMPTY);
	CHECK_EQ(w.f.sends, 1);
	CHECK_EQ(w.f.send_files, 0);
	CHECK_EQ(w.f.len, 2008);
	CHECK_MEM(w.f.got + 4, w.content + 100, 2000);

	a = message_new(&w);
	add_mem(&w, a, "head", 4);
	add_file(&w, a, 1000, 200000);
	outq_add(&w.q, &a->m);
	w.f.len = 0;
	CHECK_EQ(flush(&w), OUTQ_EMPTY);
	CHECK_EQ(w.f.send_files, 1);
	CHECK_EQ(w.f.more, 1);
	CHECK_EQ(w.f.len, 200004);
	CHECK_MEM(w.f.got + 4, w.content + 1000, 200000);
	world_fini(&w);
}

TEST(bytes_per_turn_are_capped)
{
	struct world w;
	struct message *a;

	world_init(&w, false);
	a = message_new(&w);
	add_file(&w, a, 0, FILE_BYTES);
	outq_add(&w.q, &a->m);
	CHECK_EQ(outq_flush(&w.q, &w.f.t, 1000000, &w.sent, NULL), OUTQ_MORE);
	CHECK_EQ(w.sent, 1000000);
	CHECK_EQ(outq_bytes(&w.q), FILE_BYTES - 1000000);
	CHECK_EQ(flush(&w), OUTQ_EMPTY);
	CHECK_EQ(w.sent, FILE_BYTES);
	CHECK_MEM(w.f.got, w.content, FILE_BYTES);
	world_fini(&w);
}

TEST(a_cold_range_waits_for_a_worker_and_stalls_nobody)
{
	struct world w;
	struct message *a;

	world_init(&w, true);
	file_cached = false;
	a = message_new(&w);
	add_mem(&w, a, "head", 4);
	add_file(&w, a, 0, LIMIT_SEND_WINDOW + 100000);
	outq_add(&w.q, &a->m);
	CHECK_EQ(flush(&w), OUTQ_FETCHING);
	CHECK_EQ(w.f.len, 4);			/* the header did not wait */
	CHECK_EQ(w.f.more, 0);
	CHECK_EQ(flush(&w), OUTQ_FETCHING);
	CHECK(workers_step(w.workers));
	loop_turn(w.loop, 0);
	CHECK_EQ(w.ready_calls, 1);
	CHECK_EQ(flush(&w), OUTQ_FETCHING);	/* the next window is cold as well */
	CHECK_EQ(w.f.len, 4 + LIMIT_SEND_WINDOW);
	CHECK(workers_step(w.workers));
	loop_turn(w.loop, 0);
	CHECK_EQ(flush(&w), OUTQ_EMPTY);
	CHECK_MEM(w.f.got + 4, w.content, LIMIT_SEND_WINDOW + 100000);
	world_fini(&w);
}

TEST(a_queue_that_ends_leaves_its_prefetch_alone)
{
	struct world w;
	struct message *a;

	world_init(&w, true);
	file_cached = false;
	a = message_new(&w);
	add_file(&w, a, 0, 500000);
	outq_add(&w.q, &a->m);
	CHECK_EQ(flush(&w), OUTQ_FETCHING);
	outq_fini(&w.q);
	CHECK_EQ(w.sent_calls, 1);
	CHECK(workers_step(w.workers));
	loop_turn(w.loop, 0);
	CHECK_EQ(w.ready_calls, 0);
	world_fini(&w);
}

TEST(a_source_makes_one_piece_at_a_time_on_a_worker)
{
	struct world w;
	struct message *a;

	world_init(&w, true);
	a = message_new(&w);
	add_mem(&w, a, "head", 4);
	add_source(&w, a, 500, 2500, 1000);
	add_mem(&w, a, "tail", 4);
	outq_add(&w.q, &a->m);
	CHECK_EQ(outq_bytes(&w.q), 2508);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(flush(&w), OUTQ_FETCHING);
		CHECK_EQ(w.f.len, 4 + 1000 * i);	/* what was made has left before more is */
		CHECK_EQ(flush(&w), OUTQ_FETCHING);
		CHECK(workers_step(w.workers));
		CHECK(!workers_step(w.workers));
		loop_turn(w.loop, 0);
		CHECK_EQ(w.ready_calls, i + 1);
	}
	CHECK_EQ(flush(&w), OUTQ_EMPTY);
	CHECK_EQ(w.f.len, 2508);
	CHECK_MEM(w.f.got + 4, w.content + 500, 2500);
	CHECK_MEM(w.f.got + 2504, "tail", 4);
	CHECK_EQ(sources_alive, 0);
	world_fini(&w);

	world_init(&w, false);		/* no workers: on the loop */
	a = message_new(&w);
	add_source(&w, a, 0, 2500, 1000);
	add_source(&w, a, 0, 0, 1);
	outq_add(&w.q, &a->m);
	CHECK_EQ(flush(&w), OUTQ_EMPTY);
	CHECK_MEM(w.f.got, w.content, 2500);
	CHECK_EQ(sources_alive, 0);
	world_fini(&w);
}

TEST(a_source_at_work_outlives_its_queue_and_no_longer)
{
	struct world w;
	struct message *a;

	world_init(&w, true);
	a = message_new(&w);
	add_source(&w, a, 0, 2500, 1000);
	add_source(&w, a, 0, 2500, 1000);
	outq_add(&w.q, &a->m);
	CHECK_EQ(flush(&w), OUTQ_FETCHING);
	outq_fini(&w.q);
	CHECK_EQ(w.sent_calls, 1);
	CHECK_EQ(sources_alive, 1);
	CHECK(workers_step(w.workers));
	loop_turn(w.loop, 0);
	CHECK_EQ(sources_alive, 0);
	CHECK_EQ(w.ready_calls, 0);
	world_fini(&w);
}

TEST(a_truncated_file_fails_the_queue)
{
	struct world w;
	struct message *a;
	struct errbuf eb = ERRBUF_INIT;

	world_init(&w, false);
	a = message_new(&w);
	add_file(&w, a, FILE_BYTES - 50000, 100000);
	outq_add(&w.q, &a->m);
	CHECK_EQ(outq_flush(&w.q, &w.f.t, UINT64_MAX, &w.sent, &eb), OUTQ_ERROR);
	CHECK(w.q.file_ended);
	CHECK_EQ(w.f.len, 50000);
	CHECK_EQ(flush(&w), OUTQ_ERROR);	/* for good */
	outq_fini(&w.q);
	world_fini(&w);

	world_init(&w, false);			/* the same for a small one, which would go through the scratch */
	a = message_new(&w);
	add_mem(&w, a, "head", 4);
	add_file(&w, a, FILE_BYTES - 10, 100);
	outq_add(&w.q, &a->m);
	CHECK_EQ(flush(&w), OUTQ_ERROR);
	world_fini(&w);
}

TEST(a_broken_peer_is_an_error_with_its_reason)
{
	struct world w;
	struct message *a;
	struct errbuf eb = ERRBUF_INIT;

	world_init(&w, false);
	a = message_new(&w);
	add_mem(&w, a, "head", 4);
	outq_add(&w.q, &a->m);
	w.f.fail_errno = EPIPE;
	CHECK_EQ(outq_flush(&w.q, &w.f.t, UINT64_MAX, &w.sent, &eb), OUTQ_ERROR);
	CHECK(!w.q.file_ended);
	CHECK(strstr(eb.text, "sending") != NULL);
	world_fini(&w);
	CHECK_EQ(w.sent_calls, 1);
}

/* Random chains, a socket that takes a random little each time: the bytes come out in order and whole. */
TEST(any_mixture_comes_out_as_it_went_in)
{
	struct random_seeded rs;
	struct world w;
	uint8_t *want = malloc(64 << 20);
	size_t len = 0;

	random_seeded_init(&rs, unit_seed());
	world_init(&w, true);
	for (int i = 0; i < 40; i++) {
		struct message *x = message_new(&w);

		for (unsigned k = random_below(&rs.random, 6); k > 0; k--) {
			size_t n = random_below(&rs.random, random_below(&rs.random, 5) == 0 ? 1500000 : 18000);
			size_t pos = random_below(&rs.random, FILE_BYTES - 1500000);

			if (random_below(&rs.random, 2) == 0)
				add_mem(&w, x, w.content + pos, n);
			else if (random_below(&rs.random, 3) == 0)
				add_source(&w, x, pos, n, 1 + random_below(&rs.random, 100000));
			else
				add_file(&w, x, pos, n);
			memcpy(want + len, w.content + pos, n);
			len += n;
		}
		outq_add(&w.q, &x->m);
	}
	for (int i = 0; i < 100000 && !TAILQ_EMPTY(&w.q.messages); i++) {
		w.f.budget = random_below(&rs.random, 200000);
		w.f.per_call = 1 + random_below(&rs.random, 100000);
		file_cached = random_below(&rs.random, 3) > 0;
		if (flush(&w) == OUTQ_FETCHING) {
			CHECK(workers_step(w.workers));
			loop_turn(w.loop, 0);
		}
	}
	CHECK_EQ(w.f.len, len);
	CHECK_EQ(w.sent, len);
	CHECK_EQ(w.sent_calls, 40);
	CHECK_MEM(w.f.got, want, len);
	free(want);
	world_fini(&w);
}

UNIT_MAIN("net/outq", T(memory_of_several_messages_leaves_in_one_call), T(a_small_range_leaves_with_the_headers_a_large_one_by_sendfile),
    T(bytes_per_turn_are_capped), T(a_cold_range_waits_for_a_worker_and_stalls_nobody), T(a_queue_that_ends_leaves_its_prefetch_alone),
    T(a_source_makes_one_piece_at_a_time_on_a_worker), T(a_source_at_work_outlives_its_queue_and_no_longer),
    T(a_truncated_file_fails_the_queue), T(a_broken_peer_is_an_error_with_its_reason), T(any_mixture_comes_out_as_it_went_in))
