/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/group.c - ottla group list, describe, reset, delete.
 *
 * A row is one partition of interest to a group: one it has committed, or one that a member has, or one that is to be reset.  Rows are sorted by
 * topic and partition; what brokers answer is put into them by that key, so that an answer about something else changes nothing.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "tools/age.h"

enum {
	LATEST = -1, EARLIEST = -2,		/* timestamps of ListOffsets */
	NO_OFFSET = -1, NO_TIME = -1,
	OFFSET_FETCH_BEFORE_GROUPS = 7		/* from 8 on a request asks for several groups in another form */
};

struct row {
	const char *topic;
	int32_t partition, leader;
	int64_t committed, start, high_watermark, stable, target, behind_ms;
	const struct wire_describe_groups_response_member *member;
	enum kerr error;
	bool told;			/* the coordinator has said what became of it */
};

struct rows {
	struct row *v;
	size_t n, room;
};

struct group {
	const char *name;
	const struct wire_describe_groups_response_group *d;
	struct rows rows;
};

/* ---- rows ---- */

static int
row_cmp(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int d = strcmp(x->topic, y->topic);

	return (d != 0 ? d : x->partition < y->partition ? -1 : x->partition > y->partition);
}

static struct row *
row_find(const struct rows *rows, const char *topic, int32_t partition)
{
	struct row key = { .topic = topic, .partition = partition };

	return (rows->n == 0 ? NULL : bsearch(&key, rows->v, rows->n, sizeof(key), row_cmp));
}

/* At the end: rows_settle puts it to its place.  NULL: too many, complained. */
static struct row *
row_add(const struct arguments *a, struct cluster *c, struct rows *rows, const char *topic, int32_t partition)
{
	struct row *v;

	if (rows->n == LIMIT_GROUP_PARTITIONS_MAX) {
		(void)failure(a, "the answers name more than %d partitions: that is not looked at", (int)LIMIT_GROUP_PARTITIONS_MAX);
		return (NULL);
	}
	if (rows->n == rows->room) {
		rows->room = rows->room == 0 ? 64 : rows->room * 2;
		v = ARENA_ARRAY(cluster_arena(c), struct row, rows->room);
		must(v != NULL);
		if (rows->n > 0)
			memcpy(v, rows->v, rows->n * sizeof(*v));
		rows->v = v;
	}
	v = &rows->v[rows->n++];
	*v = (struct row){ .topic = topic, .partition = partition, .leader = NO_NODE, .committed = NO_OFFSET, .start = NO_OFFSET,
		.high_watermark = NO_OFFSET, .stable = NO_OFFSET, .target = NO_OFFSET, .behind_ms = NO_TIME };
	return (v);
}

/* Sorted, each partition once, with all that is known of it. */
static void
rows_settle(struct rows *rows)
{
	size_t n = 0;

	if (rows->n > 1)
		qsort(rows->v, rows->n, sizeof(*rows->v), row_cmp);
	for (size_t i = 0; i < rows->n; i++) {
		if (n == 0 || row_cmp(&rows->v[n - 1], &rows->v[i]) != 0) {
			rows->v[n++] = rows->v[i];
			continue;
		}
		rows->v[n - 1].committed = MAX(rows->v[n - 1].committed, rows->v[i].committed);
		if (rows->v[n - 1].member == NULL)
			rows->v[n - 1].member = rows->v[i].member;
	}
	rows->n = n;
}

/* How many rows from the i-th on are of its topic. */
static int32_t
same_topic(const struct rows *rows, size_t i)
{
	size_t k = i;

	while (k < rows->n && strcmp(rows->v[k].topic, rows->v[i].topic) == 0)
		k++;
	return ((int32_t)(k - i));
}

/* Who leads each; what nobody leads gets an error. */
static bool
find_leaders(struct cluster *c, struct rows *rows)
{
	const struct wire_metadata_response *m = cluster_metadata(c, NULL, 0);

	for (size_t i = 0; i < rows->n; i++) {
		rows->v[i].leader = NO_NODE;
		rows->v[i].error = KERR_UNKNOWN_TOPIC_OR_PARTITION;
	}
	for (int32_t t = 0; m != NULL && t < m->topics.n; t++) {
		const char *topic = text_of(c, m->topics.v[t].name);

		for (int32_t p = 0; p < m->topics.v[t].partitions.n; p++) {
			struct row *r = row_find(rows, topic, m->topics.v[t].partitions.v[p].partition_index);

			if (r == NULL)
				continue;
			r->leader = m->topics.v[t].partitions.v[p].leader_id;
			r->error = r->leader < 0 ? KERR_LEADER_NOT_AVAILABLE : KERR_NONE;
		}
	}
	return (m != NULL);
}

/* ---- offsets of the log ---- */

typedef struct wire_list_offsets_request_topic ask_topic;

