/* SPDX-License-Identifier: Apache-2.0
 *
 * event/thread_int.h - how loops and workers get their threads: named, and with every signal blocked that a thread could be sent from
 * outside (faults of its own stay deliverable: base/map_guard needs SIGBUS).
 */
#ifndef EVENT_THREAD_INT_H
#define EVENT_THREAD_INT_H

#include <pthread.h>

#include "base/err.h"

enum err thread_start(pthread_t *, const char *name, void *(*fn)(void *), void *ctx, struct errbuf *) MUST_CHECK;

#endif
