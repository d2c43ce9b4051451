/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/json_cluster.c - the single znodes: cluster id, controller and its epoch, features, producer id block, log dir events, migration.
 *
 *	/cluster/id			{"version":"1","id":"y5lu0CmPQu6TvqqmHuwOuw"}		the version is a string here only
 *	/controller			{"version":2,"brokerid":0,"timestamp":"1795362210511","kraftControllerEpoch":-1}
 *	/controller_epoch		1							decimal text
 *	/latest_producer_id_block	{"version":1,"broker":0,"block_start":"0","block_end":"999"}
 *	log_dir_event_SEQ		{"version":1,"broker":3,"event":1}
 *	/feature			{"features":{"f":{"max_version_level":1}},"version":2,"status":1}
 */
#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "zk/json_int.h"

enum { LOG_DIR_FAILURE = 1 };

/* ---- /cluster/id ---- */
enum err
zk_cluster_id_decode(struct arena *a, struct slice s, const char **id, struct errbuf *eb)
{
	struct dec d;

	*id = NULL;
	if (dec_begin(&d, a, s, "/cluster/id", eb))
		*id = dec_dup(&d, dec_str(&d, d.root, "id"));
	return (dec_end(&d));
}

struct slice
zk_cluster_id_encode(struct arena *a, const char *id)
{
	json_t *obj = json_object();

	enc_set(obj, "version", json_string("1"));
	enc_set(obj, "id", json_string(id));
	return (enc_end(a, obj));
}

/* ---- /controller ---- */
static int64_t
number_in_text(struct dec *d, const char *key, bool required)
{
	json_t *v = json_object_get(d->root, key);
	int64_t n = 0;

	if (json_is_string(v) && str_to_i64(slice_str(json_string_value(v)), &n))
		return (n);
	if (required)
		dec_fail(d, "\"%s\" is not a number written as a string", key);
	return (0);
}

enum err
zk_controller_decode(struct slice s, struct zk_controller_info *c, struct errbuf *eb)
{
	struct dec d;

	*c = (struct zk_controller_info){ .broker_id = -1, .kraft_epoch = -1 };
	if (dec_begin(&d, NULL, s, "controller", eb)) {
		c->broker_id = dec_int(&d, d.root, "brokerid");
		c->timestamp_ms = number_in_text(&d, "timestamp", false);
		c->kraft_epoch = dec_int_or(&d, d.root, "kraftControllerEpoch", -1);
	}
	return (dec_end(&d));
}

struct slice
zk_controller_encode(struct arena *a, const struct zk_controller_info *c)
{
	json_t *obj = json_object();

	enc_set(obj, "version", json_integer(2));
	enc_set(obj, "brokerid", json_integer(c->broker_id));
	enc_set(obj, "timestamp", json_sprintf("%" PRId64, c->timestamp_ms));
	enc_set(obj, "kraftControllerEpoch", json_integer(c->kraft_epoch));
	return (enc_end(a, obj));
}

/* ---- /controller_epoch ---- */
enum err
zk_controller_epoch_decode(struct slice s, int32_t *epoch, struct errbuf *eb)
{
	*epoch = 0;
	if (s.p != NULL && str_to_i32(s, epoch) && *epoch >= 0)
		return (OK);
	*epoch = 0;
	errbuf_set(eb, "/controller_epoch: not a number of 0 or more; write the highest epoch known there");
	return (ERR_MALFORMED);
}

struct slice
zk_controller_epoch_encode(struct arena *a, int32_t epoch)
{
	return (slice_str(arena_printf(a, "%" PRId32, epoch)));
}

/* ---- log_dir_event_SEQ ---- */
enum err
zk_log_dir_event_decode(struct slice s, int32_t *broker_id, struct errbuf *eb)
{
	struct dec d;

	*broker_id = -1;
	if (dec_begin(&d, NULL, s, "log directory event", eb))
		*broker_id = dec_int(&d, d.root, "broker");
	return (dec_end(&d));
}

struct slice
zk_log_dir_event_encode(struct arena *a, int32_t broker_id)
{
	json_t *obj = json_object();

	enc_set(obj, "version", json_integer(1));
	enc_set(obj, "broker", json_integer(broker_id));
	enc_set(obj, "event", json_integer(LOG_DIR_FAILURE));
	return (enc_end(a, obj));
}