/* The rows that `leader` leads, by topic. */
static void
ask_of(struct cluster *c, const struct rows *rows, int32_t leader, int64_t timestamp, struct wire_list_offsets_request *r)
{
	ask_topic *t = NULL;

	r->topics.v = WIRE_NEW_ARRAY(cluster_arena(c), list_offsets_request_topic, (int32_t)rows->n);
	r->topics.n = 0;
	for (size_t i = 0; i < rows->n; i++) {
		if (rows->v[i].leader != leader || rows->v[i].error != KERR_NONE)
			continue;
		if (t == NULL || !slice_eq_str(t->name, rows->v[i].topic)) {
			t = &r->topics.v[r->topics.n++];
			t->name = slice_str(rows->v[i].topic);
			t->partitions.v = WIRE_NEW_ARRAY(cluster_arena(c), list_offsets_request_partition, same_topic(rows, i));
		}
		t->partitions.v[t->partitions.n].partition_index = rows->v[i].partition;
		t->partitions.v[t->partitions.n++].timestamp = timestamp;
	}
}

static void
take_offsets(struct cluster *c, struct rows *rows, const struct wire_list_offsets_response *a, size_t field)
{
	for (int32_t t = 0; t < a->topics.n; t++)
		for (int32_t p = 0; p < a->topics.v[t].partitions.n; p++) {
			const struct wire_list_offsets_response_partition *o = &a->topics.v[t].partitions.v[p];
			struct row *r = row_find(rows, text_of(c, a->topics.v[t].name), o->partition_index);

			if (r == NULL)
				continue;
			if (o->error_code != KERR_NONE)
				r->error = (enum kerr)o->error_code;
			else
				*(int64_t *)(void *)((char *)r + field) = o->offset;
		}
}

static bool
leads_any(const struct rows *rows, int32_t id)
{
	for (size_t i = 0; i < rows->n; i++)
		if (rows->v[i].leader == id && rows->v[i].error == KERR_NONE)
			return (true);
	return (false);
}

/* Fills one field of all rows: the offset at a timestamp, for readers of committed records or of all. */
static bool
list_offsets(struct cluster *c, struct rows *rows, int64_t timestamp, bool committed, size_t field)
{
	int32_t n;
	const int32_t *ids = cluster_ids(c, &n);

	for (int32_t i = 0; i < n; i++) {
		struct wire_list_offsets_request r;
		const struct wire_list_offsets_response *a;
		struct node *leader;
		int version;

		if (!leads_any(rows, ids[i]))
			continue;
		WIRE_INIT(list_offsets_request, &r);
		r.replica_id = -1;
		r.isolation_level = committed;
		ask_of(c, rows, ids[i], timestamp, &r);
		leader = cluster_node(c, ids[i]);
		if (leader == NULL || (version = cluster_version(c, leader, API_LIST_OFFSETS, 2, ANY_VERSION)) < 0)
			return (false);
		a = cluster_call(c, leader, API_LIST_OFFSETS, version, &r);
		if (a == NULL)
			return (false);
		take_offsets(c, rows, a, field);
	}
	return (ids != NULL);
}

/* ---- how old is the first record that the group has not seen? ---- */

/* Where retention has passed what is committed, the group goes on at the log's beginning. */
static bool
find_ages(struct cluster *c, struct rows *rows)
{
	struct age *v = ARENA_ARRAY(cluster_arena(c), struct age, rows->n);
	size_t n = 0;

	must(v != NULL || rows->n == 0);
	for (size_t i = 0; i < rows->n; i++) {
		struct row *r = &rows->v[i];

		if (r->error != KERR_NONE || r->committed < 0 || r->high_watermark < 0)
			continue;
		if (MAX(r->committed, r->start) >= r->high_watermark)
			r->behind_ms = 0;
		else
			v[n++] = (struct age){ .topic = r->topic, .partition = r->partition, .leader = r->leader, .offset = MAX(r->committed, r->start),
				.end = r->high_watermark, .ms = &r->behind_ms };
	}
	return (ages_find(c, v, n));
}

/* ---- questions ---- */

struct question {
	enum api_key key;
	int oldest, newest;
	enum kerr (*error)(const void *answer);
};

static enum kerr
list_error(const void *p)
{
	return ((enum kerr)((const struct wire_list_groups_response *)p)->error_code);
}

/* Of one group; an answer about others has no error of ours. */
static enum kerr
describe_error(const void *p)
{
	const struct wire_describe_groups_response *d = p;

	return (d->groups.n == 1 ? (enum kerr)d->groups.v[0].error_code : KERR_UNKNOWN_SERVER_ERROR);
}

static enum kerr
offset_fetch_error(const void *p)
{
	return ((enum kerr)((const struct wire_offset_fetch_response *)p)->error_code);
}

