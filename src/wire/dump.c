/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/dump.c - a message as one line of text for traces, see walker.h.
 *
 * For people: the names of the rows, no quotes around them.  What may hold a secret never shows: bytes and records print as their
 * length only, and so do strings marked SECRET.
 */
#include <inttypes.h>

#include "wire/walker_int.h"

struct dump {
	struct strbuf	*sb;
	size_t		 end;		/* length of sb that may be reached */
	int		 version;
};

static void dump_struct(struct dump *, const struct wire_struct *, const uint8_t *);

static bool
done(const struct dump *d)
{
	return (d->sb->len >= d->end);
}

static void
dump_uuid(struct dump *d, const void *p)
{
	char text[UUID_TEXT_LEN + 1];

	uuid_format(*(const struct uuid *)p, text);
	strbuf_add(d->sb, "%s", text);
}

/* Text is cut before it is escaped, so that one long string cannot fill the log.  The name in front may have used up the room already. */
static void
dump_str(struct dump *d, const struct wire_field *f, struct slice s)
{
	size_t room = done(d) ? 0 : d->end - d->sb->len;

	if (s.p == NULL)
		strbuf_add(d->sb, "null");
	else if ((f->flags & WIRE_SECRET) != 0)
		strbuf_add(d->sb, "(hidden)");
	else
		strbuf_add_json_string(d->sb, slice_of(s.p, MIN(s.len, room)));
}

static void
dump_bytes(struct dump *d, bool null, uint64_t len)
{
	if (null)
		strbuf_add(d->sb, "null");
	else
		strbuf_add(d->sb, "<%" PRIu64 " bytes>", len);
}

static void
dump_value(struct dump *d, const struct wire_field *f, unsigned type, const void *p)
{
	switch (type) {
	case WIRE_BOOL:	strbuf_add(d->sb, "%s", *(const bool *)p ? "true" : "false"); break;
	case WIRE_I8:	strbuf_add(d->sb, "%d", *(const int8_t *)p); break;
	case WIRE_I16:	strbuf_add(d->sb, "%d", *(const int16_t *)p); break;
	case WIRE_I32:	strbuf_add(d->sb, "%" PRId32, *(const int32_t *)p); break;
	case WIRE_I64:	strbuf_add(d->sb, "%" PRId64, *(const int64_t *)p); break;
	case WIRE_F64:	strbuf_add(d->sb, "%g", *(const double *)p); break;
	case WIRE_UUID:	dump_uuid(d, p); break;
	case WIRE_STR:	dump_str(d, f, *(const struct slice *)p); break;
	case WIRE_BYTES: dump_bytes(d, ((const struct slice *)p)->p == NULL, ((const struct slice *)p)->len); break;
	case WIRE_RECORDS: dump_bytes(d, ((const struct chain *)p)->null, ((const struct chain *)p)->len); break;
	case WIRE_STRUCT: dump_struct(d, f->child, p); break;
	default:	unreachable("not one value");
	}
}

static void
dump_array(struct dump *d, const struct wire_field *f, const struct wire_array *a)
{
	const uint8_t *v = a->v;

	if (a->n < 0) {
		strbuf_add(d->sb, "null");
		return;
	}
	strbuf_add(d->sb, "[");
	for (int32_t i = 0; i < a->n && !done(d); i++) {
		strbuf_add(d->sb, "%s", i == 0 ? "" : ", ");
		dump_value(d, f, f->elem, v + (size_t)i * elem_size(f));
	}
	strbuf_add(d->sb, "]");
}

static void
dump_field(struct dump *d, const struct wire_field *f, const void *p)
{
	if (f->type == WIRE_ARRAY)
		dump_array(d, f, p);
	else if (f->type != WIRE_STRUCT_PTR)
		dump_value(d, f, f->type, p);
	else if (*(void *const *)p == NULL)
		strbuf_add(d->sb, "null");
	else
		dump_struct(d, f->child, *(const uint8_t *const *)p);
}

static void
dump_struct(struct dump *d, const struct wire_struct *s, const uint8_t *base)
{
	const char *comma = "";

	strbuf_add(d->sb, "{");
	for (unsigned i = 0; i < s->n && !done(d); i++) {
		const struct wire_field *f = &s->fields[i];

		if (!field_present(f, d->version) || (f->tag != WIRE_NOTAG && wire_field_is_default(f, base + f->offset)))
			continue;
		strbuf_add(d->sb, "%s%s: ", comma, f->name);
		dump_field(d, f, base + f->offset);
		comma = ", ";
	}
	strbuf_add(d->sb, "}");
}

/* What passed the end goes, never half a character. */
static void
cut(struct dump *d)
{
	struct strbuf *sb = d->sb;
	size_t len = d->end;

	while (len > 0 && ((uint8_t)sb->s[len] & 0xc0) == 0x80)
		len--;
	sb->len = len;
	sb->s[len] = '\0';
	strbuf_add(sb, "...");
}

void
wire_dump(const struct wire_message *m, int version, const void *msg, size_t len_max, struct strbuf *sb)
{
	struct dump d = { .sb = sb, .end = sb->len + len_max, .version = version };

	must(version >= m->first && version <= m->last);
	dump_struct(&d, m->root, msg);
	if (sb->len > d.end)
		cut(&d);
}
