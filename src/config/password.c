/* SPDX-License-Identifier: Apache-2.0
 *
 * config/password.c - see password.h for the interface.
 *
 * Java lets operators name any algorithm its providers have; here are those that make sense for a password (tables below).  Java writes the
 * pairs in the order of its hash map; we write them in the same order, so that two encodings differ only where they are random.
 */
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/str.h"
#include "config/password.h"

enum { SALT_BYTES = 256, IV_MAX = 64, GCM_IV_BYTES = 12, GCM_TAG_BITS = 128 };

/* ---- algorithms ---- */

static const struct {
	const char	*name;
	const EVP_MD	*(*md)(void);
} factories[] = {
	{ "PBKDF2WithHmacSHA512", EVP_sha512 }, { "PBKDF2WithHmacSHA384", EVP_sha384 }, { "PBKDF2WithHmacSHA256", EVP_sha256 },
	{ "PBKDF2WithHmacSHA224", EVP_sha224 }, { "PBKDF2WithHmacSHA1", EVP_sha1 },
};

static const struct cipher {
	const char	*name;
	const char	*mode;		/* OpenSSL's: AES-<bits>-<mode>; NULL: not AES */
	bool		 gcm;
} ciphers[] = {
	{ "AES/CBC/PKCS5Padding", "CBC", false }, { "AES/GCM/NoPadding", "GCM", true }, { "AES/CTR/NoPadding", "CTR", false },
	{ "AES/CFB/NoPadding", "CFB", false }, { "AES/OFB/NoPadding", "OFB", false }, { "DESede/CBC/PKCS5Padding", NULL, false },
};

/* How a password is, or is to be, enciphered. */
struct scheme {
	const EVP_MD	*md;
	const struct cipher *cipher;
	char		 evp_name[24];
	int32_t		 key_bits, iterations, tag_bits;
};

static enum err
scheme_set(struct scheme *s, const char *factory, const char *cipher, int32_t key_bits, int32_t iterations, struct errbuf *eb)
{
	*s = (struct scheme){ .key_bits = key_bits, .iterations = iterations, .tag_bits = GCM_TAG_BITS };
	for (size_t i = 0; i < NELEM(factories); i++)
		if (strcasecmp(factory, factories[i].name) == 0)
			s->md = factories[i].md();
	if (s->md == NULL) {
		errbuf_set(eb, "the key factory algorithm %.60s is not available; PBKDF2WithHmacSHA512 is, as with SHA384, SHA256, SHA224 and SHA1",
		    factory);
		return (ERR_UNSUPPORTED);
	}
	for (size_t i = 0; i < NELEM(ciphers); i++)
		if (strcasecmp(cipher, ciphers[i].name) == 0)
			s->cipher = &ciphers[i];
	if (s->cipher == NULL) {
		errbuf_set(eb, "the cipher algorithm %.60s is not available; AES/CBC/PKCS5Padding and AES/GCM/NoPadding are", cipher);
		return (ERR_UNSUPPORTED);
	}
	if (s->cipher->mode == NULL ? key_bits != 192 : key_bits != 128 && key_bits != 192 && key_bits != 256) {
		errbuf_set(eb, "%d bits are no key length for %s; expected %s", key_bits, s->cipher->name, s->cipher->mode == NULL ? "192" :
		    "128, 192 or 256");
		return (ERR_INVALID);
	}
	if (iterations < 1 || iterations > LIMIT_PASSWORD_ITERATIONS_MAX) {
		errbuf_set(eb, "%d iterations; expected 1 to %d", iterations, LIMIT_PASSWORD_ITERATIONS_MAX);
		return (ERR_LIMIT);
	}
	if (s->cipher->mode == NULL)
		str_copy(s->evp_name, sizeof(s->evp_name), "DES-EDE3-CBC");
	else
		str_format(s->evp_name, sizeof(s->evp_name), "AES-%d-%s", key_bits, s->cipher->mode);
	return (OK);
}

/* ---- base64 ---- */

static char *
base64(const uint8_t *p, size_t len)
{
	char *text = xmalloc((len + 2) / 3 * 4 + 1);

	EVP_EncodeBlock((unsigned char *)text, p, (int)len);
	return (text);
}

/* NULL: no base64.  Padding may be missing, as in Java. */
static uint8_t *
unbase64(struct slice text, size_t *len)
{
	size_t pad = (4 - text.len % 4) % 4, n = text.len + pad, missing = pad;
	uint8_t *in, *out;
	int got;

	*len = 0;
	if (text.len == 0)
		return (xcalloc(1, 1));
	if (n > INT_MAX || pad == 3)
		return (NULL);
	in = xmalloc(n);
	memcpy(in, text.p, text.len);
	memset(in + text.len, '=', pad);
	for (size_t i = text.len; i > 0 && pad == 0 && missing < 2 && in[i - 1] == '='; i--)
		missing++;
	out = xmalloc(n);
	got = EVP_DecodeBlock(out, in, (int)n);
	free(in);
	if (got <= 0 || (size_t)got < missing || strspn((const char *)text.p, " \t\r\n") > 0) {
		free(out);
		return (NULL);
	}
	*len = (size_t)got - missing;
	return (out);
}