/* ---- /latest_producer_id_block ---- */
enum err
zk_producer_id_block_decode(struct slice s, struct zk_producer_id_block *b, struct errbuf *eb)
{
	struct dec d;

	*b = (struct zk_producer_id_block){ .broker_id = -1 };
	if (dec_begin(&d, NULL, s, "producer id block", eb)) {
		b->broker_id = dec_int(&d, d.root, "broker");
		b->first = number_in_text(&d, "block_start", true);
		b->last = number_in_text(&d, "block_end", true);
		b->raw = s;
	}
	return (dec_end(&d));
}

struct slice
zk_producer_id_block_encode(struct arena *a, const struct zk_producer_id_block *b)
{
	json_t *obj = enc_begin(b->raw);

	enc_set(obj, "version", json_integer(1));
	enc_set(obj, "broker", json_integer(b->broker_id));
	enc_set(obj, "block_start", json_sprintf("%" PRId64, b->first));
	enc_set(obj, "block_end", json_sprintf("%" PRId64, b->last));
	return (enc_end(a, obj));
}

/* ---- /feature ---- */
static int16_t
decode_level(struct dec *d, json_t *v, const char *key)
{
	int32_t level = json_is_object(v) ? dec_int(d, v, key) : 0;

	if (!json_is_object(v))
		dec_fail(d, "a feature is not an object");
	else if (level < INT16_MIN || level > INT16_MAX)
		dec_fail(d, "\"%s\" is out of range", key);
	return ((int16_t)level);
}

static void
decode_levels(struct dec *d, struct zk_feature_info *f)
{
	json_t *map = dec_object(d, d->root, "features", true), *v;
	struct zk_feature_level *l;
	const char *name;

	if ((f->levels = dec_alloc(d, json_object_size(map), sizeof(*f->levels))) == NULL)
		return;
	json_object_foreach(map, name, v) {
		l = &f->levels[f->nlevels++];
		l->name = dec_dup(d, name);
		l->max_version_level = decode_level(d, v, "max_version_level");
		if (f->version == 1)
			l->min_version_level = decode_level(d, v, "min_version_level");
	}
}

enum err
zk_feature_decode(struct arena *a, struct slice s, struct zk_feature_info *f, struct errbuf *eb)
{
	struct dec d;

	*f = (struct zk_feature_info){ .version = 0 };
	if (dec_begin(&d, a, s, "features", eb)) {
		f->version = dec_int(&d, d.root, "version");
		if (f->version < 1 || f->version > 2)
			dec_fail(&d, "unsupported version %" PRId32, f->version);
		f->status = dec_int(&d, d.root, "status");
		if (f->status != 0 && f->status != 1)
			dec_fail(&d, "unknown status %" PRId32, f->status);
		decode_levels(&d, f);
		f->raw = dec_raw(&d, s);
	}
	return (dec_end(&d));
}

struct slice
zk_feature_encode(struct arena *a, const struct zk_feature_info *f)
{
	json_t *obj = enc_begin(f->raw), *map = json_object(), *level;
	uint32_t i;

	for (i = 0; i < f->nlevels; i++) {
		level = json_object();
		if (f->version == 1)
			enc_set(level, "min_version_level", json_integer(f->levels[i].min_version_level));
		enc_set(level, "max_version_level", json_integer(f->levels[i].max_version_level));
		enc_set(map, f->levels[i].name, level);
	}
	enc_set(obj, "features", map);
	enc_set(obj, "version", json_integer(f->version));
	enc_set(obj, "status", json_integer(f->status));
	return (enc_end(a, obj));
}

/* ---- /migration ---- */
enum err
zk_migration_decode(struct slice s, struct zk_migration_info *m, struct errbuf *eb)
{
	struct dec d;
	json_t *offset;

	*m = (struct zk_migration_info){ .kraft_controller_id = -1 };
	if (dec_begin(&d, NULL, s, "migration", eb)) {
		m->kraft_controller_id = dec_int(&d, d.root, "kraft_controller_id");
		m->kraft_controller_epoch = dec_int(&d, d.root, "kraft_controller_epoch");
		m->kraft_metadata_epoch = dec_int(&d, d.root, "kraft_metadata_epoch");
		offset = json_object_get(d.root, "kraft_metadata_offset");
		if (!json_is_integer(offset))
			dec_fail(&d, "\"kraft_metadata_offset\" is not an integer");
		m->kraft_metadata_offset = json_integer_value(offset);
	}
	return (dec_end(&d));
}
