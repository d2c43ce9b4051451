/* SPDX-License-Identifier: Apache-2.0
 *
 * group/load.c - the groups of a partition, from its log.
 *
 * PATH  The home's loop takes the log; workers read it from its start to its end, a buffer at a time, one job per buffer, so that other jobs have
 *       their turn (reading: a table of groups with their offsets and the bytes of their last record); then the loop makes the groups, a few in a
 *       turn, and the home is OWNED.  Several partitions load at the same time.
 *
 * INVARIANTS
 *   (1) The end of the log that is read to is the one of a moment after this broker had become leader: no append of an earlier leader comes later,
 *       and none of ours is taken before the home is OWNED.
 *   (2) The load is the worker's while its job is under way, else the loop's.  A load that is no longer its home's is dropped by the loop when
 *       its job comes back.
 *   (3) Later records win: they are read in the order of the log.  Transactional ones count when their marker is read.
 *   (4) Only a log that is the partition's makes groups, or makes a load fail: a directory move may put another in its place, with the same
 *       records, and retire the one that is being read.  Then the load begins again on that.
 *
 * DAMAGE  What cannot be read is said and stepped over: a record with a strange key or value, a batch with a wrong checksum or broken records.  The
 * older offset then stands, which makes a consumer read again what it had read.  (Kafka gives up the whole partition at some of these and
 * serves it empty, and believes at others whatever it decodes.)  Bytes in which no next batch can be found end the load there, loudly.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "group/coordinator_int.h"
#include "log/log.h"

enum {
	GROUPS_PER_TURN = 500,		/* made by the loop */
	DAMAGE_TOLD = 10,		/* lines about it per load; the rest is counted */
	RECORD_ARENA_MAX = 64 << 20,
};

struct producing {			/* an open transaction and the groups it has committed for */
	UT_hash_handle	 hh;
	int64_t		 id;
	struct hosted	**groups;
	uint32_t	 n, room;
};

struct load {
	struct job	 job;
	struct task	 task;
	struct home	*home;
	_Atomic bool	 cancelled;
	struct log	*log;		/* referenced */
	int64_t		 next, end;
	bool		 over;		/* reading is */
	enum kerr	 failed;
	struct hosted	*groups, *last;
	struct producing *producers;
	struct hosted	*making;	/* the next one the loop makes a group of */
	uint8_t		*buffer;
	size_t		 buffer_room;
	struct arena	 arena;
	struct codec_ctx *codec;
	uint64_t	 records, damaged;
	int64_t		 began_ms;
};


/* ---- said ---- */

static void PRINTF_LIKE(3, 4)
say_damage(struct load *l, int64_t offset, const char *fmt, ...)
{
	char words[256];
	va_list ap;

	if (l->damaged++ >= DAMAGE_TOLD)
		return;
	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	diag_error(l->home->on->c->opt.diag, "group", GROUP_OFFSETS_TOPIC "-%d: at offset %" PRId64 ": %s; stepped over", (int)l->home->number, offset, words);
}

/* ---- records; on a worker ---- */

static struct hosted *
hosted_get(struct load *l, struct slice id)
{
	uint64_t seed = l->home->on->c->seed;

	if (l->last != NULL && slice_eq(slice_of(l->last->id, l->last->id_len), id))	/* they often come side by side */
		return (l->last);
	l->last = hosted_find_in(l->groups, seed, id);
	if (l->last == NULL) {
		l->last = hosted_new(l->home, id);
		hosted_add_to(&l->groups, seed, l->last);
	}
	return (l->last);
}

static void
producer_note(struct load *l, int64_t id, struct hosted *g)
{
	struct producing *p;

	HASH_FIND(hh, l->producers, &id, sizeof(id), p);
	if (p == NULL) {
		p = xcalloc(1, sizeof(*p));
		p->id = id;
		HASH_ADD(hh, l->producers, id, sizeof(p->id), p);
	}
	if (p->n > 0 && p->groups[p->n - 1] == g)
		return;
	if (p->n == p->room) {
		p->room = p->room * 2 + 1;
		p->groups = xreallocarray(p->groups, p->room, sizeof(struct hosted *));
	}
	p->groups[p->n++] = g;
}

static void
producer_drop(struct load *l, struct producing *p)
{
	HASH_DELETE(hh, l->producers, p);
	free(p->groups);
	free(p);
}

static void
transaction_ended(struct load *l, int64_t id, bool commit)
{
	struct producing *p;

	HASH_FIND(hh, l->producers, &id, sizeof(id), p);
	if (p == NULL)
		return;
	for (uint32_t i = 0; i < p->n; i++)
		offsets_txn_end(&p->groups[i]->offsets, id, commit);	/* a group named twice has nothing left the second time */
	producer_drop(l, p);
}

