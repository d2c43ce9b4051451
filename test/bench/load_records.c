/* SPDX-License-Identifier: Apache-2.0
 *
 * load_records.c - records one by one at a rate, and consumers that wait for them at the end of their partitions.
 *
 * Open loop, as load_members.c: each record has its moment, and both latencies (until it is acknowledged, until a consumer has it) count from there.
 * One connection produces to each partition, so the records of a run stand in its log in the order they were sent, and an offset tells which.
 */
#include <err.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/kerr.h"
#include "base/must.h"
#include "groupload.h"
#include "record/batch.h"
#include "record/record.h"

enum { CONNECTING = 32, WAIT_MS = 500, FETCH_BYTES = 262144, ANSWER_SECONDS = 60, ACKS_ALL = -1, TIMEOUT_MS = 30000 };

struct stream {				/* a partition */
	struct conn	 conn;		/* its producer */
	int32_t		 partition;
	uint8_t		*frame;
	size_t		 len;
	int64_t		 base;		/* offset of the first record of this run */
	int64_t		 sent, room, *due;
};

struct consumer {
	struct conn	 conn;
	struct stream	*stream;
	int64_t		 offset;	/* next */
};

struct run {
	struct load	*load;
	struct stream	*streams;
	struct consumer	*consumers;
	int		 nconsumers, under_way;
	struct histogram acknowledged, consumed;
	int64_t		 fetches, empty_fetches, late_ns;
	bool		 counts;
};

static struct run *
run_of(const struct conn *c)
{
	return (c->load->records);
}

static void
refused(const char *what, int32_t partition, int16_t error)
{
	if (error != KERR_NONE)
		errx(1, "%s of partition %d was answered with %s", what, (int)partition, kerr_name((enum kerr)error));
}

/* ---- what is asked ---- */

static void
produce_make(struct run *r, struct stream *s, struct slice batch)
{
	struct load *l = r->load;
	struct wire_produce_request *q = WIRE_NEW(&l->arena, produce_request);

	q->acks = ACKS_ALL;
	q->timeout_ms = TIMEOUT_MS;
	q->topic_data.v = WIRE_NEW_ARRAY(&l->arena, produce_request_topic, 1);
	q->topic_data.n = 1;
	q->topic_data.v->name = slice_str(l->topic);
	q->topic_data.v->partition_data.v = WIRE_NEW_ARRAY(&l->arena, produce_request_partition, 1);
	q->topic_data.v->partition_data.n = 1;
	q->topic_data.v->partition_data.v->index = s->partition;
	chain_init(&q->topic_data.v->partition_data.v->records);
	must(chain_add_mem(&q->topic_data.v->partition_data.v->records, &l->arena, batch));
	frame_make(l, API_PRODUCE, 0, q);
	s->len = l->frame_len;
	s->frame = memcpy(xmalloc(s->len), l->frame, s->len);
}

static int64_t
end_offset(struct run *r, int fd, int32_t partition)
{
	struct load *l = r->load;
	struct wire_list_offsets_request *q;
	const struct wire_list_offsets_response *a;

	arena_reset(&l->arena);
	q = WIRE_NEW(&l->arena, list_offsets_request);
	q->topics.v = WIRE_NEW_ARRAY(&l->arena, list_offsets_request_topic, 1);
	q->topics.n = 1;
	q->topics.v->name = slice_str(l->topic);
	q->topics.v->partitions.v = WIRE_NEW_ARRAY(&l->arena, list_offsets_request_partition, 1);
	q->topics.v->partitions.n = 1;
	q->topics.v->partitions.v->partition_index = partition;
	q->topics.v->partitions.v->timestamp = -1;
	if (!plain_send(l, fd, API_LIST_OFFSETS, q) || (a = plain_receive(l, fd, API_LIST_OFFSETS)) == NULL)
		errx(1, "the broker closed a connection");
	if (a->topics.n != 1 || a->topics.v->partitions.n != 1)
		errx(1, "ListOffsets was answered for %d topics", (int)a->topics.n);
	refused("ListOffsets", partition, a->topics.v->partitions.v->error_code);
	return (a->topics.v->partitions.v->offset);
}

static void fetched(struct conn *, const struct ask *, const void *);

