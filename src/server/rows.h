/* SPDX-License-Identifier: Apache-2.0
 *
 * server/rows.h - the lists of an answer, whatever their rows are.
 */
#ifndef SERVER_ROWS_H
#define SERVER_ROWS_H

#include "wire/walker.h"

/* Gives an answer's list `count` rows with the defaults of wire struct `name`.  false: the arena is full, and the list is empty. */
#define ROWS_NEW(arena, list, name, count) \
	((list)->v = WIRE_NEW_ARRAY((arena), name, (count)), \
	    (list)->n = (list)->v == NULL ? 0 : (count), \
	    (list)->v != NULL || (count) == 0)

/* The same error in every row. */
#define ROWS_SET_ERROR(list, error) do { \
	for (int32_t row_ = 0; row_ < (list)->n; row_++) \
		(list)->v[row_].error_code = (int16_t)(error); \
} while (0)

#endif
