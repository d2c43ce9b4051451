/* SPDX-License-Identifier: Apache-2.0
 *
 * group/records.c - see records.h, which has the layouts.
 *
 * By hand and not rows of the wire tables: loading reads millions of these while clients wait, and five layouts do not need a walker.
 * test/golden/group has each of them as Kafka's own classes write it.
 */
#include "base/must.h"
#include "group/records.h"

enum { KEY_OFFSET_OLD = 0, KEY_OFFSET = 1, KEY_GROUP = 2, OFFSET_EXPIRES = 1, OFFSET_LAST = 4, GROUP_LAST = 4, WRITTEN = 3, FLEXIBLE = 4 };

/* ---- pieces ---- */

static struct slice
get_string(struct reader *r, bool flexible, bool nullable)
{
	int64_t len = flexible ? (int64_t)rd_uvarint(r) - 1 : rd_i16(r);

	if (len < 0) {
		r->bad = r->bad || len != -1 || !nullable;
		return (SLICE_NULL);
	}
	return (len > INT16_MAX ? (r->bad = true, SLICE_NULL) : rd_slice(r, (size_t)len));
}

static struct slice
get_bytes(struct reader *r, bool flexible)
{
	int64_t len = flexible ? (int64_t)rd_uvarint(r) - 1 : rd_i32(r);

	if (len < 0) {
		r->bad = true;
		return (SLICE_NULL);
	}
	return (rd_slice(r, (size_t)len));
}

static void
skip_tags(struct reader *r, bool flexible)
{
	uint32_t n = flexible ? rd_uvarint(r) : 0;

	for (; n > 0 && !r->bad; n--) {
		(void)rd_uvarint(r);
		(void)rd_take(r, rd_uvarint(r));
	}
}

static void
put_string(struct writer *w, struct slice s)
{
	must(s.len <= INT16_MAX);
	wr_i16(w, s.p == NULL ? -1 : (int16_t)s.len);
	wr_bytes(w, s.p, s.len);
}

static void
put_bytes(struct writer *w, struct slice s)
{
	must(s.len <= INT32_MAX);
	wr_i32(w, (int32_t)s.len);
	wr_bytes(w, s.p, s.len);
}

/* ---- keys ---- */

enum err
group_key_decode(struct slice in, struct group_key *k)
{
	struct reader r = reader_of(in);
	int16_t version = rd_i16(&r);

	*k = (struct group_key){ .kind = version == KEY_GROUP ? GROUP_KEY_GROUP : GROUP_KEY_OFFSET };
	if (r.bad || version < 0)
		return (ERR_MALFORMED);
	if (version > KEY_GROUP)
		return (ERR_UNSUPPORTED);
	k->group = get_string(&r, false, false);
	if (k->kind == GROUP_KEY_OFFSET) {
		k->topic = get_string(&r, false, false);
		k->partition = rd_i32(&r);
	}
	return (r.bad ? ERR_MALFORMED : OK);
}

/* A commit encodes many keys and values: each takes its room at once. */
static uint8_t *
place_string(uint8_t *p, struct slice s)
{
	must(s.len <= INT16_MAX);
	be16enc(p, (uint16_t)s.len);
	if (s.len > 0)
		memcpy(p + 2, s.p, s.len);
	return (p + 2 + s.len);
}

void
group_key_encode(struct writer *w, const struct group_key *k)
{
	bool of_offset = k->kind == GROUP_KEY_OFFSET;
	uint8_t *p = wr_take(w, 2 + 2 + k->group.len + (of_offset ? 2 + k->topic.len + 4 : 0));

	if (p == NULL)
		return;
	be16enc(p, of_offset ? KEY_OFFSET : KEY_GROUP);
	p = place_string(p + 2, k->group);
	if (!of_offset)
		return;
	p = place_string(p, k->topic);
	be32enc(p, (uint32_t)k->partition);
}

/* ---- committed offsets ---- */

enum err
offset_value_decode(struct slice in, struct offset_value *v)
{
	struct reader r = reader_of(in);
	int16_t version = rd_i16(&r);

	*v = (struct offset_value){ .leader_epoch = -1, .expire_timestamp_ms = -1 };
	if (r.bad || version < 0)
		return (ERR_MALFORMED);
	if (version > OFFSET_LAST)
		return (ERR_UNSUPPORTED);
	v->offset = rd_i64(&r);
	if (version >= WRITTEN)
		v->leader_epoch = rd_i32(&r);
	v->metadata = get_string(&r, version >= FLEXIBLE, false);
	v->commit_timestamp_ms = rd_i64(&r);
	if (version == OFFSET_EXPIRES)
		v->expire_timestamp_ms = rd_i64(&r);
	skip_tags(&r, version >= FLEXIBLE);
	return (r.bad ? ERR_MALFORMED : OK);
}

