/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/complete.c - what a cluster has that an operand could be, for the completion of shells.
 *
 * The person is in the middle of a word: no complaint, and not long.
 */
#include <inttypes.h>
#include <string.h>

#include "tools/cluster.h"

static enum status
topics(const struct arguments *a, struct cluster *c)
{
	const struct wire_metadata_response *m = cluster_metadata(c, NULL, 0);

	(void)a;
	for (int32_t i = 0; m != NULL && i < m->topics.n; i++)
		printf("%s\n", text_of(c, m->topics.v[i].name));
	return (STATUS_CLEAN);
}

static enum status
brokers(const struct arguments *a, struct cluster *c)
{
	int32_t n;
	const int32_t *ids = cluster_ids(c, &n);

	for (int32_t i = 0; i < n; i++)
		printf("%" PRId32 "\n", ids[i]);
	if (strcmp(a->operands[0], "broker") == 0)
		printf("default\n");
	return (STATUS_CLEAN);
}

static enum status
groups(const struct arguments *a, struct cluster *c)
{
	int32_t n;
	const int32_t *ids = cluster_ids(c, &n);

	(void)a;
	for (int32_t i = 0; i < n; i++) {
		struct wire_list_groups_request r;
		const struct wire_list_groups_response *l;
		struct node *node = cluster_node(c, ids[i]);
		int version = node == NULL ? -1 : cluster_version(c, node, API_LIST_GROUPS, 0, ANY_VERSION);

		WIRE_INIT(list_groups_request, &r);
		l = version < 0 ? NULL : cluster_call(c, node, API_LIST_GROUPS, version, &r);
		for (int32_t k = 0; l != NULL && k < l->groups.n; k++)
			printf("%s\n", text_of(c, l->groups.v[k].group_id));
	}
	return (STATUS_CLEAN);
}

void
complete_names(const struct arguments *a)
{
	struct arguments quick = *a;
	const char *group = a->verb->group;

	quick.value[OPT_timeout] = "1000";
	if (freopen("/dev/null", "w", stderr) == NULL)
		return;
	if (strcmp(group, "topic") == 0 && strcmp(a->verb->name, "create") != 0)
		(void)on_cluster(&quick, topics);
	else if (strcmp(group, "group") == 0)
		(void)on_cluster(&quick, groups);
	else if (strcmp(group, "config") == 0 && a->noperands == 1)
		(void)on_cluster(&quick, strcmp(a->operands[0], "topic") == 0 ? topics : brokers);
}
