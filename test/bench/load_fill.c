/* SPDX-License-Identifier: Apache-2.0
 *
 * load_fill.c - a __consumer_offsets with very many commits, and how long it takes until they can be fetched again.
 *
 * Commit n is group n mod groups', of partition (n / groups) mod partitions, and says offset n + 1: so what each group must be answered is known.
 * All commits of a group travel on one connection, and so in order.
 */
#include <err.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/kerr.h"
#include "base/must.h"
#include "groupload.h"

enum { CONNECTIONS = 32, WINDOW = 16 /* under way on each */, FETCHES = 64 /* under way */, FETCH_SECONDS = 300, FILL_SECONDS = 600, PAUSE_US = 2000 };

struct filler {
	struct conn	conn;
	int64_t		next, end;	/* commits; those of its own groups are made */
	int		index;
};

static void filler_commit(struct filler *);

static void
filled(struct conn *c, const struct ask *a, const void *response)
{
	const struct wire_offset_commit_response *r = response;
	struct filler *f = c->owner;

	(void)a;
	if (r->topics.n != 1 || r->topics.v[0].partitions.n != 1)
		errx(1, "OffsetCommit was answered for %d topics", r->topics.n);
	if (r->topics.v[0].partitions.v[0].error_code != KERR_NONE)
		errx(1, "OffsetCommit was answered with %s", kerr_name((enum kerr)r->topics.v[0].partitions.v[0].error_code));
	c->load->under_way--;
	c->load->filled++;
	filler_commit(f);
}

/* A group's connection is its number modulo CONNECTIONS. */
static void
filler_commit(struct filler *f)
{
	struct load *l = f->conn.load;
	struct wire_offset_commit_request *r;
	struct wire_offset_commit_request_topic *t;

	while (f->next < f->end && f->next % l->groups % CONNECTIONS != f->index)
		f->next++;
	if (f->next >= f->end)
		return;
	r = WIRE_NEW(&l->arena, offset_commit_request);
	t = WIRE_NEW_ARRAY(&l->arena, offset_commit_request_topic, 1);
	r->group_id = group_name(l, (int)(f->next % l->groups));
	r->topics.v = t;
	r->topics.n = 1;
	t->name = slice_str(l->topic);
	t->partitions.v = WIRE_NEW_ARRAY(&l->arena, offset_commit_request_partition, 1);
	t->partitions.n = 1;
	t->partitions.v[0].partition_index = (int32_t)(f->next / l->groups % l->fill_partitions);
	t->partitions.v[0].committed_offset = ++f->next;
	l->under_way++;
	conn_ask(&f->conn, API_OFFSET_COMMIT, r, 0, filled);
}

void
fill(struct load *l, int64_t commits, int partitions)
{
	struct filler *fillers = xcalloc(CONNECTIONS, sizeof(*fillers));
	int64_t began = now_ns(), end = began + FILL_SECONDS * INT64_C(1000000000);

	l->fill_partitions = partitions;
	l->filled = 0;
	for (int i = 0; i < CONNECTIONS; i++) {
		fillers[i].end = commits;
		fillers[i].index = i;
		conn_open(l, &fillers[i].conn, &fillers[i]);
		arena_reset(&l->arena);
		for (int k = 0; k < WINDOW; k++)
			filler_commit(&fillers[i]);
	}
	while (l->under_way > 0) {
		load_turn(l, end);
		if (now_ns() >= end)
			errx(1, "%" PRId64 " of %" PRId64 " commits within %d s", l->filled, commits, FILL_SECONDS);
	}
	must(l->filled == commits);
	for (int i = 0; i < CONNECTIONS; i++)
		conn_close(&fillers[i].conn);
	free(fillers);
	printf("{\"commits\": %" PRId64 ", \"seconds\": %.3f}\n", commits, (double)(now_ns() - began) / 1e9);
}

/* ---- fetching ---- */

static int64_t
expected(struct load *l, int group, int32_t partition)
{
	int64_t round = (int64_t)l->groups * l->fill_partitions, first = group + (int64_t)partition * l->groups;

	return (first >= l->filled ? -1 : first + (l->filled - 1 - first) / round * round + 1);
}

static bool
fetch_send(struct load *l, int fd, int group)
{
	struct wire_offset_fetch_request *r;

	arena_reset(&l->arena);
	r = WIRE_NEW(&l->arena, offset_fetch_request);
	r->groups.v = WIRE_NEW_ARRAY(&l->arena, offset_fetch_request_group, 1);
	r->groups.n = 1;
	r->groups.v[0].group_id = group_name(l, group);
	r->groups.v[0].topics.n = -1;			/* all */
	return (plain_send(l, fd, API_OFFSET_FETCH, r));
}

