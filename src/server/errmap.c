/* SPDX-License-Identifier: Apache-2.0
 *
 * server/errmap.c - see errmap.h.  Every row of base/err.def stands here, so that the compiler asks about a new one.
 *
 * What a disk says is KAFKA_STORAGE_ERROR (KafkaStorageException); a time-out REQUEST_TIMED_OUT; a write fenced by another controller
 * NOT_CONTROLLER.  ZooKeeper's errors have no code of their own in Java either: UNKNOWN_SERVER_ERROR.
 */
#include "server/errmap.h"

enum kerr
errmap(enum err e)
{
	switch (e) {
	case OK:
		return (KERR_NONE);
	case ERR_IO:
	case ERR_NOSPACE:
	case ERR_READONLY:
	case ERR_OFFLINE:
		return (KERR_KAFKA_STORAGE_ERROR);
	case ERR_CORRUPT:
		return (KERR_CORRUPT_MESSAGE);
	case ERR_MALFORMED:
	case ERR_INVALID:
	case ERR_RANGE:
		return (KERR_INVALID_REQUEST);
	case ERR_TIMEOUT:
		return (KERR_REQUEST_TIMED_OUT);
	case ERR_FENCED:
		return (KERR_NOT_CONTROLLER);
	case ERR_NOENT:
	case ERR_EXISTS:
	case ERR_PERM:
	case ERR_LOCKED:
	case ERR_LIMIT:
	case ERR_NOMEM:
	case ERR_UNSUPPORTED:
	case ERR_NOTFOUND:
	case ERR_CONFLICT:
	case ERR_CLOSED:
	case ERR_AGAIN:
	case ERR_NET:
	case ERR_ZK:
	case ERR_ZK_LOSS:
	case ERR_ZK_EXPIRED:
	case ERR_ZK_AUTH:
	case ERR_STOPPED:
	case ERR_COUNT_:
		break;
	}
	return (KERR_UNKNOWN_SERVER_ERROR);
}
