/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/record/facts.h - what we find in a buffer of batches, in the words of test/golden/record/ReadBatches.java, and the golden files.
 */
#ifndef FACTS_H
#define FACTS_H

#include <stdio.h>

#include "record/record.h"

/* Prints every batch and its records.  false: something could not be read, and the text says what. */
bool facts_print(FILE *, struct slice all, struct codec_ctx *);

/* The digest of a batch's records, as ReadBatches makes it.  false: they cannot be read. */
bool facts_digest(struct slice whole, const struct batch_header *, struct codec_ctx *, uint32_t *digest);

/* A file of test/golden/record, inflated (malloc'd; p NULL when it cannot be read). */
struct slice golden_bytes(const char *name);
char *golden_path(const char *name, char *buf, size_t len);
/* The golden files hold every codec.  false, and a line that says so: this build has not all of them. */
bool golden_codecs(void);
/* One named group of golden batches inside `all`; a null slice when there is none. */
struct slice golden_group(struct slice all, const char *name);

#endif
