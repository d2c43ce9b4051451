/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/cluster.c - see cluster.h.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "net/addr.h"
#include "tools/cluster.h"

enum { TIMEOUT_MS = 10000, RETRY_MS = 100, DEFAULT_PORT = 9092, METADATA_OLDEST = 4 /* the first that can forbid creation */ };

struct node {
	struct node *next;
	int32_t id;			/* NO_NODE: by its address only */
	char *host;
	uint16_t port;
	struct rpc_client *rpc;
};

struct kept {
	struct kept *next;
	struct rpc_call call;
};

struct cluster {
	const struct arguments *a;
	struct loop *loop;
	struct arena arena;
	struct node *nodes;		/* the connected ones */
	struct node *first;		/* the one that answered */
	struct kept *kept;
	const struct wire_metadata_response *brokers;	/* newest answer: who is there */
	int64_t timeout_ms, began_ms;
};

struct arena *
cluster_arena(struct cluster *c)
{
	return (&c->arena);
}

int32_t
cluster_timeout_ms(const struct cluster *c)
{
	return ((int32_t)c->timeout_ms);
}

bool
cluster_late(const struct cluster *c)
{
	return (clock_mono_ms(clock_real()) - c->began_ms >= c->timeout_ms);
}

/* ---- words ---- */

/* What would tell a terminal something. */
static void
hide_controls(char *t, size_t n, bool utf8)
{
	for (size_t i = 0; i < n; i++)
		if ((uint8_t)t[i] < 0x20 || t[i] == 0x7f || (!utf8 && (uint8_t)t[i] >= 0x80))
			t[i] = '?';
}

char *
text_of(struct cluster *c, struct slice s)
{
	char *t = arena_strndup(&c->arena, s.p == NULL ? (const uint8_t *)"" : s.p, s.len);

	must(t != NULL);
	hide_controls(t, s.len, str_is_utf8(s));
	return (t);
}

const char *
ids_text(struct cluster *c, const struct wire_i32_array *ids)
{
	const char *s = "";

	for (int32_t i = 0; i < ids->n; i++)
		s = arena_printf(&c->arena, "%s%s%" PRId32, s, i == 0 ? "" : ",", ids->v[i]);
	return (s);
}

enum status
broker_refused(const struct arguments *a, const char *what, enum kerr e, struct slice message)
{
	const char *name = kerr_name(e), *text = kerr_text(e);
	char number[24], words[2001];
	size_t n = MIN(message.len, sizeof(words) - 1);

	str_format(number, sizeof(number), "error %d", (int)e);
	if (strcmp(name, "?") == 0)
		name = number;
	if (message.p != NULL && n > 0 && str_is_utf8(message)) {
		memcpy(words, message.p, n);
		words[n] = '\0';
		hide_controls(words, n, true);
		return (failure(a, "%s: %s (%s)", what, words, name));
	}
	return (failure(a, "%s: %s (%s)", what, text == NULL ? "the broker refused" : text, name));
}

/* ---- connections ---- */

static bool
node_connect(struct cluster *c, struct node *n, struct errbuf *eb)
{
	struct rpc_options opt = { .loop = c->loop, .client_id = "ottla", .negotiate = true, .connect_timeout_ms = c->timeout_ms };
	struct sockaddr_storage ss;
	socklen_t len;

	if (addr_resolve(n->host, n->port, &ss, &len, eb) != OK || rpc_dial(&opt, &ss, len, &n->rpc, eb) != OK)
		return (false);
	while (!rpc_is_ready(n->rpc) && !rpc_is_closed(n->rpc))
		(void)loop_turn(c->loop, 1000);
	return (rpc_why(n->rpc, eb) == OK);
}

static struct node *
node_new(int32_t id, const char *host, uint16_t port)
{
	struct node *n = xcalloc(1, sizeof(*n));

	n->id = id;
	n->host = xstrdup(host);
	n->port = port;
	return (n);
}

static void
node_free(struct node *n)
{
	rpc_free(&n->rpc);
	free(n->host);
	free(n);
}

/* "host:port", "[v6]:port", "host" */
static bool
address_parse(const char *text, size_t len, char **host, uint16_t *port)
{
	char *s = xstrndup(text, len), *colon = strrchr(s, ':');
	int64_t p = DEFAULT_PORT;
	bool ok = len > 0;

	if (colon != NULL && (s[0] == '[' ? colon[-1] == ']' : strchr(s, ':') == colon)) {
		ok = str_to_i64(slice_str(colon + 1), &p) && p > 0 && p < 65536 && colon > s;
		*colon = '\0';
	}
	*host = s;
	*port = (uint16_t)p;
	return (ok);
}

