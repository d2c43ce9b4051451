/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/json_broker.c - /brokers/ids/N: what a broker says about itself.
 *
 *	{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},"endpoints":["PLAINTEXT://127.0.0.1:9092"],
 *	 "jmx_port":-1,"port":9092,"host":"127.0.0.1","version":5,"timestamp":"1795362210511"}
 *
 * version 1 has only host and port; 2 endpoints; 3 rack; 4 listener_security_protocol_map; 5 features.  host and port repeat the first
 * PLAINTEXT endpoint for old readers (null and -1 when there is none).
 */
#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "zk/json_int.h"

static const char *const protocol_names[] = { "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL" };

const char *
zk_security_protocol_name(enum zk_security_protocol p)
{
	return ((size_t)p < NELEM(protocol_names) ? protocol_names[p] : "?");
}

bool
zk_security_protocol_parse(const char *s, enum zk_security_protocol *out)
{
	size_t i;

	for (i = 0; i < NELEM(protocol_names); i++)
		if (str_eq_nocase(slice_str(s), protocol_names[i])) {
			*out = (enum zk_security_protocol)i;
			return (true);
		}
	return (false);
}

const struct zk_endpoint *
zk_broker_endpoint(const struct zk_broker_info *info, const char *listener)
{
	uint32_t i;

	for (i = 0; i < info->nendpoints; i++)
		if (strcmp(info->endpoints[i].listener, listener) == 0)
			return (&info->endpoints[i]);
	return (NULL);
}

/* ---- decode ---- */
static void
decode_protocol(struct dec *d, json_t *map, struct zk_endpoint *e)
{
	const char *name = e->listener;
	json_t *v;

	if (map != NULL) {
		v = json_object_get(map, e->listener);
		if (!json_is_string(v)) {
			dec_fail(d, "no security protocol for listener %s", e->listener);
			return;
		}
		name = json_string_value(v);
	}
	if (!zk_security_protocol_parse(name, &e->protocol))
		dec_fail(d, "unknown security protocol \"%s\"", name);
}

static const char *
last_scheme(const char *text)
{
	const char *at, *found = NULL;

	for (at = text; (at = strstr(at, "://")) != NULL; at++)
		found = at;
	return (found);
}

/* "LISTENER://host:port", the host perhaps in brackets. */
static void
decode_endpoint(struct dec *d, const char *text, json_t *map, struct zk_endpoint *e)
{
	const char *sep = last_scheme(text), *host = sep == NULL ? NULL : sep + 3, *colon = sep == NULL ? NULL : strrchr(host, ':');
	size_t host_len;
	char *listener, *h;

	if (colon == NULL || !str_to_i32(slice_str(colon + 1), &e->port)) {
		dec_fail(d, "cannot read endpoint \"%s\"", text);
		return;
	}
	host_len = (size_t)(colon - host);
	if (host_len >= 2 && host[0] == '[' && host[host_len - 1] == ']') {
		host++;
		host_len -= 2;
	}
	listener = dec_alloc(d, (size_t)(sep - text) + 1, 1);
	h = dec_alloc(d, host_len + 1, 1);
	if (listener == NULL || h == NULL)
		return;
	memcpy(listener, text, (size_t)(sep - text));
	memcpy(h, host, host_len);
	e->listener = listener;
	e->host = h;
	decode_protocol(d, map, e);
}

static void
decode_endpoints(struct dec *d, struct zk_broker_info *b)
{
	json_t *map = dec_object(d, d->root, "listener_security_protocol_map", false);
	json_t *list = dec_array(d, d->root, "endpoints", true), *v;
	size_t i, n = json_array_size(list);

	if ((b->endpoints = dec_alloc(d, n, sizeof(*b->endpoints))) == NULL)
		return;
	for (i = 0; i < n && d->err == OK; i++) {
		v = json_array_get(list, i);
		if (!json_is_string(v))
			dec_fail(d, "\"endpoints\" holds something else than strings");
		else
			decode_endpoint(d, json_string_value(v), map, &b->endpoints[i]);
	}
	b->nendpoints = (uint32_t)n;
}

static void
decode_version_1(struct dec *d, struct zk_broker_info *b)
{
	if ((b->endpoints = dec_alloc(d, 1, sizeof(*b->endpoints))) == NULL)
		return;
	b->nendpoints = 1;
	b->endpoints[0] = (struct zk_endpoint){ "PLAINTEXT", ZK_PLAINTEXT, dec_dup(d, dec_str(d, d->root, "host")),
	    dec_int(d, d->root, "port") };
}

