/* SPDX-License-Identifier: Apache-2.0
 *
 * load_members.c - members of consumer groups: they come, are given partitions by the one that leads, send heartbeats and commit.
 *
 * OPEN LOOP  Each heartbeat and commit has its moment, given by the rate alone.  It is sent then or, when the client is late, at once, whether or
 *            not the answers before it have come; its latency is counted from its moment.  So a broker that stops for a second is charged
 *            for everything that should have been sent in that second.
 */
#include <arpa/inet.h>
#include <err.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/kerr.h"
#include "base/must.h"
#include "groupload.h"

enum {
	SESSION_MS = 45000, REBALANCE_MS = 300000,	/* the Java client's defaults */
	CONNECTING = 32,				/* at a time: Java's backlog is 50 */
	JOIN_SECONDS = 180, ANSWER_SECONDS = 60,
	LOOK_MS = 200,					/* how often a member of a group that is not whole asks whether it should join again */
	SUBSCRIPTION_VERSION = 3, ASSIGNMENT_VERSION = 3,
};

enum member_state { OUTSIDE, JOINING, MEMBER };

struct member {
	struct conn	 conn;
	int		 group;
	enum member_state state;
	char		*id;
	int32_t		 generation;
	int32_t		 first;			/* of its partitions */
	int64_t		 offset;		/* committed last */
	uint8_t		*heartbeat;		/* a frame */
	size_t		 heartbeat_len;
};

static void member_join(struct member *);

/* ---- the bytes that only clients understand ---- */

static uint8_t *
put_i16(uint8_t *p, int16_t v)
{
	uint16_t n = htons((uint16_t)v);

	memcpy(p, &n, sizeof(n));
	return (p + sizeof(n));
}

static uint8_t *
put_i32(uint8_t *p, int32_t v)
{
	uint32_t n = htonl((uint32_t)v);

	memcpy(p, &n, sizeof(n));
	return (p + sizeof(n));
}

static uint8_t *
put_topic(uint8_t *p, const char *topic)
{
	size_t len = strlen(topic);

	p = put_i16(p, (int16_t)len);
	memcpy(p, topic, len);
	return (p + len);
}

static struct slice
subscription(struct load *l)
{
	uint8_t *start = arena_alloc(&l->arena, strlen(l->topic) + 64), *p = start;

	must(start != NULL);
	p = put_i32(put_i16(p, SUBSCRIPTION_VERSION), 1);
	p = put_topic(p, l->topic);
	p = put_i32(p, -1);			/* no user data */
	p = put_i32(p, 0);			/* nothing owned */
	p = put_i32(p, -1);			/* generation */
	p = put_i16(p, -1);			/* rack */
	return (slice_of(start, (size_t)(p - start)));
}

static struct slice
assignment(struct load *l, int32_t first)
{
	uint8_t *start = arena_alloc(&l->arena, strlen(l->topic) + 64 + (size_t)l->partitions * 4), *p = start;

	must(start != NULL);
	p = put_i32(put_i16(p, ASSIGNMENT_VERSION), 1);
	p = put_i32(put_topic(p, l->topic), l->partitions);
	for (int32_t i = 0; i < l->partitions; i++)
		p = put_i32(p, first + i);
	p = put_i32(p, -1);
	return (slice_of(start, (size_t)(p - start)));
}

static int32_t
assignment_first(struct load *l, struct slice s)
{
	size_t at = 2 + 4 + 2 + strlen(l->topic) + 4;
	uint32_t n;

	if (s.len < at + sizeof(n))
		errx(1, "an assignment of %zu bytes", s.len);
	memcpy(&n, s.p + at, sizeof(n));
	return ((int32_t)ntohl(n));
}

/* ---- joining ---- */

static void NORETURN
member_refused(const struct member *m, const char *what, int16_t error)
{
	errx(1, "%s of a member of group %s%d was answered with %s", what, m->conn.load->prefix, m->group, kerr_name((enum kerr)error));
}

static struct slice
member_id(const struct member *m)
{
	return (m->id == NULL ? SLICE_LIT("") : slice_str(m->id));
}