/* What the coordinator says of the group it says of each partition. */
static enum kerr
offset_commit_error(const void *p)
{
	const struct wire_offset_commit_response *o = p;

	return (o->topics.n > 0 && o->topics.v[0].partitions.n > 0 ? (enum kerr)o->topics.v[0].partitions.v[0].error_code : KERR_NONE);
}

static enum kerr
delete_error(const void *p)
{
	const struct wire_delete_groups_response *d = p;

	return (d->results.n == 1 ? (enum kerr)d->results.v[0].error_code : KERR_UNKNOWN_SERVER_ERROR);
}

static enum kerr
offset_delete_error(const void *p)
{
	return ((enum kerr)((const struct wire_offset_delete_response *)p)->error_code);
}

static const struct question
    list_groups = { API_LIST_GROUPS, 0, ANY_VERSION, list_error },
    describe_groups = { API_DESCRIBE_GROUPS, 0, ANY_VERSION, describe_error },
    offset_fetch = { API_OFFSET_FETCH, 2, OFFSET_FETCH_BEFORE_GROUPS, offset_fetch_error },
    offset_commit = { API_OFFSET_COMMIT, 2, ANY_VERSION, offset_commit_error },
    offset_delete = { API_OFFSET_DELETE, 0, ANY_VERSION, offset_delete_error },
    remove_groups = { API_DELETE_GROUPS, 0, ANY_VERSION, delete_error };

/* Of the group's coordinator, wherever it is by now (group NULL: of a broker), again while it moves or loads.  NULL: complained; other errors are the
 * caller's. */
static void *
ask(struct cluster *c, const char *group, int32_t id, const struct question *q, void *request)
{
	void *answer;

	for (;;) {
		struct node *n = group != NULL ? cluster_coordinator(c, group) : cluster_node(c, id);
		int version = n == NULL ? -1 : cluster_version(c, n, q->key, q->oldest, q->newest);

		answer = version < 0 ? NULL : cluster_call(c, n, q->key, version, request);
		if (answer == NULL || !cluster_again(c, q->error(answer)))
			return (answer);
		cluster_drop(c, answer);
	}
}

/* ---- the group ---- */

static const struct wire_describe_groups_response_group *
describe_group(const struct arguments *a, struct cluster *c, const char *group)
{
	struct wire_describe_groups_request r;
	const struct wire_describe_groups_response *d;
	struct slice name = slice_str(group);
	enum kerr e;

	WIRE_INIT(describe_groups_request, &r);
	r.groups = (struct wire_str_array){ &name, 1 };
	d = ask(c, group, NO_NODE, &describe_groups, &r);
	if (d == NULL)
		return (NULL);
	e = d->groups.n == 1 && !slice_eq_str(d->groups.v[0].group_id, group) ? KERR_UNKNOWN_SERVER_ERROR : describe_error(d);
	if (e == KERR_NONE || e == KERR_GROUP_ID_NOT_FOUND)
		return (&d->groups.v[0]);
	(void)broker_refused(a, group, e, SLICE_NULL);
	return (NULL);
}

/* What it has committed, as rows. */
static bool
read_committed(const struct arguments *a, struct cluster *c, struct group *g)
{
	struct wire_offset_fetch_request r;
	const struct wire_offset_fetch_response *o;

	WIRE_INIT(offset_fetch_request, &r);
	r.group_id = slice_str(g->name);
	r.topics.n = -1;
	o = ask(c, g->name, NO_NODE, &offset_fetch, &r);
	if (o == NULL)
		return (false);
	if (o->error_code != KERR_NONE) {
		(void)broker_refused(a, g->name, (enum kerr)o->error_code, SLICE_NULL);
		return (false);
	}
	for (int32_t t = 0; t < o->topics.n; t++) {
		const char *topic = text_of(c, o->topics.v[t].name);

		for (int32_t p = 0; p < o->topics.v[t].partitions.n; p++) {
			const struct wire_offset_fetch_response_partition *f = &o->topics.v[t].partitions.v[p];
			struct row *row;

			if (f->error_code != KERR_NONE || f->committed_offset < 0)
				continue;
			row = row_add(a, c, &g->rows, topic, f->partition_index);
			if (row == NULL)
				return (false);
			row->committed = f->committed_offset;
		}
	}
	return (true);
}

/* An assignment as Kafka's consumers write it: version, topics with their partitions.  What is no such thing, or ends too early, gives no
 * rows. */