/* ---- the work ---- */

struct bytes {
	uint8_t	*p;
	size_t	 len;
};

static void
bytes_wipe(struct bytes *b)
{
	if (b->p != NULL)
		OPENSSL_cleanse(b->p, b->len);
	free(b->p);
	*b = (struct bytes){ NULL, 0 };
}

static bool
derive_key(const struct scheme *s, const char *secret, const uint8_t *salt, size_t salt_len, uint8_t key[32])
{
	return (PKCS5_PBKDF2_HMAC(secret, (int)strlen(secret), salt, (int)salt_len, s->iterations, s->md, s->key_bits / 8, key) == 1);
}

static bool
crypt_begin(EVP_CIPHER_CTX *ctx, const struct scheme *s, bool encrypt, const EVP_CIPHER *cipher, const uint8_t *key, const uint8_t *iv, size_t iv_len)
{
	if (EVP_CipherInit_ex(ctx, cipher, NULL, NULL, NULL, encrypt) != 1)
		return (false);
	if (s->cipher->gcm) {
		if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)iv_len, NULL) != 1)
			return (false);
	} else if ((size_t)EVP_CIPHER_get_iv_length(cipher) != iv_len)
		return (false);
	return (EVP_CipherInit_ex(ctx, NULL, NULL, key, iv, encrypt) == 1);
}

/* One whole text; `out` has room for it, a block and a tag.  With GCM the tag stands behind the text, as in Java. */
static bool
crypt(EVP_CIPHER_CTX *ctx, const struct scheme *s, bool encrypt, struct slice in, struct bytes *out)
{
	size_t tag = s->cipher->gcm ? (size_t)s->tag_bits / 8 : 0;
	int n = 0, last = 0;

	if (!encrypt && in.len < tag)
		return (false);
	if (!encrypt)
		in.len -= tag;
	if (!encrypt && tag > 0 && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)tag, (void *)(uintptr_t)(in.p + in.len)) != 1)
		return (false);
	if (EVP_CipherUpdate(ctx, out->p, &n, in.p, (int)in.len) != 1 || EVP_CipherFinal_ex(ctx, out->p + n, &last) != 1)
		return (false);
	out->len = (size_t)(n + last);
	if (encrypt && tag > 0) {
		if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)tag, out->p + out->len) != 1)
			return (false);
		out->len += tag;
	}
	return (true);
}

static bool
run_cipher(const struct scheme *s, bool encrypt, const uint8_t *key, const uint8_t *iv, size_t iv_len, struct slice in, struct bytes *out)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, s->evp_name, NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool ok = cipher != NULL && ctx != NULL && in.len < INT_MAX / 2;

	*out = (struct bytes){ xcalloc(1, in.len + 64), 0 };
	ok = ok && crypt_begin(ctx, s, encrypt, cipher, key, iv, iv_len) && crypt(ctx, s, encrypt, in, out);
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	return (ok);
}

/* ---- encode ---- */

static size_t
iv_bytes(const struct scheme *s)
{
	return (s->cipher->gcm ? GCM_IV_BYTES : s->cipher->mode == NULL ? 8 : 16);
}

static char *
write_out(const struct password_encoder *pe, const struct scheme *s, const uint8_t *iv, const uint8_t *salt, struct bytes text, const char *password)
{
	char *iv64 = base64(iv, iv_bytes(s)), *salt64 = base64(salt, SALT_BYTES), *text64 = base64(text.p, text.len);
	struct strbuf sb = STRBUF_INIT;

	strbuf_add(&sb, "initializationVector:%s,keyLength:%d,salt:%s,keyFactoryAlgorithm:%s,cipherAlgorithm:%s,", iv64, s->key_bits, salt64,
	    pe->key_factory == NULL ? factories[0].name : pe->key_factory, pe->cipher);
	if (s->cipher->gcm)
		strbuf_add(&sb, "authenticationTagLength:%d,", s->tag_bits);
	strbuf_add(&sb, "iterations:%d,passwordLength:%zu,encryptedPassword:%s", s->iterations, java_string_length(slice_str(password)), text64);
	free(iv64);
	free(salt64);
	free(text64);
	return (strbuf_take(&sb));
}

enum err
password_encode(const struct password_encoder *pe, const char *password, struct random *r, char **out, struct errbuf *eb)
{
	uint8_t salt[SALT_BYTES], iv[IV_MAX], key[32];
	struct bytes text = { NULL, 0 };
	struct scheme s;
	enum err e;
	bool ok;

	*out = NULL;
	e = scheme_set(&s, pe->key_factory == NULL ? factories[0].name : pe->key_factory, pe->cipher, pe->key_length, pe->iterations, eb);
	if (e != OK)
		return (e);
	r->fill(r, salt, sizeof(salt));
	r->fill(r, iv, iv_bytes(&s));
	ok = derive_key(&s, pe->secret, salt, sizeof(salt), key) && run_cipher(&s, true, key, iv, iv_bytes(&s), slice_str(password), &text);
	if (ok)
		*out = write_out(pe, &s, iv, salt, text, password);
	else
		errbuf_set(eb, "%s with a key of %s failed", s.cipher->name, pe->key_factory == NULL ? factories[0].name : pe->key_factory);
	OPENSSL_cleanse(key, sizeof(key));
	bytes_wipe(&text);
	return (ok ? OK : ERR_UNSUPPORTED);
}

