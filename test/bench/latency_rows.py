# SPDX-License-Identifier: Apache-2.0
"""ROWS=latency: records one by one, until they are acknowledged and consumed, with the limits of issue 7.

The client is groupload.c's `records`: a connection for each of 6 partitions, one record of 1 KiB in each request, acks=all, no linger, open loop.

	acknowledged	from the moment each record was due until it was acknowledged
	consumed	until a consumer (one for each partition) had it
	cold		acknowledged, p99, while another consumer reads a log that is no longer in the page cache, as fast as it can; beside it the p99 of
			the same broker just before, without that

The broker is warmed up by the same load."""
import os
import pathlib
import threading
import time

from harness.broker import make_broker
from harness.groupload import GroupLoad

import quick_rows

PARTITIONS, RECORD = 6, 1024
ROWS = [    # (key, words, unit, better when, at most this share of Java's)
    ("acknowledged_p50", "acknowledged, median", "us", "low", None),
    ("acknowledged_p99", "acknowledged, p99", "us", "low", 0.4),
    ("acknowledged_p999", "acknowledged, p99.9", "us", "low", 0.4),
    ("consumed_p50", "consumed, median", "us", "low", None),
    ("consumed_p99", "consumed, p99", "us", "low", 0.5),
    ("warm_p99", "acknowledged, p99, before the cold read", "us", "low", None),
    ("cold_p99", "acknowledged, p99, during a cold read", "us", "low", None),
    ("cold_rate", "the cold read", "MB/s", "high", None),
]


def forget(directory):
    """The segments of these partitions leave the page cache."""
    os.sync()
    for path in pathlib.Path(directory).glob("cold-*/*.log"):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


def cold(b, args, load, out):
    """A lagging consumer beside the hot producers."""
    lagging = quick_rows.Run(b, args.cold_mb)
    lagging.topic("cold")
    size = lagging.produce("cold", args.cold_mb)
    load.ask("records", 2, args.records, RECORD, 0)
    out["warm_p99"] = load.ask("records", args.latency_seconds / 2, args.records, RECORD, 0)["acknowledged"]["p99_us"]
    forget(b.data)
    took = []

    def read():
        began = time.monotonic()
        lagging.consume("cold", size)
        took.append(time.monotonic() - began)

    reader = threading.Thread(target=read)
    load.begin("records", args.latency_seconds / 2, args.records, RECORD, 0)
    reader.start()
    out["cold_p99"] = load.answer()["acknowledged"]["p99_us"]
    reader.join()
    out["cold_rate"] = size / took[0] / 1e6


def run(kind, directory, zk, chroot, args):
    """-> {row: figure}"""
    out = {}
    b = make_broker(kind, directory, f"{zk.address}{chroot}", 0, {"log.retention.ms": -1})     # the cold records are of 1970
    try:
        b.start()
        b.create_topic("t", PARTITIONS)
        with GroupLoad(b, topic="t", partitions=PARTITIONS, pid=b.pid) as load:
            for _ in range(args.warm):
                load.ask("records", 5, args.records, RECORD, PARTITIONS)
            hot = load.ask("records", args.latency_seconds, args.records, RECORD, PARTITIONS)
            for what in ("acknowledged", "consumed"):
                for p in ("p50", "p99", "p999"):
                    out[f"{what}_{p}"] = hot[what][f"{p}_us"]
            if args.verbose:
                print("  hot", hot, flush=True)
            cold(b, args, load, out)
        b.stop()
    finally:
        b.cleanup()
    return out