static bool
read_assignment(const struct arguments *a, struct cluster *c, struct group *g, const struct wire_describe_groups_response_member *m)
{
	struct reader r = reader_of(m->member_assignment);
	size_t before = g->rows.n;
	int32_t topics;

	(void)rd_i16(&r);
	topics = rd_i32(&r);
	for (int32_t t = 0; t < topics && !r.bad; t++) {
		int16_t len = rd_i16(&r);
		struct slice name = len < 0 ? SLICE_NULL : rd_slice(&r, (size_t)len);
		const char *topic = text_of(c, name);
		int32_t partitions = rd_i32(&r);

		for (int32_t p = 0; p < partitions && !r.bad && name.p != NULL; p++) {
			int32_t number = rd_i32(&r);
			struct row *row = r.bad ? NULL : row_add(a, c, &g->rows, topic, number);

			if (row != NULL)
				row->member = m;
			else if (!r.bad)
				return (false);
		}
		if (name.p == NULL)
			r.bad = true;
	}
	if (r.bad)
		g->rows.n = before;
	return (true);
}

static bool
is_consumer(const struct group *g)
{
	return (slice_eq_str(g->d->protocol_type, "consumer"));
}

static bool
is_gone(const struct group *g)
{
	return (g->d->error_code == KERR_GROUP_ID_NOT_FOUND || slice_eq_str(g->d->group_state, "Dead"));
}

static bool
group_read(const struct arguments *a, struct cluster *c, const char *name, struct group *g)
{
	*g = (struct group){ .name = name };
	g->d = describe_group(a, c, name);
	if (g->d == NULL || !read_committed(a, c, g))
		return (false);
	for (int32_t i = 0; is_consumer(g) && i < g->d->members.n; i++)
		if (!read_assignment(a, c, g, &g->d->members.v[i]))
			return (false);
	rows_settle(&g->rows);
	return (true);
}

/* ---- list ---- */

typedef struct wire_list_groups_response_listed_group listed;

static const struct wire_list_groups_response *
groups_of(const struct arguments *a, struct cluster *c, int32_t id)
{
	struct wire_list_groups_request r;
	const struct wire_list_groups_response *l;

	WIRE_INIT(list_groups_request, &r);
	l = ask(c, NULL, id, &list_groups, &r);
	if (l == NULL || l->error_code == KERR_NONE)
		return (l);
	(void)broker_refused(a, arena_printf(cluster_arena(c), "broker %" PRId32, id), (enum kerr)l->error_code, SLICE_NULL);
	return (NULL);
}

static void
list_one(const struct arguments *a, struct cluster *c, struct table *t, const listed *g, int32_t broker)
{
	struct line j;

	if (!given(a, OPT_json)) {
		table_cell(t, "%s", text_of(c, g->group_id));
		table_cell(t, "%s", text_of(c, g->group_state));
		table_cell(t, "%s", text_of(c, g->protocol_type));
		table_cell(t, "%" PRId32, broker);
		return;
	}
	line_begin(&j, "group");
	line_bytes(&j, "group", g->group_id);
	line_bytes(&j, "state", g->group_state);
	line_bytes(&j, "protocol_type", g->protocol_type);
	line_bytes(&j, "group_type", g->group_type);
	line_int(&j, "coordinator", broker);
	line_end(&j);
}

static int
by_id(const void *a, const void *b)
{
	return (slice_cmp(((const listed *)a)->group_id, ((const listed *)b)->group_id));
}

static enum status
list(const struct arguments *a, struct cluster *c)
{
	static const char *const heads[] = { "GROUP", "STATE", "PROTOCOL", "COORDINATOR" };
	enum status status = STATUS_CLEAN;
	int32_t n;
	const int32_t *ids = cluster_ids(c, &n);
	struct table *t;

	if (ids == NULL)
		return (STATUS_FAILED);
	t = table_new(heads, NELEM(heads));
	for (int32_t i = 0; i < n; i++) {
		const struct wire_list_groups_response *l = groups_of(a, c, ids[i]);

		if (l == NULL)
			status = STATUS_FAILED;
		else if (l->groups.n > 1)
			qsort(l->groups.v, (size_t)l->groups.n, sizeof(*l->groups.v), by_id);
		for (int32_t k = 0; l != NULL && k < l->groups.n; k++)
			if (is_wanted(a, text_of(c, l->groups.v[k].group_id)))
				list_one(a, c, t, &l->groups.v[k], ids[i]);
	}
	table_print(&t);
	return (status);
}

static enum status
no_such_group(const struct arguments *a, struct cluster *c, const char *name)
{
	struct nearest near = { .word = name, .within = 4 };
	int32_t n;
	const int32_t *ids = cluster_ids(c, &n);

	for (int32_t i = 0; i < n; i++) {
		const struct wire_list_groups_response *l = groups_of(a, c, ids[i]);

		for (int32_t k = 0; l != NULL && k < l->groups.n; k++) {
			const char *other = text_of(c, l->groups.v[k].group_id);

			if (strcmp(name, other) != 0)
				nearest_offer(&near, other);
		}
	}
	return (failure(a, "there is no group %s%s%s%s", name, near.best == NULL ? " (ottla group list says which there are)" : "; did you mean ",
	    near.best == NULL ? "" : near.best, near.best == NULL ? "" : "?"));
}

