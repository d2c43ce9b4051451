/* SPDX-License-Identifier: Apache-2.0
 *
 * base/kerr.c - see kerr.h.
 */
#include <stddef.h>

#include "base/kerr.h"

const char *
kerr_name(enum kerr k)
{
	switch (k) {
#define KERR(code, name, text)	case KERR_##name: return (#name);
#include "base/kafka_errors.def"
#undef KERR
	}
	return ("?");
}

const char *
kerr_text(enum kerr k)
{
	if (k == KERR_NONE)
		return (NULL);
	switch (k) {
#define KERR(code, name, text)	case KERR_##name: return (text);
#include "base/kafka_errors.def"
#undef KERR
	}
	return ("The broker met an error it has no words for.");
}