void
offset_value_encode(struct writer *w, const struct offset_value *v)
{
	bool expires = v->expire_timestamp_ms != -1;
	uint8_t *p = wr_take(w, 2 + 8 + (expires ? 8 : 4) + 2 + v->metadata.len + 8);

	if (p == NULL)
		return;
	be16enc(p, expires ? OFFSET_EXPIRES : WRITTEN);
	be64enc(p + 2, (uint64_t)v->offset);
	p += 2 + 8;
	if (!expires) {
		be32enc(p, (uint32_t)v->leader_epoch);
		p += 4;
	}
	p = place_string(p, v->metadata);
	be64enc(p, (uint64_t)v->commit_timestamp_ms);
	if (expires)
		be64enc(p + 8, (uint64_t)v->expire_timestamp_ms);
}

/* ---- groups ---- */

static void
get_member(struct reader *r, int16_t version, struct group_record_member *m)
{
	bool flexible = version >= FLEXIBLE;

	m->member_id = get_string(r, flexible, false);
	m->instance_id = version >= WRITTEN ? get_string(r, flexible, true) : SLICE_NULL;
	m->client_id = get_string(r, flexible, false);
	m->client_host = get_string(r, flexible, false);
	m->rebalance_timeout_ms = version >= 1 ? rd_i32(r) : 0;
	m->session_timeout_ms = rd_i32(r);
	if (version == 0)
		m->rebalance_timeout_ms = m->session_timeout_ms;	/* before KIP-62 they were one */
	m->subscription = get_bytes(r, flexible);
	m->assignment = get_bytes(r, flexible);
	skip_tags(r, flexible);
}

enum err
group_value_decode(struct slice in, struct arena *arena, struct group_record *g)
{
	enum { MEMBER_BYTES_MIN = 15 };		/* of version 4, all empty */
	struct reader r = reader_of(in);
	struct group_record_member *rows = NULL;
	int16_t version = rd_i16(&r);
	bool flexible = version >= FLEXIBLE;
	int64_t n;

	*g = (struct group_record){ .state_timestamp_ms = -1 };
	if (r.bad || version < 0)
		return (ERR_MALFORMED);
	if (version > GROUP_LAST)
		return (ERR_UNSUPPORTED);
	g->protocol_type = get_string(&r, flexible, false);
	g->generation = rd_i32(&r);
	g->protocol = get_string(&r, flexible, true);
	g->leader = get_string(&r, flexible, true);
	if (version >= 2)
		g->state_timestamp_ms = rd_i64(&r);
	n = flexible ? (int64_t)rd_uvarint(&r) - 1 : rd_i32(&r);
	if (r.bad || n < 0 || (uint64_t)n > rd_left(&r) / MEMBER_BYTES_MIN)
		return (ERR_MALFORMED);
	if (n > 0 && (rows = ARENA_ARRAY(arena, struct group_record_member, (size_t)n)) == NULL)
		return (ERR_LIMIT);
	for (int64_t i = 0; i < n && !r.bad; i++)
		get_member(&r, version, &rows[i]);
	skip_tags(&r, flexible);
	g->members = rows;
	g->nmembers = (uint32_t)n;
	return (r.bad ? ERR_MALFORMED : OK);
}

void
group_value_encode(struct writer *w, const struct group_record *g)
{
	wr_i16(w, WRITTEN);
	put_string(w, g->protocol_type.p == NULL ? SLICE_LIT("") : g->protocol_type);
	wr_i32(w, g->generation);
	put_string(w, g->protocol);
	put_string(w, g->leader);
	wr_i64(w, g->state_timestamp_ms);
	wr_i32(w, (int32_t)g->nmembers);
	for (uint32_t i = 0; i < g->nmembers; i++) {
		const struct group_record_member *m = &g->members[i];

		put_string(w, m->member_id);
		put_string(w, m->instance_id);
		put_string(w, m->client_id);
		put_string(w, m->client_host);
		wr_i32(w, m->rebalance_timeout_ms);
		wr_i32(w, m->session_timeout_ms);
		put_bytes(w, m->subscription);
		put_bytes(w, m->assignment);
	}
}