static void
load_txn_offset(struct load *l, const struct record *r, struct hosted *g, const struct group_key *k, const struct offset_value *v, int64_t producer)
{
	if (v != NULL)
		producer_note(l, producer, g);
	offsets_load_txn(&g->offsets, producer, k->topic, k->partition, v, r->offset);
}

static void
load_offset(struct load *l, const struct record *r, const struct group_key *k, const struct batch_header *h)
{
	struct offset_value v;
	struct hosted *g;
	bool dead = r->value_len < 0;
	enum err e = dead ? OK : offset_value_decode(r->value, &v);

	if (e != OK) {
		say_damage(l, r->offset, "an offset committed by group %.*s cannot be read: %s", (int)k->group.len, (const char *)k->group.p, err_text(e));
		return;
	}
	if (dead && hosted_find_in(l->groups, l->home->on->c->seed, k->group) == NULL)
		return;
	g = hosted_get(l, k->group);
	if (batch_is_transactional(h))
		load_txn_offset(l, r, g, k, dead ? NULL : &v, h->producer_id);
	else if (dead)
		offsets_load_tombstone(&g->offsets, k->topic, k->partition);
	else
		offsets_load(&g->offsets, k->topic, k->partition, &v, r->offset);
}

static void
load_group(struct load *l, const struct record *r, const struct group_key *k)
{
	struct group_record decoded;
	struct hosted *g;
	enum err e = OK;

	if (r->value_len >= 0) {
		arena_reset(&l->arena);
		e = group_value_decode(r->value, &l->arena, &decoded);
	}
	if (e != OK) {
		say_damage(l, r->offset, "the record of group %.*s cannot be read: %s", (int)k->group.len, (const char *)k->group.p, err_text(e));
		return;
	}
	g = hosted_get(l, k->group);
	free(g->record);
	g->record = NULL;
	g->record_len = 0;
	if (r->value_len >= 0) {
		g->record = xmalloc(r->value.len + 1);
		g->record_len = (uint32_t)r->value.len;
		memcpy(g->record, r->value.p, r->value.len);
	}
}

static void
load_record(struct load *l, const struct record *r, const struct batch_header *h)
{
	struct group_key k;
	enum err e;

	l->records++;
	if (r->key_len < 0) {
		say_damage(l, r->offset, "a record without a key");
		return;
	}
	e = group_key_decode(r->key, &k);
	if (e != OK)
		say_damage(l, r->offset, "a key that %s", e == ERR_UNSUPPORTED ? "a later version of Kafka has written" : "is none of a group or offset");
	else if (k.kind == GROUP_KEY_OFFSET)
		load_offset(l, r, &k, h);
	else
		load_group(l, r, &k);
}

static void
load_control(struct load *l, const struct batch_header *h, struct slice whole)
{
	struct errbuf eb = ERRBUF_INIT;
	struct control_record c;

	if (batch_control_decode(whole, &c, &eb) != OK)
		say_damage(l, h->base_offset, "a control batch: %s", eb.text);
	else if (c.type == CONTROL_COMMIT || c.type == CONTROL_ABORT)
		transaction_ended(l, h->producer_id, c.type == CONTROL_COMMIT);
}

static void
load_batch(struct load *l, const struct batch_header *h, struct slice whole)
{
	struct errbuf eb = ERRBUF_INIT;
	struct record_iter it;
	struct record r;
	enum err e;

	if (!batch_crc_ok(whole)) {
		say_damage(l, h->last_offset, "a batch of %u bytes whose checksum is wrong", (unsigned)h->size);
		return;
	}
	if (batch_is_control(h)) {
		load_control(l, h, whole);
		return;
	}
	e = record_iter_init(&it, l->codec, whole, h, RECORD_FULL, &eb);
	while (e == OK && (e = record_iter_next(&it, &r, &eb)) == OK)
		load_record(l, &r, h);
	record_iter_fini(&it);
	if (e != ERR_NOTFOUND)
		say_damage(l, h->last_offset, "a batch that cannot be read to its end: %s", eb.text);
}

/* ---- the log; on a worker ---- */

static void
load_over(struct load *l, enum kerr failed)
{
	l->over = true;
	l->failed = failed;
}