static int64_t
offsets_check(struct load *l, int group, const struct wire_offset_fetch_response_group *g)
{
	int64_t n = 0;

	for (int32_t t = 0; t < g->topics.n; t++) {
		for (int32_t i = 0; i < g->topics.v[t].partitions.n; i++) {
			const struct wire_offset_fetch_response_partitions *p = &g->topics.v[t].partitions.v[i];

			if (p->error_code != KERR_NONE || p->committed_offset != expected(l, group, p->partition_index))
				errx(1, "group %d, partition %d: offset %" PRId64 " (%s), but %" PRId64 " was committed", group, p->partition_index,
				    p->committed_offset, kerr_name((enum kerr)p->error_code), expected(l, group, p->partition_index));
			n++;
		}
	}
	return (n);
}

/* KERR_NONE: answered; KERR_NETWORK_EXCEPTION: the connection ended; else wait and ask again. */
static enum kerr
fetch_receive(struct load *l, int fd, int group, int64_t *offsets)
{
	const struct wire_offset_fetch_response *r = plain_receive(l, fd, API_OFFSET_FETCH);
	enum kerr e;

	if (r == NULL)
		return (KERR_NETWORK_EXCEPTION);
	if (r->groups.n != 1)
		errx(1, "OffsetFetch was answered for %d groups", r->groups.n);
	e = (enum kerr)r->groups.v[0].error_code;
	if (e == KERR_NONE)
		*offsets += offsets_check(l, group, &r->groups.v[0]);
	else if (e != KERR_COORDINATOR_LOAD_IN_PROGRESS && e != KERR_COORDINATOR_NOT_AVAILABLE && e != KERR_NOT_COORDINATOR)
		errx(1, "OffsetFetch was answered with %s", kerr_name(e));
	return (e);
}

static int
connect_until(struct load *l, int64_t end)
{
	int fd;

	while ((fd = plain_connect(l)) < 0) {
		if (now_ns() >= end)
			errx(1, "no connection within %d s", FETCH_SECONDS);
		nanosleep(&(struct timespec){ .tv_nsec = PAUSE_US * 1000 }, NULL);
	}
	return (fd);
}

/* Until group 0 is answered.  -> the connection */
static int
probe(struct load *l, int64_t end, int64_t *connected)
{
	int fd = connect_until(l, end);
	int64_t offsets = 0;
	enum kerr e;

	*connected = now_ns();
	for (;;) {
		e = !fetch_send(l, fd, 0) ? KERR_NETWORK_EXCEPTION : fetch_receive(l, fd, 0, &offsets);
		if (e == KERR_NONE)
			return (fd);
		if (now_ns() >= end)
			errx(1, "OffsetFetch is answered with %s after %d s", kerr_name(e), FETCH_SECONDS);
		if (e == KERR_NETWORK_EXCEPTION) {
			close(fd);
			fd = connect_until(l, end);
		}
		nanosleep(&(struct timespec){ .tv_nsec = PAUSE_US * 1000 }, NULL);
	}
}

/* After the first group: the rest, several under way.  All groups of one partition are loaded together, so no answer is "loading" any more;
 * with several partitions a group may have to be asked again. */
void
fetch(struct load *l)
{
	int64_t end = now_ns() + FETCH_SECONDS * INT64_C(1000000000), offsets = 0, connected, first;
	int fd = probe(l, end, &connected), sent = 0;

	first = now_ns();
	for (int i = 0; i < l->groups; i++) {
		enum kerr e;

		for (; sent < l->groups && sent < i + FETCHES; sent++)
			if (!fetch_send(l, fd, sent))
				errx(1, "the broker closed the connection");
		e = fetch_receive(l, fd, i, &offsets);
		if (e != KERR_NONE)
			errx(1, "OffsetFetch of group %d was answered with %s after another group's was answered", i, kerr_name(e));
	}
	if (offsets != MIN(l->filled, (int64_t)l->groups * l->fill_partitions))
		errx(1, "%" PRId64 " offsets were fetched of %" PRId64 " commits", offsets, l->filled);
	printf("{\"offsets\": %" PRId64 ", \"connected_at\": %.6f, \"first_at\": %.6f, \"all_at\": %.6f}\n", offsets, (double)connected / 1e9,
	    (double)first / 1e9, (double)now_ns() / 1e9);
	close(fd);
}
