/* SPDX-License-Identifier: Apache-2.0
 *
 * zkserver/acl.c - see acl.h.
 */
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "zkserver/acl.h"
#include "zk/tree.h"

enum {
	ENTRY_MIN = 12,		/* permissions and two lengths */
	PERMS_ALL = ZK_PERM_READ | ZK_PERM_WRITE | ZK_PERM_CREATE | ZK_PERM_DELETE | ZK_PERM_ADMIN,
	SHA1_LEN = 20,
};

struct entry {
	int32_t perms;
	struct slice scheme, id;
};

static struct entry
entry_read(struct reader *in)
{
	struct entry e;

	e.perms = rd_i32(in);
	e.scheme = jute_bytes(in);
	e.id = jute_bytes(in);
	return (e);
}

static void
entry_put(struct jute_out *out, const struct entry *e)
{
	jute_put_i32(out, e->perms);
	jute_put_bytes(out, e->scheme);
	jute_put_bytes(out, e->id);
}

/* ---- identities ---- */

void
acl_identities_fini(struct acl_identities *ids)
{
	for (uint32_t i = 0; i < ids->n; i++) {
		free(ids->v[i].scheme);
		free(ids->v[i].id);
	}
	free(ids->v);
	*ids = (struct acl_identities){ 0 };
}

bool
acl_identity_add(struct acl_identities *ids, const char *scheme, const char *id)
{
	size_t bytes = strlen(scheme) + strlen(id);

	for (uint32_t i = 0; i < ids->n; i++)
		if (strcmp(ids->v[i].scheme, scheme) == 0 && strcmp(ids->v[i].id, id) == 0)
			return (true);
	if (ids->n == LIMIT_ZK_IDENTITIES_MAX || bytes > LIMIT_ZK_IDENTITY_BYTES_MAX - ids->bytes)
		return (false);
	ids->v = xreallocarray(ids->v, ids->n + 1, sizeof(*ids->v));
	ids->v[ids->n++] = (struct acl_identity){ xstrdup(scheme), xstrdup(id) };
	ids->bytes += bytes;
	return (true);
}

/* "user:password" becomes "user:" and the digest of the whole. */
static char *
digest_of(struct slice credentials)
{
	uint8_t sha[SHA1_LEN];
	char text[4 * ((SHA1_LEN + 2) / 3) + 1];
	const uint8_t *colon = credentials.len == 0 ? NULL : memchr(credentials.p, ':', credentials.len);
	size_t user = colon == NULL ? credentials.len : (size_t)(colon - credentials.p);
	unsigned len = 0;

	if (EVP_Digest(credentials.len == 0 ? "" : (const void *)credentials.p, credentials.len, sha, &len, EVP_sha1(), NULL) != 1)
		return (NULL);
	EVP_EncodeBlock((unsigned char *)text, sha, (int)len);
	return (xasprintf("%.*s:%s", (int)user, (const char *)credentials.p, text));
}

bool
acl_authenticate(struct acl_identities *ids, const char *host, const char *scheme, struct slice credentials)
{
	bool ok;
	char *id;

	if (scheme != NULL && strcmp(scheme, "ip") == 0)
		return (acl_identity_add(ids, "ip", host));
	if (scheme == NULL || strcmp(scheme, "digest") != 0 || credentials.len > INT32_MAX / 2 || (id = digest_of(credentials)) == NULL)
		return (false);
	ok = acl_identity_add(ids, "digest", id);
	free(id);
	return (ok);
}

/* ---- what an id may look like ---- */

/* Two parts at colons, where empty ones at the end do not count. */
static bool
digest_is_valid(struct slice id)
{
	size_t len = id.len, colons = 0;

	while (len > 0 && id.p[len - 1] == ':')
		len--;
	for (size_t i = 0; i < len; i++)
		colons += id.p[i] == ':';
	return (colons == 1);
}

/* "a.b.c.d" or "a.b.c.d/bits" */
static bool
ip_parse(struct slice id, uint32_t *address, int *bits)
{
	char text[64], *slash, *end;
	struct in_addr in;

	if (id.p == NULL || id.len >= sizeof(text))
		return (false);
	memcpy(text, id.p, id.len);
	text[id.len] = 0;
	*bits = 32;
	slash = strchr(text, '/');
	if (slash != NULL) {
		long n = strtol(slash + 1, &end, 10);

		if (slash[1] == '\0' || *end != '\0' || n < 0 || n > 32)
			return (false);
		*bits = (int)n;
		*slash = '\0';
	}
	if (inet_pton(AF_INET, text, &in) != 1)
		return (false);
	*address = ntohl(in.s_addr);
	return (true);
}

static bool
id_is_valid(const struct entry *e)
{
	uint32_t address;
	int bits;

	if (e->id.p == NULL)
		return (false);
	if (slice_eq_str(e->scheme, "world"))
		return (slice_eq_str(e->id, "anyone"));
	if (slice_eq_str(e->scheme, "digest"))
		return (digest_is_valid(e->id));
	return (slice_eq_str(e->scheme, "ip") && ip_parse(e->id, &address, &bits));
}

/* ---- ACLs ---- */

struct fix {
	struct jute_out out;		/* entries only */
	struct entry   *seen;
	uint32_t	n, kept;
};

static bool
seen(const struct fix *f, const struct entry *e)
{
	for (uint32_t i = 0; i < f->n; i++)
		if (f->seen[i].perms == e->perms && slice_eq(f->seen[i].scheme, e->scheme) && slice_eq(f->seen[i].id, e->id))
			return (true);
	return (false);
}