/* One of the list; the words of those that failed gather in `tried`. */
static bool
try_one(struct cluster *c, const char *text, size_t len, struct strbuf *tried, bool *usage)
{
	struct errbuf eb = ERRBUF_INIT;
	struct node *n;
	uint16_t port;
	char *host;

	*usage = !address_parse(text, len, &host, &port);
	n = node_new(NO_NODE, host, port);
	free(host);
	if (*usage)
		strbuf_add(tried, "%.*s is no HOST:PORT", (int)len, text);
	else if (node_connect(c, n, &eb)) {
		n->next = c->nodes;
		c->nodes = c->first = n;
		return (true);
	} else
		strbuf_add(tried, "%s%s:%u: %s", tried->len == 0 ? "" : "; ", n->host, (unsigned)n->port, eb.text);
	node_free(n);
	return (false);
}

static bool
bootstrap(struct cluster *c, enum status *s)
{
	const char *list = c->a->value[OPT_bootstrap_server], *p, *end;
	struct strbuf tried = STRBUF_INIT;
	bool usage = false;

	for (p = list; c->first == NULL && !usage; p = end + 1) {
		end = p + strcspn(p, ",");
		(void)try_one(c, p, (size_t)(end - p), &tried, &usage);
		if (*end == '\0')
			break;
	}
	if (usage)
		*s = usage_error(c->a, "--bootstrap-server %s: %s", list, strbuf_str(&tried));
	else if (c->first == NULL)
		*s = failure(c->a, "no broker answers: %s.  Is it running, and is this its listener (listeners, advertised.listeners)?", strbuf_str(&tried));
	strbuf_fini(&tried);
	return (c->first != NULL);
}

static void
cluster_close(struct cluster *c)
{
	for (struct node *n = c->nodes, *next; n != NULL; n = next) {
		next = n->next;
		node_free(n);
	}
	for (struct kept *k = c->kept, *next; k != NULL; k = next) {
		next = k->next;
		rpc_call_fini(&k->call);
		free(k);
	}
	if (c->loop != NULL)
		loop_free(&c->loop);
	arena_fini(&c->arena);
}

enum status
on_cluster(const struct arguments *a, enum status (*fn)(const struct arguments *, struct cluster *))
{
	struct cluster c = { .a = a, .timeout_ms = TIMEOUT_MS, .began_ms = clock_mono_ms(clock_real()) };
	struct errbuf eb = ERRBUF_INIT;
	enum status s = STATUS_FAILED;

	if (!given(a, OPT_bootstrap_server))
		return (usage_error(a, "wants --bootstrap-server HOST:PORT, a broker of the cluster"));
	if (!option_i64(a, OPT_timeout, &c.timeout_ms))
		return (STATUS_USAGE);
	if (c.timeout_ms <= 0 || c.timeout_ms > INT32_MAX / 2)
		return (usage_error(a, "--timeout wants milliseconds above 0"));
	arena_init(&c.arena, SIZE_MAX);
	if (loop_new(&(struct loop_options){ .name = "ottla", .clock = clock_real() }, &c.loop, &eb) != OK)
		s = failure(a, "%s", eb.text);
	else if (bootstrap(&c, &s))
		s = fn(a, &c);
	cluster_close(&c);
	return (s);
}

/* ---- calls ---- */

int
cluster_version(struct cluster *c, struct node *n, enum api_key key, int min, int max)
{
	int v = rpc_version(n->rpc, key, min, max);

	if (v < 0)
		(void)failure(c->a, "%s:%u does not speak %s in a version that this needs (%d or later): the broker is too old", n->host, (unsigned)n->port,
		    wire_api((int)key)->name, min);
	return (v);
}

void *
cluster_call(struct cluster *c, struct node *n, enum api_key key, int version, void *request)
{
	struct kept *k = xcalloc(1, sizeof(*k));
	struct errbuf eb = ERRBUF_INIT;
	enum err e;

	rpc_call_init(&k->call);
	k->next = c->kept;
	c->kept = k;
	/* The broker's own time-out comes first: its words are better than silence. */
	e = rpc_send(n->rpc, &k->call, key, version, request, c->timeout_ms + 5000, &eb);
	while (e == OK && !k->call.is_done)
		(void)loop_turn(c->loop, 1000);
	if (e == OK && k->call.err == OK)
		return (k->call.response);
	(void)failure(c->a, "%s:%u, %s: %s%s", n->host, (unsigned)n->port, wire_api((int)key)->name, e == OK ? k->call.why.text : eb.text,
	    e == OK && (k->call.err == ERR_TIMEOUT || k->call.err == ERR_CLOSED) ? "; whether it was carried out is not known" : "");
	return (NULL);
}

