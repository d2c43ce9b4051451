/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_describe_cluster.c - DescribeCluster: the brokers as they are seen through the client's listener.
 *
 * A broker without that listener is not named, and a controller that is not named is -1.  Version 1 may ask for controllers instead of brokers,
 * which only a KRaft controller can answer.
 */
#include "cluster/cluster.h"
#include "server/authorized.h"
#include "server/dispatch.h"

enum { ENDPOINT_BROKER = 1, ENDPOINT_CONTROLLER = 2 };

static void *
refusal(struct api_request *r, enum kerr error, const char *message)
{
	struct wire_describe_cluster_response *a = WIRE_NEW(r->arena, describe_cluster_response);

	if (a != NULL) {
		a->error_code = (int16_t)error;
		a->error_message = slice_str(message);
	}
	return (a);
}

void *
fail_describe_cluster(struct api_request *r, enum kerr error)
{
	return (refusal(r, error, NULL));
}

static bool
show_brokers(struct api_request *r, const struct image *im, struct wire_describe_cluster_response *a)
{
	a->brokers.v = WIRE_NEW_ARRAY(r->arena, describe_cluster_response_broker, (int32_t)im->nbrokers);
	if (a->brokers.v == NULL && im->nbrokers > 0)
		return (false);
	for (uint32_t i = 0; i < im->nbrokers; i++) {
		const struct image_endpoint *e = image_broker_endpoint(im->brokers[i], api_listener(r));
		struct wire_describe_cluster_response_broker *row = &a->brokers.v[a->brokers.n];

		if (e == NULL)
			continue;
		row->broker_id = im->brokers[i]->id;
		row->host = arena_dup(r->arena, slice_str(e->host));
		row->port = e->port;
		row->rack = arena_dup(r->arena, slice_str(im->brokers[i]->rack));
		if (row->broker_id == im->controller_id)
			a->controller_id = row->broker_id;
		a->brokers.n++;
	}
	return (!r->arena->full);
}

static void *
description(struct api_request *r)
{
	const struct wire_describe_cluster_request *q = r->body;
	struct wire_describe_cluster_response *a = WIRE_NEW(r->arena, describe_cluster_response);

	if (a == NULL || !show_brokers(r, cluster_read(r->server->opt.cluster), a))
		return (NULL);
	a->cluster_id = slice_str(cluster_id(r->server->opt.cluster));
	a->endpoint_type = ENDPOINT_BROKER;
	a->cluster_authorized_operations = q->include_cluster_authorized_operations ? AUTHORIZED_CLUSTER_ALL : AUTHORIZED_NOT_ASKED;
	return (a);
}

void
serve_describe_cluster(struct api_request *r)
{
	const struct wire_describe_cluster_request *q = r->body;
	void *a;

	if (q->endpoint_type == ENDPOINT_BROKER)
		a = description(r);
	else if (q->endpoint_type == ENDPOINT_CONTROLLER)
		a = refusal(r, KERR_MISMATCHED_ENDPOINT_TYPE, "this is a broker's endpoint, and one of a controller was asked for");
	else
		a = refusal(r, KERR_UNSUPPORTED_ENDPOINT_TYPE, "there is no such type of endpoint: brokers are 1, controllers 2");
	api_answer(r, a);
}
