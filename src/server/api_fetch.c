/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_fetch.c - Fetch, all versions.
 *
 * PATH       fetch session: which partitions -> the image: those nobody knows are answered here -> replica_fetch reads the rest, and waits
 *            when there is too little -> fetch session: which of them are news -> the answer, whose records are ranges of files.
 *            Before version 4: a worker converts the first batch of each partition (downconvert.h), the rest is converted while it is sent.
 *
 * ORDER      Partitions that were read come first, in the order in which they were read; those that could not be looked up follow: for
 *            consumers unknown ids before unknown names, for followers as they come.  Adjacent partitions of one topic share its entry; a
 *            topic may have several.  The order is Java's, and what does not fit into one answer comes first in the next because of it.
 *
 * NULLS      As Java writes them: aborted_transactions is null except for read_committed and for what was not looked up; records are empty, and
 *            null only where the whole request or the codec is refused.
 */
#include "base/limits.h"
#include "config/broker.h"
#include "event/workers.h"
#include "replica/fetch.h"
#include "server/dispatch.h"
#include "server/downconvert.h"
#include "server/fetch_session.h"

enum {
	MAGIC_1_SINCE = 2,
	WHOLE_BATCHES_SINCE = 3,	/* before, the first batch may be cut off */
	MAGIC_2_SINCE = 4,
	STORAGE_ERROR_SINCE = 6,	/* older clients take it for a final error and get NOT_LEADER_OR_FOLLOWER */
	ZSTD_SINCE = 10,
	REPLICA_STATE_SINCE = 15,
	LEADER_HINTS_SINCE = 16,
	READ_UNCOMMITTED = 0, READ_COMMITTED = 1,
};

struct fetch {
	struct api_request *r;
	struct fetch_context context;	/* a part's data is its item, NULL: not read */
	struct replica_fetch read;
	enum kerr *refused;		/* of each part of the context, for what its topic is set to */
	struct downconvert *old;	/* of each item, before version 4; else NULL */
	struct job job;
	struct workers *pool;		/* converts what is of its directory */
	uint64_t kept;			/* bytes of memory that converted records hold */
	enum kerr failed;		/* what becomes of the whole request because of one conversion */
};

/* ---- what to read ---- */

static int32_t
replica_id(const struct api_request *r)
{
	const struct wire_fetch_request *q = r->body;

	return (r->head.version < REPLICA_STATE_SINCE ? q->replica_id : q->replica_state.replica_id);
}

/* -3: a thread of Java's that moves a replica to another directory. */
static bool
is_consumer(int32_t id)
{
	return (id < 0 && id != -3);
}

static enum kerr
part_look_up(const struct image *im, const struct fetch_part *part)
{
	const struct image_topic *t;

	if (part->name.p == NULL)
		return (KERR_UNKNOWN_TOPIC_ID);
	t = image_topic(im, part->name);
	return (t == NULL || image_partition(t, part->partition) == NULL ? KERR_UNKNOWN_TOPIC_OR_PARTITION : KERR_NONE);
}

static void
item_of_part(struct replica_fetch_item *it, const struct fetch_part *part)
{
	it->topic = part->name;
	it->topic_id = part->topic_id;
	it->partition = part->partition;
	it->fetch_offset = part->fetch_offset;
	it->max_bytes = part->max_bytes;
	it->current_leader_epoch = part->current_leader_epoch;
	it->last_fetched_epoch = part->last_fetched_epoch;
}

/* Where a part stands in the answer: see ORDER. */
static unsigned
part_class(const struct fetch *f, const struct fetch_part *part)
{
	if (part->error == KERR_NONE)
		return (0);
	return (part->error == KERR_UNKNOWN_TOPIC_ID || replica_id(f->r) >= 0 ? 1 : 2);
}

