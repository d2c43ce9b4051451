/* SPDX-License-Identifier: Apache-2.0
 *
 * config/quota.c - see quota.h.  Behaviour: QuotaConfigs, DynamicConfig and ZkAdminManager.alterClientQuotas of Kafka 3.9.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "config/config_int.h"
#include "config/quota.h"

/* Whole numbers may be this far off, as in Kafka: it adds it before it cuts the fraction off. */
#define EPSILON	1e-6

enum quota_type { TYPE_LONG, TYPE_INT, TYPE_DOUBLE };

struct quota {
	const char *name;
	enum config_quota_of of;
	enum quota_type type;
};

static const struct quota quotas[] = {
#define QUOTA(name, of, type)	{ name, QUOTA_OF_##of, TYPE_##type },
#include "config/quota.def"
#undef QUOTA
};

static const struct quota *
find(enum config_quota_of of, const char *name)
{
	for (size_t i = 0; i < NELEM(quotas); i++)
		if (quotas[i].of == of && strcmp(quotas[i].name, name) == 0)
			return (&quotas[i]);
	return (NULL);
}

bool
config_quota_known(enum config_quota_of of, const char *name)
{
	return (find(of, name) != NULL);
}

bool
config_is_scram(const char *name)
{
	return (strcmp(name, "SCRAM-SHA-256") == 0 || strcmp(name, "SCRAM-SHA-512") == 0);
}

/* The number without its fraction, as Java's casts do it: NaN is 0, what does not fit the nearest that does. */
static int64_t
whole(double d, enum quota_type type)
{
	int64_t min = type == TYPE_INT ? INT32_MIN : INT64_MIN, max = type == TYPE_INT ? INT32_MAX : INT64_MAX;

	if (isnan(d))
		return (0);
	if (d >= (double)max)
		return (max);
	if (d <= (double)min)
		return (min);
	return ((int64_t)d);
}

enum kerr
config_quota_text(enum config_quota_of of, const char *name, double value, char **text, struct errbuf *eb)
{
	const struct quota *q = find(of, name);
	int64_t n;

	*text = NULL;
	if (q == NULL && of == QUOTA_OF_CLIENTS && config_is_scram(name))
		return (KERR_UNKNOWN_SERVER_ERROR);
	if (q == NULL) {
		errbuf_set(eb, "there is no quota %s here", name);
		return (KERR_INVALID_REQUEST);
	}
	if (q->type == TYPE_DOUBLE) {
		*text = config_double_text(value);
		return (KERR_NONE);
	}
	n = whole(value + EPSILON, q->type);
	if (fabs((double)n - value) > EPSILON) {
		errbuf_set(eb, "%s is a whole number %s", name, q->type == TYPE_INT ? "of 32 bits" : "of 64 bits");
		return (KERR_INVALID_REQUEST);
	}
	*text = xasprintf("%lld", (long long)n);
	return (KERR_NONE);
}

bool
config_quota_value(const char *text, double *d)
{
	return (config_double_parse(slice_str(text), d));
}

static bool
value_valid(const struct quota *q, const char *text)
{
	double d;
	int64_t i64;
	int32_t i32;

	if (text == NULL)
		return (false);
	switch (q->type) {
	case TYPE_DOUBLE:
		return (config_quota_value(text, &d));
	case TYPE_LONG:
		return (str_to_i64(slice_str(text), &i64));
	case TYPE_INT:
		return (str_to_i32(slice_str(text), &i32) && i32 >= 0);
	}
	return (false);
}

bool
config_quotas_valid(enum config_quota_of of, const struct config_map *m, bool scram_allowed)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct quota *q = find(of, m->entries[i].name);

		if (q == NULL && !(scram_allowed && config_is_scram(m->entries[i].name)))
			return (false);
		if (q != NULL && !value_valid(q, m->entries[i].value))
			return (false);
	}
	return (true);
}