/* ---- describe ---- */

static void
cell_offset(struct table *t, int64_t v)
{
	if (v < 0)
		table_cell(t, "-");
	else
		table_cell(t, "%" PRId64, v);
}

static int64_t
lag(const struct row *r, int64_t end)
{
	return (r->committed < 0 || end < 0 ? NO_OFFSET : MAX(end - r->committed, 0));
}

static void
cell_age(struct table *t, int64_t ms)
{
	if (ms < 0)
		table_cell(t, "-");
	else if (ms < 60000)
		table_cell(t, "%.1fs", (double)ms / 1000);
	else if (ms < 5400000)
		table_cell(t, "%.1fmin", (double)ms / 60000);
	else if (ms < INT64_C(172800000))
		table_cell(t, "%.1fh", (double)ms / 3600000);
	else
		table_cell(t, "%.1fd", (double)ms / 86400000);
}

static void
row_print(struct cluster *c, struct table *t, const struct row *r)
{
	table_cell(t, "%s", r->topic);
	table_cell(t, "%" PRId32, r->partition);
	cell_offset(t, r->committed);
	cell_offset(t, r->high_watermark);
	cell_offset(t, lag(r, r->high_watermark));
	cell_offset(t, lag(r, r->stable));
	cell_age(t, r->behind_ms);
	if (r->error != KERR_NONE)
		table_cell(t, "%s", kerr_name(r->error));
	else
		table_cell(t, "%s", r->member == NULL ? "-" : text_of(c, r->member->member_id));
}

static void
row_json(const char *group, const struct row *r)
{
	struct line j;

	line_begin(&j, "partition");
	line_string(&j, "group", group);
	line_string(&j, "topic", r->topic);
	line_int(&j, "partition", r->partition);
	line_int(&j, "committed", r->committed);
	line_int(&j, "log_start", r->start);
	line_int(&j, "high_watermark", r->high_watermark);
	line_int(&j, "last_stable", r->stable);
	line_int(&j, "lag", lag(r, r->high_watermark));
	line_int(&j, "stable_lag", lag(r, r->stable));
	line_int(&j, "time_lag_ms", r->behind_ms);
	line_bytes(&j, "member", r->member == NULL ? SLICE_NULL : r->member->member_id);
	line_string(&j, "error", r->error == KERR_NONE ? NULL : kerr_name(r->error));
	line_end(&j);
}

static void
members_json(const struct group *g)
{
	struct line j;

	line_begin(&j, "group");
	line_string(&j, "group", g->name);
	line_bytes(&j, "state", g->d->group_state);
	line_bytes(&j, "protocol_type", g->d->protocol_type);
	line_bytes(&j, "protocol", g->d->protocol_data);
	line_int(&j, "members", g->d->members.n);
	line_end(&j);
	for (int32_t i = 0; i < g->d->members.n; i++) {
		const struct wire_describe_groups_response_member *m = &g->d->members.v[i];

		line_begin(&j, "member");
		line_string(&j, "group", g->name);
		line_bytes(&j, "member", m->member_id);
		line_bytes(&j, "instance", m->group_instance_id);
		line_bytes(&j, "client_id", m->client_id);
		line_bytes(&j, "host", m->client_host);
		line_end(&j);
	}
}

static void
members_print(struct cluster *c, const struct group *g)
{
	static const char *const heads[] = { "MEMBER", "INSTANCE", "CLIENT", "HOST" };
	struct table *t = table_new(heads, NELEM(heads));

	printf("%s  %s  members %" PRId32 "%s%s\n", g->name, text_of(c, g->d->group_state), g->d->members.n, g->d->protocol_data.len == 0 ? "" : "  protocol ",
	    text_of(c, g->d->protocol_data));
	for (int32_t i = 0; i < g->d->members.n; i++) {
		const struct wire_describe_groups_response_member *m = &g->d->members.v[i];

		table_cell(t, "%s", text_of(c, m->member_id));
		table_cell(t, "%s", m->group_instance_id.len == 0 ? "-" : text_of(c, m->group_instance_id));
		table_cell(t, "%s", text_of(c, m->client_id));
		table_cell(t, "%s", text_of(c, m->client_host));
	}
	table_print(&t);
}