/* Looks every part up, sorts them, and gives each that is to be read its item. */
static bool
arrange(struct fetch *f)
{
	struct fetch_context *x = &f->context;
	const struct image *im = cluster_read(f->r->server->opt.cluster);
	struct fetch_part *sorted = ARENA_ARRAY(f->r->arena, struct fetch_part, (size_t)x->nparts + 1);
	uint32_t at[4] = { 0 };

	for (uint32_t i = 0; i < x->nparts; i++) {
		x->parts[i].error = part_look_up(im, &x->parts[i]);
		x->parts[i].high_watermark = x->parts[i].answer_log_start_offset = -1;
		at[part_class(f, &x->parts[i]) + 1]++;
	}
	f->read.nitems = at[1];
	f->read.items = ARENA_ARRAY(f->r->arena, struct replica_fetch_item, (size_t)at[1] + 1);
	f->refused = ARENA_ARRAY(f->r->arena, enum kerr, (size_t)x->nparts + 1);
	if (sorted == NULL || f->read.items == NULL || f->refused == NULL)
		return (false);
	at[2] += at[1];
	for (uint32_t i = 0; i < x->nparts; i++) {
		struct fetch_part *part = &x->parts[i];
		unsigned class = part_class(f, part);

		if (class == 0) {
			part->data = &f->read.items[at[0]];
			item_of_part(part->data, part);
		}
		sorted[at[class]++] = *part;
	}
	x->parts = sorted;
	return (true);
}

/* ---- the answer ---- */

/* What a topic is set to counts here, not what is stored: Java's rule.  Clients that cannot know zstd do not get it; conversion may be forbidden, but
 * for followers. */
static enum kerr
part_refused(const struct fetch *f, const struct fetch_part *part)
{
	int16_t version = f->r->head.version;
	struct partition *p;
	enum kerr k = KERR_NONE;

	if (version >= ZSTD_SINCE || part->name.p == NULL)
		return (KERR_NONE);
	p = replica_partition(f->r->server->opt.replicas, part->name, part->partition);
	if (p == NULL)
		return (KERR_NONE);
	if (partition_log(p) != NULL) {
		if (partition_config(p)->rules.compression == CODEC_ZSTD)
			k = KERR_UNSUPPORTED_COMPRESSION_TYPE;
		else if (version < MAGIC_2_SINCE && replica_id(f->r) < 0 && !partition_config(p)->downconversion)
			k = KERR_UNSUPPORTED_VERSION;
	}
	partition_unref(&p);
	return (k);
}

static int16_t
error_code(const struct fetch *f, enum kerr error)
{
	if (error == KERR_KAFKA_STORAGE_ERROR && f->r->head.version < STORAGE_ERROR_SINCE)
		return (KERR_NOT_LEADER_OR_FOLLOWER);
	return ((int16_t)error);
}

static void
fill_refusal(struct wire_fetch_response_partition *w, int32_t partition, int16_t code)
{
	w->partition_index = partition;
	w->error_code = code;
	w->high_watermark = -1;
}

static bool
fill_aborted(struct fetch *f, struct wire_fetch_response_partition *w, const struct replica_fetch_item *it)
{
	if (!f->read.read_committed || it->error != KERR_NONE || it->diverging_epoch >= 0 || it->withheld) {
		w->aborted_transactions.n = -1;
		return (true);
	}
	w->aborted_transactions.v = WIRE_NEW_ARRAY(f->r->arena, fetch_response_aborted_transaction, (int32_t)it->naborted);
	if (w->aborted_transactions.v == NULL && it->naborted > 0)
		return (false);
	w->aborted_transactions.n = (int32_t)it->naborted;
	for (uint32_t i = 0; i < it->naborted; i++) {
		w->aborted_transactions.v[i].producer_id = it->aborted[i].producer_id;
		w->aborted_transactions.v[i].first_offset = it->aborted[i].first_offset;
	}
	return (true);
}

static bool
names_leader(const struct fetch *f, const struct replica_fetch_item *it)
{
	return (f->r->head.version >= LEADER_HINTS_SINCE &&
	    (it->error == KERR_NOT_LEADER_OR_FOLLOWER || it->error == KERR_FENCED_LEADER_EPOCH));
}

static bool
fill_converted(struct fetch *f, struct wire_fetch_response_partition *w, struct downconvert *d)
{
	return (d->source == NULL || chain_add_source(&w->records, f->r->arena, &d->source, d->len));
}

static bool
fill_read(struct fetch *f, struct wire_fetch_response_partition *w, struct replica_fetch_item *it)
{
	w->partition_index = it->partition;
	w->error_code = error_code(f, it->error);
	w->high_watermark = it->high_watermark;
	w->last_stable_offset = it->last_stable_offset;
	w->log_start_offset = it->log_start_offset;
	if (it->diverging_epoch >= 0) {
		w->diverging_epoch.epoch = it->diverging_epoch;
		w->diverging_epoch.end_offset = it->diverging_end_offset;
	}
	if (names_leader(f, it)) {
		w->current_leader.leader_id = it->leader_id;
		w->current_leader.leader_epoch = it->leader_epoch;
	}
	if (!fill_aborted(f, w, it))
		return (false);
	if (f->old != NULL)
		return (fill_converted(f, w, &f->old[it - f->read.items]));
	return (it->range.file == NULL || chain_add_file(&w->records, f->r->arena, &it->range));
}

