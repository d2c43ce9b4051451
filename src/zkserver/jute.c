/* SPDX-License-Identifier: Apache-2.0
 *
 * zkserver/jute.c - see jute.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "zkserver/jute.h"

struct slice
jute_bytes(struct reader *in)
{
	int32_t len = rd_i32(in);
	const uint8_t *p;

	if (len == -1)
		return (SLICE_NULL);
	p = rd_take(in, len < 0 ? SIZE_MAX : (size_t)len);
	return (p == NULL ? SLICE_NULL : slice_of(p, (size_t)len));
}

char *
jute_string(struct reader *in, struct arena *a, bool *odd)
{
	struct slice s = jute_bytes(in);
	char *copy;

	if (s.p == NULL)
		return (NULL);
	if (memchr(s.p, 0, s.len) != NULL)
		*odd = true;
	copy = arena_strndup(a, s.p, s.len);
	if (copy == NULL)
		in->bad = true;
	return (copy);
}

int32_t
jute_count(struct reader *in, size_t element_min)
{
	int32_t n = rd_i32(in);

	if (n < -1 || (n > 0 && (size_t)n > rd_left(in) / element_min)) {
		in->bad = true;
		return (0);
	}
	return (n);
}

void
jute_out_fini(struct jute_out *out)
{
	free(out->p);
	*out = (struct jute_out){ 0 };
}

static uint8_t *
grow(struct jute_out *out, size_t n)
{
	uint8_t *at;

	if (out->room - out->len < n) {
		out->room = out->room + out->room / 2 + n + 64;
		out->p = xreallocarray(out->p, out->room, 1);
	}
	at = out->p + out->len;
	out->len += n;
	return (at);
}

void
jute_put_i32(struct jute_out *out, int32_t v)
{
	be32enc(grow(out, 4), (uint32_t)v);
}

void
jute_put_i64(struct jute_out *out, int64_t v)
{
	be64enc(grow(out, 8), (uint64_t)v);
}

void
jute_put_bool(struct jute_out *out, bool v)
{
	*grow(out, 1) = v;
}

void
jute_put_raw(struct jute_out *out, struct slice s)
{
	if (s.len > 0)
		memcpy(grow(out, s.len), s.p, s.len);
}

void
jute_put_bytes(struct jute_out *out, struct slice s)
{
	jute_put_i32(out, s.p == NULL ? -1 : (int32_t)s.len);
	jute_put_raw(out, s);
}

void
jute_put_string(struct jute_out *out, const char *s)
{
	jute_put_bytes(out, s == NULL ? SLICE_NULL : slice_str(s));
}

void
jute_put_stat(struct jute_out *out, const struct zk_stat *s)
{
	jute_put_i64(out, s->czxid);
	jute_put_i64(out, s->mzxid);
	jute_put_i64(out, s->ctime_ms);
	jute_put_i64(out, s->mtime_ms);
	jute_put_i32(out, s->version);
	jute_put_i32(out, s->cversion);
	jute_put_i32(out, s->aversion);
	jute_put_i64(out, s->ephemeral_owner);
	jute_put_i32(out, s->data_length);
	jute_put_i32(out, s->num_children);
	jute_put_i64(out, s->pzxid);
}

size_t
jute_frame_begin(struct jute_out *out)
{
	grow(out, 4);
	return (out->len);
}

void
jute_frame_end(struct jute_out *out, size_t begun)
{
	be32enc(out->p + begun - 4, (uint32_t)(out->len - begun));
}