static void
consumer_ask(struct consumer *co)
{
	struct load *l = co->conn.load;
	struct wire_fetch_request *q;

	arena_reset(&l->arena);
	q = WIRE_NEW(&l->arena, fetch_request);
	q->max_wait_ms = WAIT_MS;
	q->min_bytes = 1;
	q->max_bytes = FETCH_BYTES;
	q->topics.v = WIRE_NEW_ARRAY(&l->arena, fetch_request_topic, 1);
	q->topics.n = 1;
	q->topics.v->topic = slice_str(l->topic);
	q->topics.v->partitions.v = WIRE_NEW_ARRAY(&l->arena, fetch_request_partition, 1);
	q->topics.v->partitions.n = 1;
	q->topics.v->partitions.v->partition = co->stream->partition;
	q->topics.v->partitions.v->fetch_offset = co->offset;
	q->topics.v->partitions.v->partition_max_bytes = FETCH_BYTES;
	conn_ask(&co->conn, API_FETCH, q, now_ns(), fetched);
}

/* ---- what is answered ---- */

static void
produced(struct conn *c, const struct ask *a, const void *response)
{
	const struct wire_produce_response *p = response;
	struct run *r = run_of(c);
	struct stream *s = c->owner;

	if (p->responses.n != 1 || p->responses.v->partition_responses.n != 1)
		errx(1, "Produce was answered for %d topics", (int)p->responses.n);
	refused("Produce", s->partition, p->responses.v->partition_responses.v->error_code);
	histogram_add(&r->acknowledged, (uint64_t)(now_ns() - a->due_ns));
	r->under_way--;
}

static void
records_came(struct run *r, struct consumer *co, struct slice records)
{
	struct stream *s = co->stream;
	struct batch_header h;
	int64_t now = now_ns();

	while (records.len > 0 && batch_header_decode(records, &h) == OK && h.size <= records.len) {
		for (; co->offset <= h.last_offset; co->offset++)
			if (co->offset >= s->base) {
				must(co->offset - s->base < s->sent);
				histogram_add(&r->consumed, (uint64_t)(now - s->due[co->offset - s->base]));
			}
		records = slice_of(records.p + h.size, records.len - h.size);
	}
}

static void
fetched(struct conn *c, const struct ask *a, const void *response)
{
	const struct wire_fetch_response *f = response;
	struct consumer *co = c->owner;
	struct run *r = run_of(c);
	int64_t before = co->offset;

	(void)a;
	refused("Fetch", co->stream->partition, f->error_code);
	if (f->responses.n != 1 || f->responses.v->partitions.n != 1)
		errx(1, "Fetch was answered for %d topics", (int)f->responses.n);
	refused("Fetch", co->stream->partition, f->responses.v->partitions.v->error_code);
	if (f->responses.v->partitions.v->records.first != NULL)	/* decoded: one piece of memory */
		records_came(r, co, f->responses.v->partitions.v->records.first->mem);
	if (r->counts) {
		r->fetches += co->offset > before;
		r->empty_fetches += co->offset == before;
	}
	consumer_ask(co);
}

/* ---- a run ---- */

static void
streams_open(struct run *r, int record_bytes)
{
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	uint8_t *value = xmalloc((size_t)record_bytes), *bytes;
	struct batch_builder *b = batch_builder_new(NULL, &o, NULL);
	int fd = plain_connect(r->load);
	size_t size;

	for (int i = 0; i < record_bytes; i++)
		value[i] = (uint8_t)(random() >> 7);
	must(b != NULL);
	if (batch_builder_append(b, (int64_t)time(NULL) * 1000, SLICE_NULL, slice_of(value, (size_t)record_bytes), NULL, 0) != OK || batch_builder_finish(b, &bytes, &size, NULL) != OK)
		errx(1, "a record of %d bytes cannot be made", record_bytes);
	batch_builder_free(b);
	if (fd < 0)
		err(1, "connect");
	r->streams = xcalloc((size_t)r->load->partitions, sizeof(*r->streams));
	for (int32_t p = 0; p < r->load->partitions; p++) {
		struct stream *s = &r->streams[p];

		s->partition = p;
		s->base = end_offset(r, fd, p);
		arena_reset(&r->load->arena);
		produce_make(r, s, slice_of(bytes, size));
		conn_open(r->load, &s->conn, s);
	}
	close(fd);
	free(bytes);
	free(value);
}

/* The backlog of Java's listener is 50, and of ours: who comes beyond it is heard when its SYN comes again, seconds later. */
static void
connecting_wait(struct run *r, int from, int to)
{
	int64_t end = now_ns() + ANSWER_SECONDS * INT64_C(1000000000);

	for (int i = from; i < to; i++)
		while (r->consumers[i].conn.wants_write) {
			if (now_ns() >= end)
				errx(1, "a connection is not there within %d s", ANSWER_SECONDS);
			load_turn(r->load, end);
		}
}