static bool
fill_part(struct fetch *f, struct wire_fetch_response_partition *w, const struct fetch_part *part)
{
	enum kerr refused = f->refused[part - f->context.parts];

	if (refused != KERR_NONE) {
		fill_refusal(w, part->partition, (int16_t)refused);
		return (true);
	}
	chain_init(&w->records);
	if (part->data != NULL)
		return (fill_read(f, w, part->data));
	fill_refusal(w, part->partition, error_code(f, part->error));
	return (true);
}

static bool
same_topic(const struct fetch_part *a, const struct fetch_part *b)
{
	return (uuid_eq(a->topic_id, b->topic_id) && (!uuid_is_zero(a->topic_id) || slice_eq(a->name, b->name)));
}

/* Topics and partitions of the answer: all partitions stand in one array, of which each topic has a stretch. */
static bool
fill_topics(struct fetch *f, struct wire_fetch_response *w)
{
	const struct fetch_context *x = &f->context;
	struct wire_fetch_response_partition *p;
	const struct fetch_part *last = NULL;
	int32_t n = 0, ntopics = 0;

	for (uint32_t i = 0; i < x->nparts; i++) {
		if (!x->parts[i].send)
			continue;
		ntopics += last == NULL || !same_topic(last, &x->parts[i]);
		last = &x->parts[i];
		n++;
	}
	p = WIRE_NEW_ARRAY(f->r->arena, fetch_response_partition, n);
	w->responses.v = WIRE_NEW_ARRAY(f->r->arena, fetch_response_topic, ntopics);
	if (n > 0 && (p == NULL || w->responses.v == NULL))
		return (false);
	last = NULL;
	for (uint32_t i = 0; i < x->nparts; i++) {
		const struct fetch_part *part = &x->parts[i];

		if (!part->send)
			continue;
		if (last == NULL || !same_topic(last, part)) {
			struct wire_fetch_response_topic *t = &w->responses.v[w->responses.n++];

			t->topic = part->name;
			t->topic_id = part->topic_id;
			t->partitions.v = p;
		}
		last = part;
		w->responses.v[w->responses.n - 1].partitions.n++;
		if (!fill_part(f, p++, part))
			return (false);
	}
	return (true);
}

static bool
leader_is_named(const struct fetch *f, int32_t id)
{
	for (uint32_t i = 0; i < f->read.nitems; i++)
		if (names_leader(f, &f->read.items[i]) && f->read.items[i].leader_id == id)
			return (true);
	return (false);
}

/* Where the leaders live that the answer names, as far as they have the client's listener. */
static bool
fill_endpoints(struct fetch *f, struct wire_fetch_response *w)
{
	const struct image *im = cluster_read(f->r->server->opt.cluster);
	struct arena *a = f->r->arena;
	int32_t n = 0;

	if (f->r->head.version < LEADER_HINTS_SINCE)
		return (true);
	for (uint32_t i = 0; i < im->nbrokers; i++)
		n += leader_is_named(f, im->brokers[i]->id);
	w->node_endpoints.v = WIRE_NEW_ARRAY(a, fetch_response_node_endpoint, n);
	if (w->node_endpoints.v == NULL && n > 0)
		return (false);
	for (uint32_t i = 0; i < im->nbrokers && w->node_endpoints.n < n; i++) {
		const struct image_broker *b = im->brokers[i];
		const struct image_endpoint *e = image_broker_endpoint(b, api_listener(f->r));

		if (e == NULL || !leader_is_named(f, b->id))
			continue;
		w->node_endpoints.v[w->node_endpoints.n++] = (struct wire_fetch_response_node_endpoint){ .node_id = b->id,
		    .host = arena_dup(a, slice_str(e->host)), .port = e->port, .rack = arena_dup(a, slice_str(b->rack)) };
	}
	return (!a->full);
}

/* What the session has to know of each partition's answer. */
static void
tell_session(struct fetch *f)
{
	struct fetch_context *x = &f->context;

	for (uint32_t i = 0; i < x->nparts; i++) {
		struct fetch_part *part = &x->parts[i];
		const struct replica_fetch_item *it = part->data;

		if (it == NULL)
			continue;
		part->error = it->error;
		part->high_watermark = it->high_watermark;
		part->answer_log_start_offset = it->log_start_offset;
		part->has_records = it->range.len > 0;
		part->diverging = it->diverging_epoch >= 0;
	}
	fetch_session_end(f->r->server->fetch_sessions, x);
}