static void
load_buffer(struct load *l, size_t len)
{
	struct batch_iter i = batch_iter_of(slice_of(l->buffer, len));
	int64_t before = l->next;
	struct batch_header h;
	struct slice whole;
	enum err e = OK;

	while (!l->cancelled && l->next < l->end && (e = batch_iter_next(&i, &h, &whole)) == OK) {
		if (h.last_offset >= l->next) {
			load_batch(l, &h, whole);
			l->next = h.last_offset + 1;
		}
	}
	if (l->cancelled || l->next > before)
		return;
	diag_error(l->home->on->c->opt.diag, "group", GROUP_OFFSETS_TOPIC "-%d: at offset %" PRId64 " no batch can be found (%s); the groups are served as "
	    "they were up to there, with %" PRId64 " offsets unread", (int)l->home->number, l->next, err_text(e), l->end - l->next);
	load_over(l, KERR_NONE);
}

static bool
load_room(struct load *l, uint64_t need)
{
	if (need > INT32_MAX)
		return (false);
	if (need > l->buffer_room) {
		free(l->buffer);
		l->buffer = xmalloc(need);
		l->buffer_room = need;
	}
	return (true);
}

/* Job: one buffer. */
static void
load_read(struct job *job)
{
	struct load *l = CONTAINER_OF(job, struct load, job);
	struct log_read_options o = { .offset = l->next, .bytes_max = (uint64_t)MAX(l->home->on->c->opt.load_buffer_bytes, 1), .min_one = true,
	    .bound = LOG_BOUND_END };
	struct log_read_result r = { .naborted = 0 };
	struct errbuf eb = ERRBUF_INIT;
	enum kerr k;

	if (l->cancelled)
		return;
	k = log_read(l->log, &o, &l->arena, &r);
	if (k == KERR_OFFSET_OUT_OF_RANGE && log_start_offset(l->log) > l->next) {	/* the log was cut meanwhile */
		l->next = log_start_offset(l->log);
		return;
	}
	if (k != KERR_NONE) {
		load_over(l, k);
		return;
	}
	if (r.range.len == 0) {		/* before the end: it was cut, or put away */
		diag_error(l->home->on->c->opt.diag, "group", GROUP_OFFSETS_TOPIC "-%d: at offset %" PRId64 " the log ends, and should at %" PRId64,
		    (int)l->home->number, l->next, l->end);
		load_over(l, KERR_KAFKA_STORAGE_ERROR);
	} else if (!load_room(l, r.range.len) || file_pread_full(r.range.file, l->buffer, r.range.len, r.range.pos, &eb) != OK) {
		diag_error(l->home->on->c->opt.diag, "group", GROUP_OFFSETS_TOPIC "-%d: at offset %" PRId64 ": %s", (int)l->home->number, l->next, eb.text);
		load_over(l, KERR_KAFKA_STORAGE_ERROR);
	} else {
		load_buffer(l, r.range.len);
	}
	log_read_result_fini(&r);
	if (l->next >= l->end)
		l->over = true;
}

/* ---- on the loop ---- */

static void
load_empty(struct load *l)
{
	struct producing *p, *next_producer;
	struct hosted *g, *next;

	l->last = NULL;
	HASH_ITER(hh, l->producers, p, next_producer)
		producer_drop(l, p);
	HASH_ITER(hh, l->groups, g, next) {
		HASH_DELETE(hh, l->groups, g);
		if (g->group != NULL)
			group_unload(g->group);
		hosted_unref(&g);
	}
}

static void
load_free(struct load *l)
{
	load_empty(l);
	l->home->on->c->on_the_way--;
	log_unref(&l->log);
	codec_ctx_free(l->codec);
	arena_fini(&l->arena);
	free(l->buffer);
	free(l);
}

/* The group of a table's entry; false: there is none, only a memory of a deleted one. */
static bool
make_group(struct load *l, struct hosted *g)
{
	struct slice id = slice_of(g->id, g->id_len);
	struct group_record r;

	g->forgot = l->home->on->ndeletions;
	arena_reset(&l->arena);
	if (g->record != NULL && group_value_decode(slice_of(g->record, g->record_len), &l->arena, &r) == OK) {
		g->group = group_load(&l->home->on->host, id, &r);
		if (g->group == NULL)
			say_damage(l, l->end, "the record of group %.*s contradicts itself", (int)id.len, (const char *)id.p);
	}
	free(g->record);
	g->record = NULL;
	hosted_weigh(g);
	if (g->group != NULL)
		group_loaded(g->group);
	else if (offsets_any(&g->offsets))	/* offsets alone, of consumers that assign partitions themselves */
		g->group = group_new(&l->home->on->host, id);
	return (g->group != NULL);
}

