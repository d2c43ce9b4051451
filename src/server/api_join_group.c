/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_join_group.c - what members of a group say: JoinGroup, SyncGroup, Heartbeat, LeaveGroup.
 *
 * A JoinGroup waits until its generation is complete, a SyncGroup until the leader has brought the assignment.  A client that hangs up meanwhile stays
 * a member until its session is over: only LeaveGroup leaves.
 */
#include <arpa/inet.h>

#include "base/str.h"
#include "net/addr.h"
#include "server/group_call.h"
#include "server/rows.h"

enum { MEMBER_ID_SINCE = 4, NULL_PROTOCOL_SINCE = 7, SKIP_SINCE = 9, SYNC_PROTOCOL_SINCE = 5, LEAVE_MANY_SINCE = 3 };

/* ---- JoinGroup ---- */

struct join {
	struct api_request *r;
	struct group_join_call call;
};

static struct slice
text_or_empty(struct slice s)
{
	return (s.p == NULL ? slice_of("", 0) : s);
}

/* InetAddress.toString: an IPv6 address in full, its zone behind it. */
static struct slice
client_host(struct api_request *r)
{
	const char *text = net_conn_peer_host(r->net->conn);
	size_t len = strcspn(text, "%");
	char plain[ADDR_TEXT_MAX];
	struct in6_addr a;
	uint16_t w[8];

	str_format(plain, sizeof(plain), "%.*s", (int)len, text);
	if (inet_pton(AF_INET6, plain, &a) != 1)
		return (slice_str(arena_printf(r->arena, "/%s", text)));
	for (int i = 0; i < 8; i++)
		w[i] = be16dec(a.s6_addr + 2 * i);
	return (slice_str(arena_printf(r->arena, "/%x:%x:%x:%x:%x:%x:%x:%x%s", w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], text + len)));
}

static struct slice
protocol_name(const struct api_request *r, struct slice name)
{
	if (r->head.version < NULL_PROTOCOL_SINCE)
		return (text_or_empty(name));
	return (name.len == 0 ? SLICE_NULL : name);
}

void *
fail_join_group(struct api_request *r, enum kerr error)
{
	struct wire_join_group_response *a = WIRE_NEW(r->arena, join_group_response);

	if (a == NULL)
		return (NULL);
	a->error_code = (int16_t)error;
	a->protocol_name = protocol_name(r, SLICE_NULL);
	return (a);
}

static struct wire_join_group_response *
show_join(const struct join *j)
{
	struct wire_join_group_response *a = WIRE_NEW(j->r->arena, join_group_response);
	const struct group_join *g = &j->call.join;

	if (a == NULL || !ROWS_NEW(j->r->arena, &a->members, join_group_response_member, (int32_t)g->answer.nmembers))
		return (NULL);
	a->error_code = (int16_t)g->answer.error;
	a->generation_id = g->answer.generation;
	a->protocol_type = g->answer.protocol_type;
	a->protocol_name = protocol_name(j->r, g->answer.protocol);
	a->leader = text_or_empty(g->answer.leader);
	a->skip_assignment = g->answer.skip_assignment;
	a->member_id = text_or_empty(g->answer.member_id);
	for (uint32_t i = 0; i < g->answer.nmembers; i++) {
		a->members.v[i].member_id = g->answer.members[i].member_id;
		a->members.v[i].group_instance_id = g->answer.members[i].instance_id;
		a->members.v[i].metadata = text_or_empty(g->answer.members[i].metadata);
	}
	return (a);
}

static void
joined(struct group_call *call)
{
	struct join *j = CONTAINER_OF(CONTAINER_OF(call, struct group_join_call, call), struct join, call);

	api_answer(j->r, show_join(j));
}

static bool
take_protocols(struct api_request *r, struct group_join *g)
{
	const struct wire_join_group_request *q = r->body;
	struct group_protocol *v = ARENA_ARRAY(r->arena, struct group_protocol, (size_t)MAX(q->protocols.n, 0) + 1);

	if (v == NULL)
		return (false);
	for (int32_t i = 0; i < q->protocols.n; i++)
		v[i] = (struct group_protocol){ q->protocols.v[i].name, q->protocols.v[i].metadata };
	g->protocols = v;
	g->nprotocols = (uint32_t)MAX(q->protocols.n, 0);
	return (true);
}