static void
drop_records(struct fetch *f)
{
	for (uint32_t i = 0; i < f->read.nitems; i++) {
		file_range_fini(&f->read.items[i].range);
		if (f->old != NULL && f->old[i].source != NULL)
			f->old[i].source->ops->free(f->old[i].source);
	}
}

static void
fetch_answer(struct fetch *f)
{
	struct api_request *r = f->r;
	struct wire_fetch_response *w = WIRE_NEW(r->arena, fetch_response);
	bool ok;

	tell_session(f);
	ok = w != NULL && f->failed == KERR_NONE && fill_topics(f, w) && fill_endpoints(f, w);
	drop_records(f);	/* those that are not in the answer */
	if (!ok) {
		if (w != NULL)
			wire_drop(r->head.api->response->root, w);
		api_fail(r, f->failed != KERR_NONE ? f->failed : KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	w->error_code = (int16_t)f->context.error;
	w->session_id = f->context.session_id;
	api_respond(r, w);
}

/* ---- for old clients ---- */

static void
convert_item(struct fetch *f, uint32_t i, struct codec_ctx *codec, uint64_t *kept)
{
	struct replica_fetch_item *it = &f->read.items[i];
	struct downconvert *d = &f->old[i];
	struct errbuf eb = ERRBUF_INIT;

	*d = (struct downconvert){ .range = it->range, .magic = f->r->head.version < MAGIC_1_SINCE ? 0 : 1, .first_offset = it->fetch_offset,
	    .keep = *kept < LIMIT_CONVERTED_BYTES_KEPT };
	it->range = (struct file_range){ NULL, 0, 0 };
	downconvert_begin(d, codec, &eb);
	*kept += d->kept;
	if (d->error != KERR_NONE && d->error != KERR_UNSUPPORTED_COMPRESSION_TYPE) {
		diag_warning(f->r->server->opt.diag, "fetch", "%.*s-%d cannot be converted to format %d from offset %lld on: %s", (int)it->topic.len, it->topic.p,
		    it->partition, d->magic, (long long)it->fetch_offset, eb.text);
		f->failed = d->error;
	}
}

static struct workers *
convert_pool(const struct fetch *f, uint32_t i)
{
	struct workers *readers = f->read.items[i].range.file->readers;

	return (readers == NULL ? f->r->server->opt.workers : readers);
}

static void
convert_run(struct job *job)
{
	struct fetch *f = CONTAINER_OF(job, struct fetch, job);
	struct codec_ctx *codec = codec_ctx_new();

	for (uint32_t i = 0; i < f->read.nitems && f->failed == KERR_NONE; i++)
		if (f->read.items[i].range.file != NULL && convert_pool(f, i) == f->pool)
			convert_item(f, i, codec, &f->kept);
	codec_ctx_free(codec);
}

static void convert_done(struct job *);

/* One directory after the other, each by its own readers where it has any: a disk that hangs holds up none but those.  false: nothing is left. */
static bool
convert_next(struct fetch *f)
{
	uint32_t i = 0;

	while (i < f->read.nitems && f->read.items[i].range.file == NULL)
		i++;
	if (i == f->read.nitems || f->failed != KERR_NONE)
		return (false);
	f->pool = convert_pool(f, i);
	f->job = (struct job){ .run = convert_run, .done = convert_done, .loop = api_loop(f->r) };
	workers_submit(f->pool, &f->job);
	return (true);
}

static void
convert_done(struct job *job)
{
	struct fetch *f = CONTAINER_OF(job, struct fetch, job);

	if (convert_next(f))
		return;
	for (uint32_t i = 0; i < f->context.nparts; i++) {
		const struct replica_fetch_item *it = f->context.parts[i].data;

		if (it != NULL && f->old[it - f->read.items].error != KERR_NONE)
			f->refused[i] = f->old[it - f->read.items].error;
	}
	fetch_answer(f);
}

/* What is refused is not converted.  false: nothing is, and the answer may go out. */
static bool
convert_begin(struct fetch *f)
{
	f->old = ARENA_ARRAY(f->r->arena, struct downconvert, (size_t)f->read.nitems + 1);
	if (f->old == NULL) {
		f->failed = KERR_UNKNOWN_SERVER_ERROR;
		return (false);
	}
	for (uint32_t i = 0; i < f->context.nparts; i++) {
		struct replica_fetch_item *it = f->context.parts[i].data;

		if (it == NULL)
			continue;
		if (f->refused[i] != KERR_NONE)
			file_range_fini(&it->range);
	}
	return (convert_next(f));
}

/* ---- steps ---- */

static void
fetch_finish(struct fetch *f)
{
	f->r->abandoned = NULL;
	for (uint32_t i = 0; i < f->context.nparts; i++)
		f->refused[i] = part_refused(f, &f->context.parts[i]);
	if (f->r->head.version >= MAGIC_2_SINCE || !convert_begin(f))
		fetch_answer(f);
}

static void
on_done(struct replica_fetch *read)
{
	fetch_finish(CONTAINER_OF(read, struct fetch, read));
}

static void
on_abandoned(struct api_request *r)
{
	struct fetch *f = r->state;

	r->abandoned = NULL;
	replica_fetch_cancel(&f->read);
	fetch_session_abandon(r->server->fetch_sessions, &f->context);
	api_close(r);
}

/* Java: before version 13 the error stands at each partition, too; from then on only at the top. */
void *
fail_fetch(struct api_request *r, enum kerr error)
{
	const struct wire_fetch_request *q = r->body;
	struct wire_fetch_response *w = WIRE_NEW(r->arena, fetch_response);

	if (w == NULL)
		return (NULL);
	w->error_code = (int16_t)error;
	w->session_id = q->session_id;
	if (r->head.version >= FETCH_TOPIC_IDS_SINCE)
		return (w);
	w->responses.v = WIRE_NEW_ARRAY(r->arena, fetch_response_topic, q->topics.n);
	if (w->responses.v == NULL && q->topics.n > 0)
		return (NULL);
	w->responses.n = q->topics.n;
	for (int32_t i = 0; i < q->topics.n; i++) {
		const struct wire_fetch_request_topic *t = &q->topics.v[i];
		struct wire_fetch_response_topic *wt = &w->responses.v[i];

		wt->topic = t->topic;
		wt->partitions.v = WIRE_NEW_ARRAY(r->arena, fetch_response_partition, t->partitions.n);
		if (wt->partitions.v == NULL && t->partitions.n > 0)
			return (NULL);
		wt->partitions.n = t->partitions.n;
		for (int32_t j = 0; j < t->partitions.n; j++)
			fill_refusal(&wt->partitions.v[j], t->partitions.v[j].partition, (int16_t)error);
	}
	return (w);
}

static void
fetch_read(struct fetch *f)
{
	struct api_request *r = f->r;
	const struct wire_fetch_request *q = r->body;
	int32_t bytes_max = MIN(q->max_bytes, server_config(r->server)->fetch_max_bytes);

	f->read.loop = api_loop(r);
	f->read.replica_id = replica_id(r);
	f->read.read_committed = q->isolation_level == READ_COMMITTED && is_consumer(f->read.replica_id);	/* brokers see everything */
	f->read.max_wait_ms = q->max_wait_ms;
	f->read.max_bytes = bytes_max;
	f->read.min_bytes = MIN(q->min_bytes, bytes_max);
	f->read.min_one = r->head.version >= WHOLE_BATCHES_SINCE;
	f->read.arena = r->arena;
	f->read.done = on_done;
	if (replica_fetch(r->server->opt.replicas, &f->read))
		fetch_finish(f);
	else
		r->abandoned = on_abandoned;
}

void
serve_fetch(struct api_request *r)
{
	const struct wire_fetch_request *q = r->body;
	struct fetch *f = ARENA_NEW(r->arena, struct fetch);
	struct fetch_sessions *sessions = r->server->fetch_sessions;

	if (f == NULL) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	f->r = r;
	r->state = f;
	if (!fetch_session_begin(sessions, q, r->head.version, replica_id(r) >= 0, cluster_read(r->server->opt.cluster), r->arena, &f->context)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	/* An unknown isolation level is met where something is read: Java throws there. */
	if (!arrange(f) || (f->read.nitems > 0 && q->isolation_level != READ_UNCOMMITTED && q->isolation_level != READ_COMMITTED)) {
		fetch_session_abandon(sessions, &f->context);
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	if (f->read.nitems > 0)
		fetch_read(f);
	else
		fetch_finish(f);
}