/* ---- decode ---- */

static struct slice
trim(struct slice s)
{
	while (s.len > 0 && s.p[0] <= ' ') {
		s.p++;
		s.len--;
	}
	while (s.len > 0 && s.p[s.len - 1] <= ' ')
		s.len--;
	return (s);
}

/* The value of a pair; the pairs are parted by commas, key and value by the last colon. */
static bool
find(const char *encoded, const char *key, struct slice *value)
{
	const char *at = encoded, *end, *colon;

	for (; at != NULL; at = *end == ',' ? end + 1 : NULL) {
		struct slice k;

		end = at + strcspn(at, ",");
		colon = memrchr(at, ':', (size_t)(end - at));
		if (colon == NULL)
			continue;
		k = trim(slice_of(at, (size_t)(colon - at)));
		*value = trim(slice_of(colon + 1, (size_t)(end - colon - 1)));
		if (slice_eq_str(k, key))
			return (true);
	}
	return (false);
}

static bool
find_int(const char *encoded, const char *key, int32_t *n)
{
	struct slice v;

	return (find(encoded, key, &v) && str_to_i32(v, n));
}

static bool
find_bytes(const char *encoded, const char *key, struct bytes *b)
{
	struct slice v;

	return (find(encoded, key, &v) && (b->p = unbase64(v, &b->len)) != NULL);
}

struct stored {
	struct scheme	 scheme;
	struct bytes	 salt, iv, text;
	int32_t		 length;
};

static void
stored_fini(struct stored *st)
{
	free(st->salt.p);
	free(st->iv.p);
	free(st->text.p);
}

static bool
tag_length_ok(const char *encoded, struct scheme *s)
{
	return (!s->cipher->gcm || (find_int(encoded, "authenticationTagLength", &s->tag_bits) && s->tag_bits >= 96 && s->tag_bits <= 128 &&
	    s->tag_bits % 8 == 0));
}

static enum err
stored_read(struct stored *st, const char *encoded, struct errbuf *eb)
{
	struct slice factory, cipher;
	int32_t bits, iterations;
	char *f, *c;
	enum err e;

	memset(st, 0, sizeof(*st));
	if (!find(encoded, "keyFactoryAlgorithm", &factory) || !find(encoded, "cipherAlgorithm", &cipher) ||
	    !find_int(encoded, "keyLength", &bits) || !find_int(encoded, "iterations", &iterations) ||
	    !find_int(encoded, "passwordLength", &st->length) || !find_bytes(encoded, "salt", &st->salt) ||
	    !find_bytes(encoded, "initializationVector", &st->iv) || !find_bytes(encoded, "encryptedPassword", &st->text) || st->iv.len > IV_MAX) {
		errbuf_set(eb, "it is not in the form of Kafka's password encoder");
		return (ERR_MALFORMED);
	}
	f = xstrndup((const char *)factory.p, factory.len);
	c = xstrndup((const char *)cipher.p, cipher.len);
	e = scheme_set(&st->scheme, f, c, bits, iterations, eb);
	free(f);
	free(c);
	if (e == OK && !tag_length_ok(encoded, &st->scheme)) {
		errbuf_set(eb, "authenticationTagLength is missing or wrong");
		e = ERR_MALFORMED;
	}
	return (e);
}

static bool
is_password(struct bytes b, int32_t length)
{
	struct slice s = slice_of(b.p, b.len);

	return (str_is_utf8(s) && memchr(b.p, 0, b.len) == NULL && java_string_length(s) == (size_t)length);
}

enum err
password_decode(const char *secret, const char *encoded, char **out, struct errbuf *eb)
{
	struct bytes plain = { NULL, 0 };
	struct stored st;
	uint8_t key[32];
	enum err e;

	*out = NULL;
	e = stored_read(&st, encoded, eb);
	if (e == OK) {
		if (derive_key(&st.scheme, secret, st.salt.p, st.salt.len, key) &&
		    run_cipher(&st.scheme, false, key, st.iv.p, st.iv.len, slice_of(st.text.p, st.text.len), &plain) &&
		    is_password(plain, st.length))
			*out = xstrndup((const char *)plain.p, plain.len);
		else {
			errbuf_set(eb, "it was encoded with another secret, or is damaged");
			e = ERR_INVALID;
		}
		OPENSSL_cleanse(key, sizeof(key));
	}
	bytes_wipe(&plain);
	stored_fini(&st);
	return (e);
}