static enum status
describe_one(const struct arguments *a, struct cluster *c, const char *name)
{
	static const char *const heads[] = { "TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "STABLE-LAG", "TIME-LAG", "MEMBER" };
	enum status status = STATUS_CLEAN;
	struct group g;
	struct table *t;

	if (!group_read(a, c, name, &g))
		return (STATUS_FAILED);
	if (is_gone(&g) && g.rows.n == 0)
		return (no_such_group(a, c, name));
	if (!find_leaders(c, &g.rows) || !list_offsets(c, &g.rows, LATEST, false, offsetof(struct row, high_watermark)) ||
	    !list_offsets(c, &g.rows, LATEST, true, offsetof(struct row, stable)) || !list_offsets(c, &g.rows, EARLIEST, false, offsetof(struct row, start)))
		return (STATUS_FAILED);
	if (given(a, OPT_json))
		members_json(&g);
	else
		members_print(c, &g);
	if (!find_ages(c, &g.rows))
		status = STATUS_FAILED;
	t = table_new(heads, NELEM(heads));
	for (size_t i = 0; i < g.rows.n; i++) {
		if (given(a, OPT_json))
			row_json(name, &g.rows.v[i]);
		else
			row_print(c, t, &g.rows.v[i]);
		if (g.rows.v[i].error != KERR_NONE)
			status = worse(status, STATUS_FOUND);
	}
	table_print(&t);
	return (status);
}

static enum status
describe(const struct arguments *a, struct cluster *c)
{
	enum status status = STATUS_CLEAN;

	for (unsigned i = 0; i < a->noperands; i++)
		status = worse(status, describe_one(a, c, a->operands[i]));
	return (status);
}

/* ---- what became of it ---- */

/* What the coordinator says of a row; of what is none only errors are told. */
static enum status
hear(const struct arguments *a, struct cluster *c, const struct rows *rows, struct slice name, int32_t partition, enum kerr e)
{
	const char *topic = text_of(c, name);
	struct row *r = row_find(rows, topic, partition);

	if (r != NULL)
		r->told = true;
	return (e == KERR_NONE ? STATUS_CLEAN : broker_refused(a, arena_printf(cluster_arena(c), "%s-%" PRId32, topic, partition), e, SLICE_NULL));
}

/* Silence about a row is no success. */
static enum status
all_told(const struct arguments *a, const struct rows *rows, const char *done)
{
	enum status status = STATUS_CLEAN;

	for (size_t i = 0; i < rows->n; i++)
		if (!rows->v[i].told)
			status = failure(a, "%s-%" PRId32 ": the coordinator says nothing of it; whether it was %s is not known", rows->v[i].topic,
			    rows->v[i].partition, done);
	return (status);
}

/* ---- reset ---- */

/* The partitions that are to be reset: those that the group has committed, or those of --topic. */
static bool
reset_rows(const struct arguments *a, struct cluster *c, struct group *g)
{
	const struct wire_metadata_response *m;
	const struct wire_metadata_response_topic *t = NULL;
	const char *topic = a->value[OPT_topic];
	int64_t only = -1;
	size_t kept = 0;

	if (!option_i64(a, OPT_partition, &only))
		return (false);
	if (topic != NULL) {
		m = cluster_metadata(c, NULL, 0);
		t = m == NULL ? NULL : cluster_topic(c, m, topic);
		if (t == NULL)
			return (false);
		for (int32_t i = 0; i < t->partitions.n; i++)
			if (row_add(a, c, &g->rows, topic, t->partitions.v[i].partition_index) == NULL)
				return (false);
		rows_settle(&g->rows);
	}
	for (size_t i = 0; i < g->rows.n; i++)
		if ((topic == NULL || strcmp(g->rows.v[i].topic, topic) == 0) && (only < 0 || g->rows.v[i].partition == only))
			g->rows.v[kept++] = g->rows.v[i];
	g->rows.n = kept;
	if (kept == 0)
		(void)failure(a, "%s has committed nothing%s; --topic TOPIC names what is to be set", g->name, topic == NULL && only < 0 ? "" : " there");
	return (kept > 0);
}

/* The targets, before they are brought within the log. */
static bool
aim(const struct arguments *a, struct cluster *c, struct rows *rows)
{
	int64_t n = 0, ms = 0;

	if (!option_i64(a, OPT_offset, &n) || !option_i64(a, OPT_shift, &n) || !option_time(a, OPT_time, &ms))
		return (false);
	if (given(a, OPT_time) && !list_offsets(c, rows, MAX(ms, 0), false, offsetof(struct row, target)))
		return (false);
	for (size_t i = 0; i < rows->n; i++) {
		struct row *r = &rows->v[i];

		if (given(a, OPT_earliest))
			r->target = r->start;
		else if (given(a, OPT_latest) || (given(a, OPT_time) && r->target < 0))	/* no record is that young */
			r->target = r->high_watermark;
		else if (given(a, OPT_offset))
			r->target = n;
		else if (given(a, OPT_shift) && r->committed < 0) {
			(void)failure(a, "%s-%" PRId32 ": nothing is committed that could be shifted", r->topic, r->partition);
			return (false);
		} else if (given(a, OPT_shift) && __builtin_add_overflow(r->committed, n, &r->target))
			r->target = n < 0 ? 0 : INT64_MAX;
	}
	return (true);
}

static enum status
within_log(const struct arguments *a, struct rows *rows)
{
	enum status status = STATUS_CLEAN;

	for (size_t i = 0; i < rows->n; i++) {
		struct row *r = &rows->v[i];
		int64_t target = MIN(MAX(r->target, r->start), r->high_watermark);

		if (r->error != KERR_NONE)
			status = failure(a, "%s-%" PRId32 ": %s", r->topic, r->partition, kerr_name(r->error));
		else if (r->start < 0 || r->high_watermark < r->start)
			status = failure(a, "%s-%" PRId32 ": its leader does not say where the log begins and ends", r->topic, r->partition);
		else if (target != r->target)
			fprintf(stderr, "%s-%" PRId32 ": the log holds %" PRId64 " to %" PRId64 "; %" PRId64 " is taken for %" PRId64 "\n", r->topic, r->partition,
			    r->start, r->high_watermark, target, r->target);
		r->target = target;
	}
	return (status);
}

static enum status
commit(const struct arguments *a, struct cluster *c, const struct group *g)
{
	struct wire_offset_commit_request r;
	const struct wire_offset_commit_response *o;
	struct wire_offset_commit_request_topic *t = NULL;
	enum status status = STATUS_CLEAN;

	WIRE_INIT(offset_commit_request, &r);
	r.group_id = slice_str(g->name);
	r.topics.v = WIRE_NEW_ARRAY(cluster_arena(c), offset_commit_request_topic, (int32_t)g->rows.n);
	for (size_t i = 0; i < g->rows.n; i++) {
		if (t == NULL || !slice_eq_str(t->name, g->rows.v[i].topic)) {
			t = &r.topics.v[r.topics.n++];
			t->name = slice_str(g->rows.v[i].topic);
			t->partitions.v = WIRE_NEW_ARRAY(cluster_arena(c), offset_commit_request_partition, same_topic(&g->rows, i));
		}
		t->partitions.v[t->partitions.n].partition_index = g->rows.v[i].partition;
		t->partitions.v[t->partitions.n++].committed_offset = g->rows.v[i].target;
	}
	o = ask(c, g->name, NO_NODE, &offset_commit, &r);
	if (o == NULL)
		return (STATUS_FAILED);
	for (int32_t i = 0; i < o->topics.n; i++)
		for (int32_t p = 0; p < o->topics.v[i].partitions.n; p++)
			status = worse(status, hear(a, c, &g->rows, o->topics.v[i].name, o->topics.v[i].partitions.v[p].partition_index,
			    (enum kerr)o->topics.v[i].partitions.v[p].error_code));
	return (worse(status, all_told(a, &g->rows, "committed")));
}

static void
show_reset(const struct arguments *a, const struct group *g)
{
	static const char *const heads[] = { "TOPIC", "PARTITION", "FROM", "TO" };
	struct table *t = table_new(heads, NELEM(heads));
	struct line j;

	for (size_t i = 0; i < g->rows.n; i++) {
		const struct row *r = &g->rows.v[i];

		if (given(a, OPT_json)) {
			line_begin(&j, "reset");
			line_string(&j, "group", g->name);
			line_string(&j, "topic", r->topic);
			line_int(&j, "partition", r->partition);
			line_int(&j, "from", r->committed);
			line_int(&j, "to", r->target);
			line_bool(&j, "done", given(a, OPT_apply));
			line_end(&j);
			continue;
		}
		table_cell(t, "%s", r->topic);
		table_cell(t, "%" PRId32, r->partition);
		cell_offset(t, r->committed);
		cell_offset(t, r->target);
	}
	table_print(&t);
	if (!given(a, OPT_apply))
		fprintf(stderr, "Nothing was written; --apply does it.\n");
}

static enum status
reset(const struct arguments *a, struct cluster *c)
{
	static const enum option ways[] = { OPT_earliest, OPT_latest, OPT_offset, OPT_time, OPT_shift };
	enum status status;
	unsigned n = 0;
	struct group g;

	for (size_t i = 0; i < NELEM(ways); i++)
		n += given(a, ways[i]);
	if (n != 1)
		return (usage_error(a, "wants one of --earliest, --latest, --offset N, --time TIME, --shift N"));
	if (!group_read(a, c, a->operands[0], &g))
		return (STATUS_FAILED);
	if (g.d->members.n > 0 || (!is_gone(&g) && !slice_eq_str(g.d->group_state, "Empty")))
		return (failure(a, "%s has members (%s): they would overwrite it.  Stop them first", g.name, text_of(c, g.d->group_state)));
	if (!reset_rows(a, c, &g) || !find_leaders(c, &g.rows) || !list_offsets(c, &g.rows, LATEST, false, offsetof(struct row, high_watermark)) ||
	    !list_offsets(c, &g.rows, EARLIEST, false, offsetof(struct row, start)) || !aim(a, c, &g.rows))
		return (STATUS_FAILED);
	status = within_log(a, &g.rows);
	if (status == STATUS_CLEAN && given(a, OPT_apply))
		status = commit(a, c, &g);
	if (status == STATUS_CLEAN)
		show_reset(a, &g);
	return (status);
}

/* ---- delete ---- */

static void
say_deleted(const struct arguments *a, const char *group, const char *topic)
{
	struct line j;

	if (!given(a, OPT_json)) {
		printf("%s%s%s: deleted\n", group, topic == NULL ? "" : ", offsets of ", topic == NULL ? "" : topic);
		return;
	}
	line_begin(&j, "group");
	line_string(&j, "group", group);
	line_string(&j, "result", "deleted");
	line_string(&j, "topic", topic);
	line_end(&j);
}

static enum status
delete_group(const struct arguments *a, struct cluster *c, const char *name)
{
	struct wire_delete_groups_request r;
	const struct wire_delete_groups_response *d;
	struct slice group = slice_str(name);
	enum kerr e;

	WIRE_INIT(delete_groups_request, &r);
	r.groups_names = (struct wire_str_array){ &group, 1 };
	d = ask(c, name, NO_NODE, &remove_groups, &r);
	if (d == NULL)
		return (STATUS_FAILED);
	e = d->results.n == 1 && slice_eq_str(d->results.v[0].group_id, name) ? (enum kerr)d->results.v[0].error_code : KERR_UNKNOWN_SERVER_ERROR;
	if (e == KERR_GROUP_ID_NOT_FOUND)
		return (no_such_group(a, c, name));
	if (e != KERR_NONE)
		return (broker_refused(a, name, e, SLICE_NULL));
	say_deleted(a, name, NULL);
	return (STATUS_CLEAN);
}

/* Of one topic, all that the group has committed. */
static enum status
delete_offsets(const struct arguments *a, struct cluster *c, const char *name)
{
	struct wire_offset_delete_request r;
	struct wire_offset_delete_request_topic t;
	const struct wire_offset_delete_response *d;
	const char *topic = a->value[OPT_topic];
	enum status status = STATUS_CLEAN;
	size_t kept = 0;
	struct group g;

	if (!group_read(a, c, name, &g))
		return (STATUS_FAILED);
	for (size_t i = 0; i < g.rows.n; i++)
		if (strcmp(g.rows.v[i].topic, topic) == 0 && g.rows.v[i].committed >= 0)
			g.rows.v[kept++] = g.rows.v[i];
	g.rows.n = kept;
	if (kept == 0)
		return (failure(a, "%s has committed nothing of %s", name, topic));
	WIRE_INIT(offset_delete_request, &r);
	WIRE_INIT(offset_delete_request_topic, &t);
	t.name = slice_str(topic);
	t.partitions.v = WIRE_NEW_ARRAY(cluster_arena(c), offset_delete_request_partition, (int32_t)kept);
	for (size_t i = 0; i < kept; i++)
		t.partitions.v[t.partitions.n++].partition_index = g.rows.v[i].partition;
	r.group_id = slice_str(name);
	r.topics.v = &t;
	r.topics.n = 1;
	d = ask(c, name, NO_NODE, &offset_delete, &r);
	if (d == NULL)
		return (STATUS_FAILED);
	if (d->error_code != KERR_NONE)
		return (broker_refused(a, name, (enum kerr)d->error_code, SLICE_NULL));
	for (int32_t i = 0; i < d->topics.n; i++)
		for (int32_t p = 0; p < d->topics.v[i].partitions.n; p++)
			status = worse(status, hear(a, c, &g.rows, d->topics.v[i].name, d->topics.v[i].partitions.v[p].partition_index,
			    (enum kerr)d->topics.v[i].partitions.v[p].error_code));
	status = worse(status, all_told(a, &g.rows, "deleted"));
	if (status == STATUS_CLEAN)
		say_deleted(a, name, topic);
	return (status);
}

static enum status
delete_groups(const struct arguments *a, struct cluster *c)
{
	enum status status = STATUS_CLEAN;

	for (unsigned i = 0; i < a->noperands; i++)
		status = worse(status, given(a, OPT_topic) ? delete_offsets(a, c, a->operands[i]) : delete_group(a, c, a->operands[i]));
	return (status);
}

enum status verb_group_list(const struct arguments *a) { return (on_cluster(a, list)); }
enum status verb_group_describe(const struct arguments *a) { return (on_cluster(a, describe)); }
enum status verb_group_reset(const struct arguments *a) { return (on_cluster(a, reset)); }
enum status verb_group_delete(const struct arguments *a) { return (on_cluster(a, delete_groups)); }
