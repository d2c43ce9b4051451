/* SPDX-License-Identifier: Apache-2.0
 *
 * config/password.h - passwords as they stand in ZooKeeper: the text that Kafka's EncryptingPasswordEncoder writes and reads.
 *
 *	initializationVector:B64,keyLength:128,salt:B64,keyFactoryAlgorithm:PBKDF2WithHmacSHA512,cipherAlgorithm:AES/CBC/PKCS5Padding,
 *	iterations:4096,passwordLength:15,encryptedPassword:B64		(and authenticationTagLength:128 with AES/GCM), in any order
 *
 * The key is PBKDF2(secret, salt, iterations) of keyLength bits.  What was written says how it is to be read: only the secret must be the same.
 *
 * Threads    Any.  One call takes milliseconds at the usual iterations (LIMIT_PASSWORD_ITERATIONS_MAX bounds it).
 * Failure    ERR_UNSUPPORTED: an algorithm we do not have.  ERR_MALFORMED: not such a text.  ERR_INVALID: another secret made it, or it is
 *            damaged.  The words never hold a password or a secret.
 */
#ifndef CONFIG_PASSWORD_H
#define CONFIG_PASSWORD_H

#include "base/err.h"
#include "base/random.h"

struct config;

struct password_encoder {		/* borrowed texts */
	const char	*secret;	/* password.encoder.secret */
	const char	*key_factory;	/* password.encoder.keyfactory.algorithm; NULL = PBKDF2WithHmacSHA512 */
	const char	*cipher;	/* password.encoder.cipher.algorithm */
	int32_t		 key_length;	/* password.encoder.key.length, bits */
	int32_t		 iterations;	/* password.encoder.iterations */
};

/* The caller frees *out. */
enum err password_encode(const struct password_encoder *, const char *password, struct random *, char **out, struct errbuf *) MUST_CHECK;
enum err password_decode(const char *secret, const char *encoded, char **out, struct errbuf *) MUST_CHECK;

#endif