static void
heartbeat_make(struct member *m)
{
	struct load *l = m->conn.load;
	struct wire_heartbeat_request *r = WIRE_NEW(&l->arena, heartbeat_request);

	r->group_id = group_name(l, m->group);
	r->generation_id = m->generation;
	r->member_id = member_id(m);
	frame_make(l, API_HEARTBEAT, 0, r);
	free(m->heartbeat);
	m->heartbeat = memcpy(xmalloc(l->frame_len), l->frame, l->frame_len);
	m->heartbeat_len = l->frame_len;
}

static void
synced(struct conn *c, const struct ask *a, const void *response)
{
	const struct wire_sync_group_response *r = response;
	struct member *m = c->owner;

	(void)a;
	if (r->error_code == KERR_REBALANCE_IN_PROGRESS) {
		member_join(m);
		return;
	}
	if (r->error_code != KERR_NONE)
		member_refused(m, "SyncGroup", r->error_code);
	m->state = MEMBER;
	m->first = assignment_first(c->load, r->assignment);
	heartbeat_make(m);
}

static void
member_sync(struct member *m, const struct wire_join_group_response *joined)
{
	struct load *l = m->conn.load;
	struct wire_sync_group_request *r = WIRE_NEW(&l->arena, sync_group_request);

	r->group_id = group_name(l, m->group);
	r->generation_id = m->generation;
	r->member_id = member_id(m);
	r->protocol_type = SLICE_LIT("consumer");
	r->protocol_name = SLICE_LIT("range");
	if (joined->members.n > 0) {		/* it leads */
		r->assignments.v = WIRE_NEW_ARRAY(&l->arena, sync_group_request_assignment, joined->members.n);
		r->assignments.n = joined->members.n;
	}
	for (int32_t i = 0; i < r->assignments.n; i++) {
		r->assignments.v[i].member_id = joined->members.v[i].member_id;
		r->assignments.v[i].assignment = assignment(l, i * l->partitions);
	}
	conn_ask(&m->conn, API_SYNC_GROUP, r, 0, synced);
}

static void
joined(struct conn *c, const struct ask *a, const void *response)
{
	const struct wire_join_group_response *r = response;
	struct member *m = c->owner;

	(void)a;
	if (r->error_code == KERR_MEMBER_ID_REQUIRED || r->error_code == KERR_NONE) {
		free(m->id);
		m->id = xstrndup((const char *)r->member_id.p, r->member_id.len);
	}
	if (r->error_code == KERR_NONE) {
		m->generation = r->generation_id;
		member_sync(m, r);
	} else if (r->error_code == KERR_MEMBER_ID_REQUIRED || r->error_code == KERR_REBALANCE_IN_PROGRESS) {
		member_join(m);
	} else {
		member_refused(m, "JoinGroup", r->error_code);
	}
}

static void
member_join(struct member *m)
{
	struct load *l = m->conn.load;
	struct wire_join_group_request *r = WIRE_NEW(&l->arena, join_group_request);

	m->state = JOINING;
	r->group_id = group_name(l, m->group);
	r->session_timeout_ms = SESSION_MS;
	r->rebalance_timeout_ms = REBALANCE_MS;
	r->member_id = member_id(m);
	r->protocol_type = SLICE_LIT("consumer");
	r->protocols.v = WIRE_NEW_ARRAY(&l->arena, join_group_request_protocol, 1);
	r->protocols.n = 1;
	r->protocols.v[0].name = SLICE_LIT("range");
	r->protocols.v[0].metadata = subscription(l);
	conn_ask(&m->conn, API_JOIN_GROUP, r, 0, joined);
}

/* What a member hears whose group goes on without it, or with one more. */
static void
looked(struct conn *c, const struct ask *a, const void *response)
{
	const struct wire_heartbeat_response *r = response;
	struct member *m = c->owner;

	(void)a;
	if (m->state != MEMBER || r->error_code == KERR_NONE)
		return;
	if (r->error_code != KERR_REBALANCE_IN_PROGRESS && r->error_code != KERR_ILLEGAL_GENERATION)
		member_refused(m, "Heartbeat", r->error_code);
	member_join(m);
}

static bool
group_whole(struct load *l, int group)
{
	struct member *first = &l->member[group * l->members];

	for (int i = 0; i < l->members; i++)
		if (first[i].state != MEMBER || first[i].generation != first->generation)
			return (false);
	return (true);
}

