/* SPDX-License-Identifier: Apache-2.0
 *
 * wire_tables - prints the compiled tables of src/wire as JSON, for contrib/check-schema: what is compared is what the broker uses.
 *
 * { "apis": [ { key, name, min, max, flexible } ],
 *   "messages": [ { name, key, direction, first, last, flexible, fields: [ { name, type, elem, since, until, nullable, tag, ignorable,
 *                   classic, default, fields } ] } ] }
 * Open ends (LAST, NEVER, NOTAG) are null.
 */
#include <inttypes.h>
#include <stdio.h>

#include "wire/api.h"
#include "wire/messages.h"

static void
print_version(const char *key, int v)
{
	if (v == WIRE_LAST || v < 0)
		printf(", \"%s\": null", key);
	else
		printf(", \"%s\": %d", key, v);
}

static void print_fields(const struct wire_struct *);

static void
print_field(const struct wire_field *f)
{
	printf("{\"name\": \"%s\", \"type\": \"%s\", \"elem\": \"%s\"", f->name, wire_type_name(f->type), wire_type_name(f->elem));
	print_version("since", f->since);
	print_version("until", f->until);
	print_version("nullable", f->nullable_from);
	print_version("tag", f->tag);
	printf(", \"ignorable\": %s, \"classic\": %s, \"default\": %" PRId64, f->flags & WIRE_IGNORABLE ? "true" : "false",
	    f->flags & WIRE_CLASSIC ? "true" : "false", f->def);
	if (f->child != NULL) {
		printf(", ");
		print_fields(f->child);
	}
	printf("}");
}

static void
print_fields(const struct wire_struct *s)
{
	printf("\"fields\": [");
	for (unsigned i = 0; i < s->n; i++) {
		printf("%s", i == 0 ? "" : ",\n  ");
		print_field(&s->fields[i]);
	}
	printf("]");
}

int
main(void)
{
	static const char *const directions[] = { [WIRE_REQUEST] = "request", [WIRE_RESPONSE] = "response", [WIRE_HEADER] = "header" };

	printf("{\"apis\": [\n");
	for (size_t i = 0; i < wire_apis_n; i++) {
		const struct wire_api *a = &wire_apis[i];

		printf("%s{\"key\": %d, \"name\": \"%s\", \"min\": %d, \"max\": %d}", i == 0 ? "" : ",\n", a->key, a->name, a->min, a->max);
	}
	printf("],\n\"messages\": [\n");
	for (size_t i = 0; i < wire_messages_n; i++) {
		const struct wire_message *m = wire_messages[i];

		printf("%s{\"name\": \"%s\", \"key\": %d, \"direction\": \"%s\", \"first\": %d, \"last\": %d", i == 0 ? "" : ",\n", m->name,
		    m->key, directions[m->direction], m->first, m->last);
		print_version("flexible", m->flexible_from);
		printf(", ");
		print_fields(m->root);
		printf("}");
	}
	printf("]}\n");
	return (ferror(stdout) != 0 || fflush(stdout) != 0);
}
