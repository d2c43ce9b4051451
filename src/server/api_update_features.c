/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_update_features.c - UpdateFeatures: a cluster of ZooKeeper's finalizes no features.
 *
 * Every update is INVALID_REQUEST, as in Java, whose brokers register without any feature they support.  One row per feature, however often it is named.
 */
#include "admin/topics.h"
#include "server/dispatch.h"
#include "server/rows.h"

enum { UPGRADE = 1, SAFE_DOWNGRADE = 2, UNSAFE_DOWNGRADE = 3, UPGRADE_TYPE_SINCE = 1 };

static void *
refuse(struct api_request *r, enum kerr error, const char *words)
{
	struct wire_update_features_response *a = WIRE_NEW(r->arena, update_features_response);

	if (a != NULL) {
		a->error_code = (int16_t)error;
		a->error_message = slice_str(words);
	}
	return (a);
}

void *
fail_update_features(struct api_request *r, enum kerr error)
{
	return (refuse(r, error, kerr_text(error)));
}

/* Java's reasons, in its order. */
static const char *
why_not(int version, const struct wire_update_features_request_feature *f)
{
	int type = version >= UPGRADE_TYPE_SINCE ? f->upgrade_type : f->allow_downgrade ? SAFE_DOWNGRADE : UPGRADE;

	if (f->feature.len == 0)
		return ("a feature has a name");
	if (type < UPGRADE || type > UNSAFE_DOWNGRADE)
		return ("there is no such type of upgrade: 1 upgrade, 2 safe downgrade, 3 unsafe downgrade");
	if (f->max_version_level < 1 && type != UPGRADE)
		return ("this feature is not finalized, so it cannot be deleted");
	if (f->max_version_level < 1)
		return ("levels begin at 1; to delete a feature, ask for a downgrade");
	return ("the brokers of a cluster that ZooKeeper coordinates support no such feature");
}

static void *
answer(struct api_request *r)
{
	const struct wire_update_features_request *q = r->body;
	struct wire_update_features_response *a = WIRE_NEW(r->arena, update_features_response);
	size_t n = (size_t)q->feature_updates.n;
	struct slice *names = ARENA_ARRAY(r->arena, struct slice, n + 1);
	enum admin_mention *mention = ARENA_ARRAY(r->arena, enum admin_mention, n + 1);

	if (a == NULL || names == NULL || mention == NULL || !ROWS_NEW(r->arena, &a->results, update_features_response_feature, q->feature_updates.n))
		return (NULL);
	a->error_message = SLICE_NULL;
	for (size_t i = 0; i < n; i++)
		names[i] = q->feature_updates.v[i].feature;
	admin_find_repeated(names, q->feature_updates.n, mention);
	a->results.n = 0;
	for (size_t i = 0; i < n; i++)
		if (mention[i] != ADMIN_FURTHER) {
			struct wire_update_features_response_feature *row = &a->results.v[a->results.n++];

			row->feature = names[i];
			row->error_code = KERR_INVALID_REQUEST;
			row->error_message = slice_str(why_not(r->head.version, &q->feature_updates.v[i]));
		}
	return (a);
}

void
serve_update_features(struct api_request *r)
{
	if (!admin_controller_active(r->server->opt.admin))
		api_fail(r, KERR_NOT_CONTROLLER);
	else
		api_answer(r, answer(r));
}