static void
decode_features(struct dec *d, struct zk_broker_info *b)
{
	json_t *map = json_object_get(d->root, "features"), *v;
	const char *name;

	if (map == NULL || json_is_null(map))
		return;
	if (!json_is_object(map)) {
		dec_fail(d, "\"features\" is not an object");
		return;
	}
	if ((b->features = dec_alloc(d, json_object_size(map), sizeof(*b->features))) == NULL)
		return;
	json_object_foreach(map, name, v)
		b->features[b->nfeatures++] = (struct zk_feature_range){ dec_dup(d, name),
		    (int16_t)dec_int(d, v, "min_version"), (int16_t)dec_int(d, v, "max_version") };
}

static int64_t
decode_timestamp(json_t *v)
{
	int64_t ms;

	return (json_is_string(v) && str_to_i64(slice_str(json_string_value(v)), &ms) ? ms : 0);
}

enum err
zk_broker_decode(struct arena *a, int32_t id, struct slice s, struct zk_broker_info *b, struct errbuf *eb)
{
	struct dec d;
	json_t *rack;

	*b = (struct zk_broker_info){ .id = id };
	if (dec_begin(&d, a, s, "broker registration", eb)) {
		b->version = dec_int(&d, d.root, "version");
		b->jmx_port = dec_int(&d, d.root, "jmx_port");
		b->timestamp_ms = decode_timestamp(json_object_get(d.root, "timestamp"));
		if (b->version < 1)
			dec_fail(&d, "unsupported version %" PRId32, b->version);
		else if (b->version == 1)
			decode_version_1(&d, b);
		else
			decode_endpoints(&d, b);
		rack = json_object_get(d.root, "rack");
		if (rack != NULL && !json_is_null(rack))
			b->rack = dec_dup(&d, dec_str(&d, d.root, "rack"));
		decode_features(&d, b);
		b->raw = dec_raw(&d, s);
	}
	return (dec_end(&d));
}

/* ---- encode ---- */
static json_t *
encode_endpoints(const struct zk_broker_info *b)
{
	json_t *list = json_array();
	const struct zk_endpoint *e;
	bool v6;

	for (e = b->endpoints; e < b->endpoints + b->nendpoints; e++) {
		v6 = strchr(e->host, ':') != NULL;
		json_array_append_new(list, json_sprintf("%s://%s%s%s:%" PRId32, e->listener, v6 ? "[" : "", e->host, v6 ? "]" : "", e->port));
	}
	return (list);
}

static json_t *
encode_protocols(const struct zk_broker_info *b)
{
	json_t *map = json_object();
	uint32_t i;

	for (i = 0; i < b->nendpoints; i++)
		enc_set(map, b->endpoints[i].listener, json_string(zk_security_protocol_name(b->endpoints[i].protocol)));
	return (map);
}

static json_t *
encode_features(const struct zk_broker_info *b)
{
	json_t *map = json_object(), *range;
	uint32_t i;

	for (i = 0; i < b->nfeatures; i++) {
		range = json_object();
		enc_set(range, "min_version", json_integer(b->features[i].min_version));
		enc_set(range, "max_version", json_integer(b->features[i].max_version));
		enc_set(map, b->features[i].name, range);
	}
	return (map);
}

static void
encode_host_and_port(const struct zk_broker_info *b, json_t *obj)
{
	const struct zk_endpoint *e;

	for (e = b->endpoints; e < b->endpoints + b->nendpoints; e++)
		if (e->protocol == ZK_PLAINTEXT)
			break;
	if (e == b->endpoints + b->nendpoints) {
		enc_set(obj, "host", json_null());
		enc_set(obj, "port", json_integer(-1));
	} else {
		/* In version 1 this is all there is of the address, and no reader takes null for it. */
		enc_set(obj, "host", e->host[0] == '\0' && b->version > 1 ? json_null() : json_string(e->host));
		enc_set(obj, "port", json_integer(e->port));
	}
}

struct slice
zk_broker_encode(struct arena *a, const struct zk_broker_info *b)
{
	json_t *obj = enc_begin(b->raw);

	if (b->version >= 5)
		enc_set(obj, "features", encode_features(b));
	if (b->version >= 4)
		enc_set(obj, "listener_security_protocol_map", encode_protocols(b));
	enc_set(obj, "endpoints", encode_endpoints(b));
	enc_set(obj, "jmx_port", json_integer(b->jmx_port));
	encode_host_and_port(b, obj);
	enc_set(obj, "version", json_integer(b->version));
	enc_set(obj, "timestamp", json_sprintf("%" PRId64, b->timestamp_ms));
	if (b->rack != NULL && b->version >= 3)
		enc_set(obj, "rack", json_string(b->rack));
	else
		json_object_del(obj, "rack");
	return (enc_end(a, obj));
}
