/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_delete_topics.c - DeleteTopics, by name and, from version 6 on, by id.
 *
 * One row per topic of the request, in its order.  A row with both a name and an id fails the whole request; one with neither is, as in Java,
 * a topic that nobody is allowed to delete.  A topic named twice is deleted once.
 */
#include <stdlib.h>

#include "admin/topics.h"
#include "server/admin_call.h"
#include "server/rows.h"

enum { BY_ID_SINCE = 6, DISABLED_SINCE = 3 };

struct delete_call {
	struct api_request *r;
	struct wire_delete_topics_response *a;
	struct admin_delete_topics d;
};

static int32_t
asked_for(const struct api_request *r)
{
	const struct wire_delete_topics_request *q = r->body;

	return (r->head.version >= BY_ID_SINCE ? q->topics.n : q->topic_names.n);
}

static struct wire_delete_topics_response *
new_answer(struct api_request *r)
{
	const struct wire_delete_topics_request *q = r->body;
	struct wire_delete_topics_response *a = WIRE_NEW(r->arena, delete_topics_response);
	int32_t n = asked_for(r);

	if (a == NULL || !ROWS_NEW(r->arena, &a->responses, delete_topics_response_topic, n))
		return (NULL);
	for (int32_t i = 0; i < n; i++) {
		if (r->head.version < BY_ID_SINCE)
			a->responses.v[i].name = q->topic_names.v[i];
		else {
			a->responses.v[i].name = q->topics.v[i].name;
			a->responses.v[i].topic_id = q->topics.v[i].topic_id;
		}
	}
	return (a);
}

void *
fail_delete_topics(struct api_request *r, enum kerr error)
{
	struct wire_delete_topics_response *a = new_answer(r);

	if (a != NULL)
		ROWS_SET_ERROR(&a->responses, error);
	return (a);
}

static bool
names_twice(const struct wire_delete_topics_response *a)
{
	for (int32_t i = 0; i < a->responses.n; i++)
		if (a->responses.v[i].name.p != NULL && !uuid_is_zero(a->responses.v[i].topic_id))
			return (true);
	return (false);
}

/* The row's name is filled in for an id; NONE: the topic is there. */
static enum kerr
look_up(struct api_request *r, const struct image *im, struct wire_delete_topics_response_topic *row)
{
	const struct image_topic *t;

	if (!uuid_is_zero(row->topic_id)) {
		t = image_topic_by_id(im, row->topic_id);
		if (t == NULL)
			return (KERR_UNKNOWN_TOPIC_ID);
		row->name = arena_dup(r->arena, t->name);
		return (row->name.p == NULL ? KERR_UNKNOWN_SERVER_ERROR : KERR_NONE);
	}
	if (row->name.p == NULL)
		return (KERR_TOPIC_AUTHORIZATION_FAILED);
	return (image_topic(im, row->name) == NULL ? KERR_UNKNOWN_TOPIC_OR_PARTITION : KERR_NONE);
}

static bool
sort_out(struct delete_call *call)
{
	const struct image *im = cluster_read(call->r->server->opt.cluster);
	int32_t n = call->a->responses.n;

	call->d.topics = ARENA_ARRAY(call->r->arena, struct admin_doomed, (size_t)n + 1);
	if (call->d.topics == NULL)
		return (false);
	for (int32_t i = 0; i < n; i++) {
		struct wire_delete_topics_response_topic *row = &call->a->responses.v[i];

		row->error_code = (int16_t)look_up(call->r, im, row);
		if (row->error_code == KERR_NONE)
			call->d.topics[call->d.ntopics++].name = row->name;
	}
	return (true);
}

static int
by_name(const void *x, const void *y)
{
	const struct admin_doomed *a = x, *b = y;

	return (slice_cmp(a->name, b->name));
}

static void
drop_repeated(struct admin_delete_topics *d)
{
	int32_t n = 0;

	qsort(d->topics, (size_t)d->ntopics, sizeof(*d->topics), by_name);
	for (int32_t i = 0; i < d->ntopics; i++)
		if (n == 0 || by_name(&d->topics[n - 1], &d->topics[i]) != 0)
			d->topics[n++] = d->topics[i];
	d->ntopics = n;
}

static void
deleted(struct admin_job *j)
{
	struct delete_call *call = CONTAINER_OF(CONTAINER_OF(j, struct admin_delete_topics, job), struct delete_call, d);

	for (int32_t i = 0; i < call->a->responses.n; i++) {
		struct wire_delete_topics_response_topic *row = &call->a->responses.v[i];
		const struct admin_doomed key = { .name = row->name }, *t;

		if (row->error_code != KERR_NONE)
			continue;
		t = bsearch(&key, call->d.topics, (size_t)call->d.ntopics, sizeof(*call->d.topics), by_name);
		if (t != NULL)
			row->error_code = (int16_t)t->error;
	}
	api_respond(call->r, call->a);
}

/* Answers that need no look at the topics; true: given. */
static bool
refused(struct api_request *r, struct wire_delete_topics_response *a)
{
	if (!admin_controller_active(r->server->opt.admin))
		ROWS_SET_ERROR(&a->responses, KERR_NOT_CONTROLLER);
	else if (!server_config(r->server)->delete_topic_enable)
		ROWS_SET_ERROR(&a->responses, r->head.version < DISABLED_SINCE ? KERR_INVALID_REQUEST : KERR_TOPIC_DELETION_DISABLED);
	else if (names_twice(a))
		ROWS_SET_ERROR(&a->responses, KERR_INVALID_REQUEST);
	else
		return (false);
	api_respond(r, a);
	return (true);
}

void
serve_delete_topics(struct api_request *r)
{
	const struct wire_delete_topics_request *q = r->body;
	struct delete_call *call = ARENA_NEW(r->arena, struct delete_call);

	if (call == NULL || (call->a = new_answer(r)) == NULL) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	if (refused(r, call->a))
		return;
	call->r = r;
	if (!sort_out(call)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	if (call->d.ntopics == 0) {
		api_respond(r, call->a);
		return;
	}
	drop_repeated(&call->d);
	admin_call(r, &call->d.job, deleted);
	call->d.timeout_ms = q->timeout_ms;
	admin_delete_topics(r->server->opt.admin, &call->d);
}
