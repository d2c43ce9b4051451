/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/fuzz.c - see fuzz.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/str.h"
#include "test/fuzz/fuzz.h"

const char *
fuzz_srcdir(void)
{
	return (FUZZ_SRCDIR);
}

void
fuzz_failed(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%d: does not hold: ", file, line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

uint8_t
fuzz_u8(struct slice *in)
{
	struct slice s = fuzz_take(in, 1);

	return (s.len == 1 ? s.p[0] : 0);
}

uint16_t
fuzz_u16(struct slice *in)
{
	uint8_t high = fuzz_u8(in);

	return ((uint16_t)(high << 8 | fuzz_u8(in)));
}

struct slice
fuzz_take(struct slice *in, size_t n)
{
	struct slice s = slice_of(in->p, MIN(n, in->len));

	if (s.len > 0)
		in->p += s.len;
	in->len -= s.len;
	return (s);
}

char *
fuzz_text(struct slice s)
{
	return (xstrndup(s.len == 0 ? "" : (const char *)s.p, s.len));
}

void
fuzz_give2(fuzz_give *give, void *ctx, const void *head, size_t head_len, struct slice body)
{
	uint8_t *p = xmalloc(head_len + body.len + 1);

	memcpy(p, head, head_len);
	if (body.len > 0)
		memcpy(p + head_len, body.p, body.len);
	give(ctx, slice_of(p, head_len + body.len));
	free(p);
}

struct slice
fuzz_golden(const char *below)
{
	enum { GOLDEN_MAX = 64 << 20 };
	char *path = xasprintf("%s/%s", fuzz_srcdir(), below), *text = NULL;
	struct errbuf eb = ERRBUF_INIT;
	size_t len = 0;

	if (fs_read_file(fs_real(), path, GOLDEN_MAX, &text, &len, &eb) != OK) {
		fprintf(stderr, "%s\n", eb.text);
		text = NULL;
	}
	free(path);
	return (slice_of(text, len));
}

struct into {
	const char *dir;
	unsigned    n;
};

static void
write_seed(void *ctx, struct slice seed)
{
	struct into *into = ctx;
	char *path = xasprintf("%s/seed-%04u", into->dir, into->n++);
	struct file *f = NULL;

	FUZZ_CHECK(file_open(fs_real(), path, FS_RDWR | FS_CREATE | FS_TRUNC, &f, NULL) == OK);
	FUZZ_CHECK(file_pwrite(f, seed.p, seed.len, 0, NULL) == OK);
	file_unref(&f);
	free(path);
}

unsigned
fuzz_write_seeds(const char *dir)
{
	struct into into = { dir, 0 };

	fuzz_seeds(write_seed, &into);
	return (into.n);
}

static int
digit(char c)
{
	return (c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1);
}

size_t
fuzz_unhex(const char *hex, size_t hex_len, uint8_t *out, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i + 1 < hex_len && n < room; i += 2) {
		int high = digit(hex[i]), low = digit(hex[i + 1]);

		if (high < 0 || low < 0)
			break;
		out[n++] = (uint8_t)(high << 4 | low);
	}
	return (n);
}