static void
load_finish(struct load *l)
{
	const struct group_coordinator_options *opt = &l->home->on->c->opt;
	struct home *home = l->home;

	home->groups = l->groups;
	l->groups = NULL;
	home->load = NULL;
	home->state = HOME_OWNED;
	diag_info(opt->diag, "group", GROUP_OFFSETS_TOPIC "-%d: coordinated here from leader epoch %d on: %u groups, %" PRIu64 " records in %" PRId64 " ms",
	    (int)home->number, (int)home->epoch, (unsigned)HASH_COUNT(home->groups), l->records, loop_now_ms(home->on->loop) - l->began_ms);
	if (l->damaged > 0)
		diag_error(opt->diag, "group", GROUP_OFFSETS_TOPIC "-%d: %" PRIu64 " damaged or strange records or batches were stepped over",
		    (int)home->number, l->damaged);
	load_free(l);
}

/* A few groups in a turn. */
static void
load_make(struct task *task)
{
	struct load *l = CONTAINER_OF(task, struct load, task);

	if (l->cancelled) {
		load_free(l);
		return;
	}
	for (uint32_t i = 0; l->making != NULL && i < GROUPS_PER_TURN; i++) {
		struct hosted *g = l->making;

		l->making = g->hh.next;
		if (!make_group(l, g)) {
			HASH_DELETE(hh, l->groups, g);
			hosted_unref(&g);
		}
	}
	if (l->making == NULL)
		load_finish(l);
	else
		loop_post(l->home->on->loop, &l->task);
}

/* Its log can no longer be read: the broker hears that it leads no more, or leads again. */
static void
load_failed(struct load *l)
{
	struct home *home = l->home;

	diag_error(home->on->c->opt.diag, "group", GROUP_OFFSETS_TOPIC "-%d: its groups cannot be loaded: %s", (int)home->number, kerr_name(l->failed));
	home->load = NULL;
	home->state = HOME_AWAY;
	load_free(l);
}

static struct log *
log_of(struct home *home)
{
	struct partition *p = replica_partition(home->on->c->opt.replicas, SLICE_LIT(GROUP_OFFSETS_TOPIC), home->number);
	struct log *log = p == NULL ? NULL : partition_log(p);

	log = log == NULL ? NULL : log_ref(log);
	partition_unref(&p);
	return (log);
}

static void
load_from(struct load *l, struct log *log)
{
	l->log = log;
	l->next = log_start_offset(log);
	l->end = log_end_offset(log);
	l->over = l->next >= l->end;
	l->failed = KERR_NONE;
}

/* Invariant (4).  True: from the start. */
static bool
load_again(struct load *l)
{
	struct log *log = log_of(l->home);

	if (log == NULL || log == l->log) {
		log_unref(&log);
		return (false);
	}
	diag_info(l->home->on->c->opt.diag, "group", GROUP_OFFSETS_TOPIC "-%d: its log has moved to %s while it was loaded, which begins again",
	    (int)l->home->number, log_dir(log));
	load_empty(l);
	l->records = l->damaged = 0;
	log_unref(&l->log);
	load_from(l, log);
	return (true);
}

static void
load_done(struct job *job)
{
	struct load *l = CONTAINER_OF(job, struct load, job);

	if (!l->cancelled && l->over && l->next < l->end)
		(void)load_again(l);
	if (l->cancelled) {
		load_free(l);
	} else if (!l->over) {
		workers_submit(l->home->on->c->opt.workers, &l->job);
	} else if (l->failed != KERR_NONE) {
		load_failed(l);
	} else {
		l->making = l->groups;
		l->task.fn = load_make;
		load_make(&l->task);
	}
}

void
load_begin(struct home *home)
{
	const struct group_coordinator_options *opt = &home->on->c->opt;
	struct log *log = log_of(home);
	struct load *l;

	must(home->state == HOME_AWAY && home->load == NULL && home->groups == NULL);
	if (log == NULL) {
		diag_warning(opt->diag, "group", GROUP_OFFSETS_TOPIC "-%d: elected, but it has no log here", (int)home->number);
		return;
	}
	l = xcalloc(1, sizeof(*l));
	l->home = home;
	l->began_ms = loop_now_ms(home->on->loop);
	l->codec = codec_ctx_new();
	arena_init(&l->arena, RECORD_ARENA_MAX);
	home->load = l;
	home->state = HOME_LOADING;
	home->on->c->on_the_way++;
	load_from(l, log);
	l->job = (struct job){ .run = load_read, .done = load_done, .loop = home->on->loop };
	if (l->over)
		load_done(&l->job);	/* nearly every partition of a young cluster */
	else
		workers_submit(opt->workers, &l->job);
}

void
load_cancel(struct home *home)
{
	home->load->cancelled = true;
	home->load = NULL;
}