static bool
groups_whole(struct load *l)
{
	bool whole = true;

	for (int g = 0; g < l->groups; g++) {
		if (group_whole(l, g))
			continue;
		whole = false;
		for (struct member *m = &l->member[g * l->members]; m < &l->member[(g + 1) * l->members]; m++)
			if (m->state == MEMBER && m->conn.n == 0)
				conn_ask_frame(&m->conn, API_HEARTBEAT, m->heartbeat, m->heartbeat_len, 0, looked);
	}
	return (whole);
}

static void
greeted(struct conn *c, const struct ask *a, const void *response)
{
	const struct wire_api_versions_response *r = response;

	(void)a;
	if (r->error_code != KERR_NONE)
		errx(1, "ApiVersions was answered with %s", kerr_name((enum kerr)r->error_code));
	c->load->under_way--;
}

/* Every client asks for the broker's versions first.  The next connects when one was answered, so that no backlog runs over. */
static void
members_connect(struct load *l)
{
	struct wire_api_versions_request r = { .client_software_name = SLICE_LIT("groupload"), .client_software_version = SLICE_LIT("1") };
	int64_t end = now_ns() + JOIN_SECONDS * INT64_C(1000000000);

	for (int i = 0; i < l->nmembers || l->under_way > 0;) {
		for (; i < l->nmembers && l->under_way < CONNECTING; i++) {
			l->member[i].group = i / l->members;
			conn_open(l, &l->member[i].conn, &l->member[i]);
			conn_ask(&l->member[i].conn, API_API_VERSIONS, &r, 0, greeted);
			l->under_way++;
		}
		load_turn(l, end);
		if (now_ns() >= end)
			errx(1, "%d of %d members could not connect", l->nmembers - i + l->under_way, l->nmembers);
	}
}

void
members_join(struct load *l)
{
	int64_t began = now_ns(), look = began, end;

	l->nmembers = l->groups * l->members;
	l->member = xcalloc((size_t)l->nmembers, sizeof(*l->member));
	members_connect(l);
	for (int i = 0; i < l->nmembers; i++) {
		arena_reset(&l->arena);
		member_join(&l->member[i]);
		load_turn(l, 0);
	}
	end = now_ns() + JOIN_SECONDS * INT64_C(1000000000);
	for (;;) {
		if (now_ns() >= look) {
			if (groups_whole(l))
				break;
			look = now_ns() + LOOK_MS * 1000000;
		}
		if (now_ns() > end)
			errx(1, "the groups are not whole after %d s", JOIN_SECONDS);
		load_turn(l, look);
	}
	printf("{\"members\": %d, \"seconds\": %.3f}\n", l->nmembers, (double)(now_ns() - began) / 1e9);
}

/* ---- heartbeats and commits ---- */

static void
beaten(struct conn *c, const struct ask *a, const void *response)
{
	const struct wire_heartbeat_response *r = response;

	if (r->error_code != KERR_NONE)
		member_refused(c->owner, "Heartbeat", r->error_code);
	histogram_add(&c->load->heartbeats, (uint64_t)(now_ns() - a->due_ns));
	c->load->under_way--;
}

static void
member_heartbeat(struct member *m, int64_t due_ns)
{
	m->conn.load->under_way++;
	conn_ask_frame(&m->conn, API_HEARTBEAT, m->heartbeat, m->heartbeat_len, due_ns, beaten);
}

static void
committed(struct conn *c, const struct ask *a, const void *response)
{
	const struct wire_offset_commit_response *r = response;

	if (r->topics.n != 1 || r->topics.v[0].partitions.n != c->load->partitions)
		errx(1, "OffsetCommit was answered for %d topics", r->topics.n);
	for (int32_t i = 0; i < r->topics.v[0].partitions.n; i++)
		if (r->topics.v[0].partitions.v[i].error_code != KERR_NONE)
			member_refused(c->owner, "OffsetCommit", r->topics.v[0].partitions.v[i].error_code);
	histogram_add(&c->load->commits, (uint64_t)(now_ns() - a->due_ns));
	c->load->under_way--;
}

