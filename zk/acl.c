/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/acl.c - see acl.h.
 *
 *	i32 count, then of each entry: i32 permissions, i32 length and bytes of the scheme, i32 length and bytes of the id
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/must.h"
#include "zk/acl.h"

enum { ENTRY_MIN = 12 };	/* permissions and two lengths */

static const struct zk_acl_entry open_entry = { ZK_PERM_ALL, SLICE_LIT("world"), SLICE_LIT("anyone") };

static struct slice
text(struct reader *in)
{
	int32_t len = rd_i32(in);
	struct slice s;

	if (len < 0) {
		in->bad = true;
		return (SLICE_NULL);
	}
	s = rd_slice(in, (size_t)len);
	if (s.len > 0 && memchr(s.p, 0, s.len) != NULL)
		in->bad = true;
	return (s);
}

bool
zk_acl_read(struct slice acl, struct zk_acl_entry **entries, uint32_t *n)
{
	struct reader in = reader_of(acl);
	int32_t count = acl.p == NULL ? 1 : rd_i32(&in);

	if (in.bad || count < 0 || (acl.p != NULL && (size_t)count > rd_left(&in) / ENTRY_MIN))
		return (false);
	*n = (uint32_t)count;
	*entries = xcalloc((size_t)count + 1, sizeof(**entries));
	if (acl.p == NULL) {
		(*entries)[0] = open_entry;
		return (true);
	}
	for (int32_t i = 0; i < count; i++) {
		struct zk_acl_entry *e = &(*entries)[i];

		e->perms = rd_i32(&in);
		e->scheme = text(&in);
		e->id = text(&in);
	}
	if (!in.bad && rd_left(&in) == 0)
		return (true);
	free(*entries);
	*entries = NULL;
	return (false);
}

static bool
is_open(const struct zk_acl_entry *e, uint32_t n)
{
	return (n == 1 && e->perms == open_entry.perms && slice_eq(e->scheme, open_entry.scheme) && slice_eq(e->id, open_entry.id));
}

static void
put_text(struct writer *w, struct slice s)
{
	wr_i32(w, (int32_t)s.len);
	wr_bytes(w, s.p, s.len);
}

struct slice
zk_acl_write(const struct zk_acl_entry *entries, uint32_t n)
{
	struct writer w;
	size_t need = 4;
	uint8_t *p;

	if (is_open(entries, n))
		return (SLICE_NULL);
	for (uint32_t i = 0; i < n; i++)
		need += ENTRY_MIN + entries[i].scheme.len + entries[i].id.len;
	p = xmalloc(need);
	w = writer_of(p, need);
	wr_i32(&w, (int32_t)n);
	for (uint32_t i = 0; i < n; i++) {
		wr_i32(&w, entries[i].perms);
		put_text(&w, entries[i].scheme);
		put_text(&w, entries[i].id);
	}
	must(!w.full && wr_len(&w) == need);
	return (slice_of(p, need));
}