void
cluster_drop(struct cluster *c, const void *answer)
{
	for (struct kept **k = &c->kept, *dead; *k != NULL; k = &(*k)->next) {
		if ((*k)->call.response != answer)
			continue;
		dead = *k;
		*k = dead->next;
		rpc_call_fini(&dead->call);
		free(dead);
		return;
	}
}

static void
rung(struct timer *t)
{
	(void)t;
}

void
cluster_pause(struct cluster *c, int64_t ms)
{
	struct timer t;

	timer_init(&t, rung);
	timer_set(c->loop, &t, ms);
	while (t.armed)
		(void)loop_turn(c->loop, ms);
}

/* COORDINATOR_NOT_AVAILABLE also: its topic is being made, or its partition has no leader yet. */
bool
cluster_again(struct cluster *c, enum kerr e)
{
	if ((e != KERR_COORDINATOR_LOAD_IN_PROGRESS && e != KERR_COORDINATOR_NOT_AVAILABLE && e != KERR_NOT_COORDINATOR) || cluster_late(c))
		return (false);
	cluster_pause(c, RETRY_MS);
	return (true);
}

const struct wire_metadata_response *
cluster_metadata(struct cluster *c, const char *const *names, unsigned n)
{
	struct wire_metadata_request r;
	const struct wire_metadata_response *m;
	int version = cluster_version(c, c->first, API_METADATA, METADATA_OLDEST, ANY_VERSION);

	if (version < 0)
		return (NULL);
	WIRE_INIT(metadata_request, &r);
	r.allow_auto_topic_creation = false;
	r.topics.n = names == NULL ? -1 : (int32_t)n;
	if (names != NULL)
		r.topics.v = WIRE_NEW_ARRAY(&c->arena, metadata_request_topic, (int32_t)n);
	for (unsigned i = 0; names != NULL && i < n; i++)
		r.topics.v[i].name = slice_str(names[i]);
	m = cluster_call(c, c->first, API_METADATA, version, &r);
	if (m != NULL)
		c->brokers = m;
	return (m);
}

const struct wire_metadata_response_topic *
cluster_topic(struct cluster *c, const struct wire_metadata_response *all, const char *name)
{
	struct nearest near = { .word = name, .within = 4 };

	for (int32_t i = 0; i < all->topics.n; i++) {
		const struct wire_metadata_response_topic *t = &all->topics.v[i];
		const char *other = text_of(c, t->name);

		if (strcmp(other, name) == 0 && t->error_code == KERR_NONE)
			return (t);
		if (strcmp(other, name) == 0) {
			(void)broker_refused(c->a, name, (enum kerr)t->error_code, SLICE_NULL);
			return (NULL);
		}
		nearest_offer(&near, other);
	}
	if (near.best != NULL)
		(void)failure(c->a, "there is no topic %s; did you mean %s?", name, near.best);
	else
		(void)failure(c->a, "there is no topic %s (ottla topic list says which there are)", name);
	return (NULL);
}

struct wire_describe_configs_response_result *
cluster_settings(struct cluster *c, struct node *n, int type, struct slice name, const char *words)
{
	struct wire_describe_configs_request r;
	struct wire_describe_configs_request_resource resource;
	struct wire_describe_configs_response *d;
	struct wire_describe_configs_response_result *told;
	int version = cluster_version(c, n, API_DESCRIBE_CONFIGS, 1, ANY_VERSION);

	if (version < 0)
		return (NULL);
	WIRE_INIT(describe_configs_request, &r);
	WIRE_INIT(describe_configs_request_resource, &resource);
	resource.resource_type = (int8_t)type;
	resource.resource_name = name;
	resource.configuration_keys.n = -1;
	r.resources.v = &resource;
	r.resources.n = 1;
	d = cluster_call(c, n, API_DESCRIBE_CONFIGS, version, &r);
	if (d == NULL)
		return (NULL);
	told = d->results.n == 1 ? &d->results.v[0] : NULL;
	if (told != NULL && told->error_code == KERR_NONE && told->resource_type == resource.resource_type && slice_cmp(told->resource_name, name) == 0)
		return (told);
	if (told != NULL && told->error_code != KERR_NONE)
		(void)broker_refused(c->a, words, (enum kerr)told->error_code, told->error_message);
	else
		(void)failure(c->a, "%s: the broker says nothing of its settings", words);
	return (NULL);
}