void
serve_join_group(struct api_request *r)
{
	const struct wire_join_group_request *q = r->body;
	struct join *j = ARENA_NEW(r->arena, struct join);

	if (j == NULL || !take_protocols(r, &j->call.join)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	j->r = r;
	j->call.group = q->group_id;
	j->call.join.member_id = q->member_id;
	j->call.join.instance_id = q->group_instance_id;
	j->call.join.client_id = text_or_empty(r->head.client_id);
	j->call.join.client_host = client_host(r);
	j->call.join.protocol_type = q->protocol_type;
	j->call.join.session_timeout_ms = q->session_timeout_ms;
	j->call.join.rebalance_timeout_ms = r->head.version == 0 ? q->session_timeout_ms : q->rebalance_timeout_ms;
	j->call.join.member_id_required = r->head.version >= MEMBER_ID_SINCE;
	j->call.join.may_skip_assignment = r->head.version >= SKIP_SINCE;
	group_call_of(r, &j->call.call, j->call.group, joined);
	if (r->arena->full)
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
	else
		group_coordinator_join(r->server->opt.groups, &j->call);
}

/* ---- SyncGroup ---- */

struct sync {
	struct api_request *r;
	struct group_sync_call call;
};

void *
fail_sync_group(struct api_request *r, enum kerr error)
{
	struct wire_sync_group_response *a = WIRE_NEW(r->arena, sync_group_response);

	if (a != NULL)
		a->error_code = (int16_t)error;
	return (a);
}

static void
synced(struct group_call *call)
{
	struct sync *s = CONTAINER_OF(CONTAINER_OF(call, struct group_sync_call, call), struct sync, call);
	struct wire_sync_group_response *a = fail_sync_group(s->r, s->call.sync.answer.error);

	if (a != NULL) {
		a->protocol_type = s->call.sync.answer.protocol_type;
		a->protocol_name = s->call.sync.answer.protocol;
		a->assignment = text_or_empty(s->call.sync.answer.assignment);
	}
	api_answer(s->r, a);
}

static bool
take_assignments(struct api_request *r, struct group_sync *g)
{
	const struct wire_sync_group_request *q = r->body;
	struct group_assignment *v = ARENA_ARRAY(r->arena, struct group_assignment, (size_t)MAX(q->assignments.n, 0) + 1);

	if (v == NULL)
		return (false);
	for (int32_t i = 0; i < q->assignments.n; i++)
		v[i] = (struct group_assignment){ q->assignments.v[i].member_id, q->assignments.v[i].assignment };
	g->assignments = v;
	g->nassignments = (uint32_t)MAX(q->assignments.n, 0);
	return (true);
}

void
serve_sync_group(struct api_request *r)
{
	const struct wire_sync_group_request *q = r->body;
	struct sync *s = ARENA_NEW(r->arena, struct sync);

	if (r->head.version >= SYNC_PROTOCOL_SINCE && (q->protocol_type.p == NULL || q->protocol_name.p == NULL)) {
		api_fail(r, KERR_INCONSISTENT_GROUP_PROTOCOL);
		return;
	}
	if (s == NULL || !take_assignments(r, &s->call.sync)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	s->r = r;
	s->call.group = q->group_id;
	s->call.sync.member_id = q->member_id;
	s->call.sync.instance_id = q->group_instance_id;
	s->call.sync.protocol_type = q->protocol_type;
	s->call.sync.protocol = q->protocol_name;
	s->call.sync.generation = q->generation_id;
	group_call_of(r, &s->call.call, s->call.group, synced);
	group_coordinator_sync(r->server->opt.groups, &s->call);
}

/* ---- Heartbeat ---- */

struct heartbeat {
	struct api_request *r;
	struct group_heartbeat_call call;
};

void *
fail_heartbeat(struct api_request *r, enum kerr error)
{
	struct wire_heartbeat_response *a = WIRE_NEW(r->arena, heartbeat_response);

	if (a != NULL)
		a->error_code = (int16_t)error;
	return (a);
}

static void
beaten(struct group_call *call)
{
	struct heartbeat *h = CONTAINER_OF(CONTAINER_OF(call, struct group_heartbeat_call, call), struct heartbeat, call);

	/* A member in a stable group beats again after seconds, and thousands of them beat on one loop: half of what that costs is waking up for each. */
	if (call->error == KERR_NONE)
		net_conn_lazy(h->r->net->conn);
	api_answer(h->r, fail_heartbeat(h->r, call->error));
}

void
serve_heartbeat(struct api_request *r)
{
	const struct wire_heartbeat_request *q = r->body;
	struct heartbeat *h = ARENA_NEW(r->arena, struct heartbeat);

	if (h == NULL) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	h->r = r;
	h->call.group = q->group_id;
	h->call.member_id = q->member_id;
	h->call.instance_id = q->group_instance_id;
	h->call.generation = q->generation_id;
	group_call_of(r, &h->call.call, h->call.group, beaten);
	group_coordinator_heartbeat(r->server->opt.groups, &h->call);
}

/* ---- LeaveGroup ---- */

struct leave {
	struct api_request *r;
	struct group_leave_call call;
};

void *
fail_leave_group(struct api_request *r, enum kerr error)
{
	struct wire_leave_group_response *a = WIRE_NEW(r->arena, leave_group_response);

	if (a != NULL)
		a->error_code = (int16_t)error;
	return (a);
}

/* Before version 3 there is one member, and its error is the answer's. */
static struct wire_leave_group_response *
show_leave(const struct leave *l)
{
	bool many = l->r->head.version >= LEAVE_MANY_SINCE;
	enum kerr top = l->call.call.error;
	struct wire_leave_group_response *a = fail_leave_group(l->r, top == KERR_NONE && !many ? l->call.members[0].error : top);

	if (a == NULL || !many || top != KERR_NONE)
		return (a);
	if (!ROWS_NEW(l->r->arena, &a->members, leave_group_response_member, (int32_t)l->call.nmembers))
		return (NULL);
	for (uint32_t i = 0; i < l->call.nmembers; i++) {
		a->members.v[i].member_id = l->call.members[i].member_id;
		a->members.v[i].group_instance_id = l->call.members[i].instance_id;
		a->members.v[i].error_code = (int16_t)l->call.members[i].error;
	}
	return (a);
}

static void
left(struct group_call *call)
{
	struct leave *l = CONTAINER_OF(CONTAINER_OF(call, struct group_leave_call, call), struct leave, call);

	api_answer(l->r, show_leave(l));
}

static bool
take_leaving(struct api_request *r, struct group_leave_call *call)
{
	const struct wire_leave_group_request *q = r->body;
	size_t n = r->head.version < LEAVE_MANY_SINCE ? 1 : (size_t)MAX(q->members.n, 0);

	call->members = ARENA_ARRAY(r->arena, struct group_leaving, n + 1);
	if (call->members == NULL)
		return (false);
	call->nmembers = (uint32_t)n;
	if (r->head.version < LEAVE_MANY_SINCE)
		call->members[0] = (struct group_leaving){ q->member_id, SLICE_NULL, SLICE_NULL, KERR_NONE };
	else
		for (size_t i = 0; i < n; i++)
			call->members[i] = (struct group_leaving){ q->members.v[i].member_id, q->members.v[i].group_instance_id, q->members.v[i].reason,
			    KERR_NONE };
	return (true);
}

void
serve_leave_group(struct api_request *r)
{
	const struct wire_leave_group_request *q = r->body;
	struct leave *l = ARENA_NEW(r->arena, struct leave);

	if (l == NULL || !take_leaving(r, &l->call)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	l->r = r;
	l->call.group = q->group_id;
	group_call_of(r, &l->call.call, l->call.group, left);
	group_coordinator_leave(r->server->opt.groups, &l->call);
}