static void
member_commit(struct member *m, int64_t due_ns)
{
	struct load *l = m->conn.load;
	struct wire_offset_commit_request *r = WIRE_NEW(&l->arena, offset_commit_request);
	struct wire_offset_commit_request_topic *t = WIRE_NEW_ARRAY(&l->arena, offset_commit_request_topic, 1);

	r->group_id = group_name(l, m->group);
	r->generation_id_or_member_epoch = m->generation;
	r->member_id = member_id(m);
	r->topics.v = t;
	r->topics.n = 1;
	t->name = slice_str(l->topic);
	t->partitions.v = WIRE_NEW_ARRAY(&l->arena, offset_commit_request_partition, l->partitions);
	t->partitions.n = l->partitions;
	m->offset++;
	for (int32_t i = 0; i < l->partitions; i++) {
		t->partitions.v[i].partition_index = m->first + i;
		t->partitions.v[i].committed_offset = m->offset;
	}
	l->under_way++;
	conn_ask(&m->conn, API_OFFSET_COMMIT, r, due_ns, committed);
}

/* One kind of request at its rate. */
struct series {
	void   (*send)(struct member *, int64_t due_ns);
	double	 rate;
	int64_t	 sent;
	int64_t	 late_ns;	/* the most by which the client itself was late */
};

static int64_t
series_due(const struct series *s, int64_t began)
{
	return (s->rate <= 0 ? INT64_MAX : began + (int64_t)((double)s->sent * 1e9 / s->rate));
}

/* Members in an order that goes from group to group. */
static struct member *
member_next(struct load *l, int64_t n)
{
	int64_t k = n % l->nmembers;

	return (&l->member[(k % l->groups) * l->members + k / l->groups]);
}

static void
series_send(struct load *l, struct series *s, int64_t began, int64_t end)
{
	int64_t now = now_ns(), due;

	while ((due = series_due(s, began)) <= now && due < end) {
		s->late_ns = MAX(s->late_ns, now - due);
		arena_reset(&l->arena);
		s->send(member_next(l, s->sent), due);
		s->sent++;
	}
}

static void
answers_wait(struct load *l)
{
	int64_t end = now_ns() + ANSWER_SECONDS * INT64_C(1000000000);

	while (l->under_way > 0) {
		if (now_ns() >= end)
			errx(1, "%d requests were not answered within %d s", l->under_way, ANSWER_SECONDS);
		load_turn(l, end);
	}
}

void
members_run(struct load *l, double seconds, double heartbeats, double commits)
{
	struct series s[2] = { { .send = member_heartbeat, .rate = heartbeats }, { .send = member_commit, .rate = commits } };
	double broker = cpu_seconds(l->pid == 0 ? -1 : l->pid), own = cpu_seconds(0);
	int64_t began = now_ns(), end = began + (int64_t)(seconds * 1e9);

	histogram_reset(&l->heartbeats);
	histogram_reset(&l->commits);
	while (now_ns() < end) {
		series_send(l, &s[0], began, end);
		series_send(l, &s[1], began, end);
		load_turn(l, MIN(MIN(series_due(&s[0], began), series_due(&s[1], began)), end));
	}
	answers_wait(l);
	printf("{\"seconds\": %.3f, \"broker_cpu\": %.6f, \"client_cpu\": %.6f, \"client_late_us\": %.1f", (double)(now_ns() - began) / 1e9,
	    cpu_seconds(l->pid == 0 ? -1 : l->pid) - broker, cpu_seconds(0) - own, (double)MAX(s[0].late_ns, s[1].late_ns) / 1e3);
	latencies_print("heartbeats", &l->heartbeats);
	latencies_print("commits", &l->commits);
	printf("}\n");
}

void
members_commit(struct load *l)
{
	int64_t began = now_ns();

	for (int i = 0; i < l->nmembers; i++) {
		arena_reset(&l->arena);
		member_commit(&l->member[i], now_ns());
		while (l->under_way >= CONNECTING)
			load_turn(l, now_ns() + ANSWER_SECONDS * INT64_C(1000000000));
	}
	answers_wait(l);
	printf("{\"offsets\": %d, \"seconds\": %.3f}\n", l->nmembers * l->partitions, (double)(now_ns() - began) / 1e9);
}

void
members_close(struct load *l)
{
	for (int i = 0; i < l->nmembers; i++) {
		conn_close(&l->member[i].conn);
		free(l->member[i].id);
		free(l->member[i].heartbeat);
	}
	free(l->member);
	l->member = NULL;
	l->nmembers = 0;
}