/* ---- which broker ---- */

static bool
brokers_known(struct cluster *c)
{
	static const char *const none[1];

	return (c->brokers != NULL || cluster_metadata(c, none, 0) != NULL);
}

struct node *
cluster_any(struct cluster *c)
{
	return (c->first);
}

static struct node *
node_at(struct cluster *c, int32_t id, const char *host, int32_t port)
{
	struct errbuf eb = ERRBUF_INIT;
	struct node *n;

	for (n = c->nodes; n != NULL; n = n->next)
		if (n->id == id && !rpc_is_closed(n->rpc))
			return (n);
	n = node_new(id, host, (uint16_t)port);
	if (port > 0 && port < 65536 && node_connect(c, n, &eb)) {
		n->next = c->nodes;
		c->nodes = n;
		return (n);
	}
	(void)failure(c->a, "broker %" PRId32 " cannot be reached where the cluster says it is, %s:%" PRId32 ": %s", id, host, port,
	    eb.text[0] == '\0' ? "no port" : eb.text);
	node_free(n);
	return (NULL);
}

struct node *
cluster_node(struct cluster *c, int32_t id)
{
	if (!brokers_known(c))
		return (NULL);
	for (int32_t i = 0; i < c->brokers->brokers.n; i++) {
		const struct wire_metadata_response_broker *b = &c->brokers->brokers.v[i];

		if (b->node_id == id)
			return (node_at(c, id, text_of(c, b->host), b->port));
	}
	(void)failure(c->a, "there is no broker %" PRId32 " in the cluster at the moment", id);
	return (NULL);
}

struct node *
cluster_controller(struct cluster *c)
{
	static const char *const none[1];

	while (brokers_known(c) && c->brokers->controller_id < 0 && !cluster_late(c)) {
		cluster_pause(c, RETRY_MS);
		if (cluster_metadata(c, none, 0) == NULL)
			return (NULL);
	}
	if (c->brokers == NULL)
		return (NULL);
	if (c->brokers->controller_id >= 0)
		return (cluster_node(c, c->brokers->controller_id));
	(void)failure(c->a, "the cluster has no controller at the moment; try again, and look at the brokers' connection to ZooKeeper");
	return (NULL);
}

static int
by_number(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return (x < y ? -1 : x > y);
}

const int32_t *
cluster_ids(struct cluster *c, int32_t *n)
{
	int32_t *ids;

	*n = 0;
	if (!brokers_known(c))
		return (NULL);
	ids = ARENA_ARRAY(&c->arena, int32_t, (size_t)c->brokers->brokers.n + 1);
	must(ids != NULL);
	for (int32_t i = 0; i < c->brokers->brokers.n; i++)
		ids[(*n)++] = c->brokers->brokers.v[i].node_id;
	qsort(ids, (size_t)*n, sizeof(*ids), by_number);
	return (ids);
}

struct place {
	enum kerr error;
	int32_t id, port;
	struct slice host, message;
};

/* false: complained */
static bool
ask_coordinator(struct cluster *c, const char *group, struct place *p)
{
	struct wire_find_coordinator_request r;
	const struct wire_find_coordinator_response *f;
	struct slice key = slice_str(group);
	int version = cluster_version(c, c->first, API_FIND_COORDINATOR, 1, ANY_VERSION);

	if (version < 0)
		return (false);
	WIRE_INIT(find_coordinator_request, &r);
	if (version >= 4)
		r.coordinator_keys = (struct wire_str_array){ &key, 1 };
	else
		r.key = key;
	f = cluster_call(c, c->first, API_FIND_COORDINATOR, version, &r);
	if (f == NULL)
		return (false);
	*p = (struct place){ (enum kerr)f->error_code, f->node_id, f->port, f->host, f->error_message };
	if (version >= 4 && f->coordinators.n != 1)
		*p = (struct place){ .error = KERR_UNKNOWN_SERVER_ERROR };
	else if (version >= 4)
		*p = (struct place){ (enum kerr)f->coordinators.v[0].error_code, f->coordinators.v[0].node_id, f->coordinators.v[0].port,
			f->coordinators.v[0].host, f->coordinators.v[0].error_message };
	return (true);
}

struct node *
cluster_coordinator(struct cluster *c, const char *group)
{
	struct place p;

	do {
		if (!ask_coordinator(c, group, &p))
			return (NULL);
		if (p.error == KERR_NONE)
			return (node_at(c, p.id, text_of(c, p.host), p.port));
	} while (cluster_again(c, p.error));
	(void)broker_refused(c->a, group, p.error, p.message);
	return (NULL);
}