/* Only what proves more than an address counts as authenticated. */
static bool
expand_auth(struct fix *f, const struct entry *e, const struct acl_identities *ids)
{
	uint32_t before = f->kept;

	for (uint32_t i = 0; i < ids->n; i++)
		if (strcmp(ids->v[i].scheme, "digest") == 0) {
			entry_put(&f->out, &(struct entry){ e->perms, slice_str(ids->v[i].scheme), slice_str(ids->v[i].id) });
			f->kept++;
		}
	return (f->kept > before && f->out.len <= LIMIT_JUTE_MAX);
}

static enum zke
fix_entry(struct fix *f, const struct entry *e, const struct acl_identities *ids)
{
	if (e->scheme.p == NULL)
		return (ZKE_INVALID_ACL);
	if (slice_eq_str(e->scheme, "auth"))
		return (expand_auth(f, e, ids) ? ZKE_OK : ZKE_INVALID_ACL);
	if (!id_is_valid(e))
		return (ZKE_INVALID_ACL);
	entry_put(&f->out, e);
	f->kept++;
	return (ZKE_OK);
}

static bool
is_open(const struct fix *f, const struct entry *first)
{
	return (f->kept == 1 && f->n == 1 && slice_eq_str(first->scheme, "world") && first->perms == PERMS_ALL);
}

enum zke
acl_fix(struct reader *in, const struct acl_identities *ids, struct arena *a, struct slice *fixed)
{
	int32_t count = jute_count(in, ENTRY_MIN);
	struct fix f = { .seen = count <= 0 ? NULL : ARENA_ARRAY(a, struct entry, (size_t)count) };
	enum zke e = count <= 0 || count > LIMIT_ZK_ACL_ENTRIES_MAX ? ZKE_INVALID_ACL : ZKE_OK;
	uint8_t *bytes;

	*fixed = SLICE_NULL;
	if (count > 0 && f.seen == NULL)
		in->bad = true;
	for (int32_t i = 0; i < count && !in->bad; i++) {	/* all of it is read, also behind an error: something follows */
		struct entry entry = entry_read(in);

		if (in->bad || e != ZKE_OK || seen(&f, &entry))
			continue;
		f.seen[f.n++] = entry;
		e = fix_entry(&f, &entry, ids);
	}
	if (!in->bad && e == ZKE_OK && !is_open(&f, f.seen)) {
		bytes = arena_alloc(a, f.out.len + 4);
		if (bytes == NULL) {
			in->bad = true;
		} else {
			be32enc(bytes, f.kept);
			memcpy(bytes + 4, f.out.p, f.out.len);
			*fixed = slice_of(bytes, f.out.len + 4);
		}
	}
	jute_out_fini(&f.out);
	return (e);
}

static bool
matches(const struct entry *e, const struct acl_identity *id)
{
	uint32_t allowed, address, mask;
	int bits, all;

	if (!slice_eq_str(e->scheme, id->scheme))
		return (false);
	if (strcmp(id->scheme, "ip") != 0)
		return (slice_eq_str(e->id, id->id));
	if (!ip_parse(e->id, &allowed, &bits) || !ip_parse(slice_str(id->id), &address, &all))
		return (false);
	mask = bits == 0 ? 0 : UINT32_MAX << (32 - bits);
	return ((allowed & mask) == (address & mask));
}

static bool
entry_permits(const struct entry *e, const struct acl_identities *ids)
{
	if (slice_eq_str(e->scheme, "world"))
		return (slice_eq_str(e->id, "anyone"));
	for (uint32_t i = 0; i < ids->n; i++)
		if (matches(e, &ids->v[i]))
			return (true);
	return (false);
}

bool
acl_permits(struct slice acl, const struct acl_identities *ids, unsigned perms)
{
	struct reader in = reader_of(acl);
	int32_t n = acl.p == NULL ? 0 : jute_count(&in, ENTRY_MIN);

	if (acl.p == NULL)
		return (true);
	for (int32_t i = 0; i < n; i++) {
		struct entry e = entry_read(&in);

		if (!in.bad && ((unsigned)e.perms & perms) != 0 && entry_permits(&e, ids))
			return (true);
	}
	return (false);
}

static void
entry_put_masked(struct jute_out *out, const struct entry *e, struct arena *a)
{
	const uint8_t *colon = e->id.p == NULL ? NULL : memchr(e->id.p, ':', e->id.len);
	struct entry masked = *e;

	if (slice_eq_str(e->scheme, "digest") && colon != NULL)
		masked.id = slice_str(arena_printf(a, "%.*s:x", (int)(colon - e->id.p), (const char *)e->id.p));
	entry_put(out, &masked);
}

void
acl_put(struct jute_out *out, struct slice acl, bool mask)
{
	struct reader in = reader_of(acl);
	int32_t n = acl.p == NULL ? 1 : jute_count(&in, ENTRY_MIN);
	struct arena a;

	jute_put_i32(out, n);
	if (acl.p == NULL) {
		entry_put(out, &(struct entry){ PERMS_ALL, SLICE_LIT("world"), SLICE_LIT("anyone") });
		return;
	}
	arena_init(&a, SIZE_MAX);
	for (int32_t i = 0; i < n; i++) {
		struct entry e = entry_read(&in);

		if (mask)
			entry_put_masked(out, &e, &a);
		else
			entry_put(out, &e);
	}
	arena_fini(&a);
}