static void
consumers_open(struct run *r, int n)
{
	r->nconsumers = n;
	r->consumers = xcalloc((size_t)MAX(n, 1), sizeof(*r->consumers));
	for (int i = 0; i < n; i++) {
		r->consumers[i].stream = &r->streams[i % r->load->partitions];
		r->consumers[i].offset = r->consumers[i].stream->base;
		conn_open(r->load, &r->consumers[i].conn, &r->consumers[i]);
		consumer_ask(&r->consumers[i]);
		if ((i + 1) % CONNECTING == 0)
			connecting_wait(r, i + 1 - CONNECTING, i + 1);
	}
	connecting_wait(r, 0, n);
}

static void
send_due(struct run *r, int64_t due)
{
	struct stream *s = &r->streams[r->load->filled++ % r->load->partitions];

	if (s->sent == s->room) {
		s->room = s->room * 2 + 1024;
		s->due = xreallocarray(s->due, (size_t)s->room, sizeof(*s->due));
	}
	s->due[s->sent++] = due;
	r->under_way++;
	conn_ask_frame(&s->conn, API_PRODUCE, s->frame, s->len, due, produced);
}

static bool
all_read(const struct run *r)
{
	for (int i = 0; i < r->nconsumers; i++)
		if (r->consumers[i].offset < r->consumers[i].stream->base + r->consumers[i].stream->sent)
			return (false);
	return (true);
}

static void
turns_until(struct run *r, bool (*done)(const struct run *), const char *what)
{
	int64_t end = now_ns() + ANSWER_SECONDS * INT64_C(1000000000);

	while (!done(r)) {
		if (now_ns() >= end)
			errx(1, "%s: not within %d s", what, ANSWER_SECONDS);
		load_turn(r->load, MIN(end, now_ns() + 100000000));
	}
}

static bool
all_acknowledged(const struct run *r)
{
	return (r->under_way == 0);
}

static void
settle(struct run *r, double seconds)
{
	int64_t end = now_ns() + (int64_t)(seconds * 1e9);

	while (now_ns() < end)
		load_turn(r->load, end);
}

static void
run_free(struct run *r)
{
	for (int i = 0; i < r->nconsumers; i++)
		conn_close(&r->consumers[i].conn);
	for (int i = 0; i < r->load->partitions; i++) {
		conn_close(&r->streams[i].conn);
		free(r->streams[i].frame);
		free(r->streams[i].due);
	}
	free(r->consumers);
	free(r->streams);
	r->load->records = NULL;
	free(r);
}

void
records_run(struct load *l, double seconds, double rate, int record_bytes, int nconsumers)
{
	struct run *r = xcalloc(1, sizeof(*r));
	double broker, own;
	int64_t began, end, sent = 0, due, all = (int64_t)(seconds * rate);

	r->load = l;
	l->records = r;
	streams_open(r, record_bytes);
	consumers_open(r, nconsumers);
	settle(r, nconsumers > 0 ? 1 : 0.1);
	broker = cpu_seconds(l->pid == 0 ? -1 : l->pid);
	own = cpu_seconds(0);
	began = now_ns();
	end = began + (int64_t)(seconds * 1e9);
	r->counts = true;
	while (now_ns() < end || sent < all) {
		while (sent < all && (due = began + (int64_t)((double)sent * 1e9 / rate)) <= now_ns()) {
			r->late_ns = MAX(r->late_ns, now_ns() - due);
			send_due(r, due);
			sent++;
		}
		load_turn(l, sent < all ? began + (int64_t)((double)sent * 1e9 / rate) : end);
	}
	turns_until(r, all_acknowledged, "acknowledgements");
	turns_until(r, all_read, "records at the consumers");
	r->counts = false;
	printf("{\"seconds\": %.3f, \"broker_cpu\": %.6f, \"client_cpu\": %.6f, \"client_late_us\": %.1f, \"fetches\": %" PRId64 ", \"empty_fetches\": %" PRId64,
	    (double)(now_ns() - began) / 1e9, cpu_seconds(l->pid == 0 ? -1 : l->pid) - broker, cpu_seconds(0) - own, (double)r->late_ns / 1e3, r->fetches,
	    r->empty_fetches);
	latencies_print("acknowledged", &r->acknowledged);
	latencies_print("consumed", &r->consumed);
	printf("}\n");
	run_free(r);
}
