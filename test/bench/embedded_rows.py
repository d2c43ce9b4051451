# SPDX-License-Identifier: Apache-2.0
"""ROWS=embedded: Ottla on its embedded ZooKeeper beside Ottla on a ZooKeeper 3.8 (never Java Kafka), with the limits of issue 8.

	start		exec on an empty directory to the first acknowledged record of a topic that is made meanwhile (the other ZooKeeper runs already)
	memory		RssAnon + RssShmem, idle, 1.5 s after that
	writes		create, setData, delete a second, answered to 10 sessions that have 100 requests each under way (zkload.c; the other server alone on its
			side, ours inside the idle ottlad); both answer when it is on disk (forceSync=yes), ZooKeeper with a heap of 1 GB and as Java
			compiles by default; it has been warmed up by as long a run before
	one by one	the same with one request under way in one session: the latency of a write
	topic		CreateTopics of 2,000 partitions to the arrival of the Metadata that names a leader for each (decoding it takes this client 30 ms, which
			no broker can help); the median of --topics topics, each made when what the one before left to be done in the background is done

Both sides keep their files in the bench's temporary directory (TMPDIR), each on the same disk as its broker's logs.  No file is removed before all
have been measured, and each run has a part of the disk of its own: ext4 goes through every inode that was freed near by within the last minutes to make
a new one, so that a topic takes ten times as long behind the removal of one."""
import fcntl
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import time

from harness import env, wire
from harness.broker import OttlaBroker, embedded_port
from harness.proc import wait_until
from harness.zookeeper import ZooKeeper

import quick_rows

KINDS = ["zookeeper", "embedded"]
KEEPS_FILES = True
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_TOPDIR_FL = 0x80086601, 0x40086602, 0x20000


def at_most(most, unit):
    return lambda other, ours: (f"{ours:.1f} of <= {most} {unit}", ours <= most)


def more_by_at_most(most, unit):
    return lambda other, ours: (f"{ours - other:+.2f} of <= +{most} {unit}", ours - other <= most)


def times_at_least(least):
    return lambda other, ours: (f"{ours / other:.2f} of >= {least} x", ours >= least * other)


def times_at_most(most):
    return lambda other, ours: (f"{ours / other:.2f} of <= {most} x", ours <= most * other)


ROWS = [    # (key, words, unit, better when, what must hold)
    ("start_metadata", "start to first metadata", "ms", "low", None),
    ("start_record", "start to first acknowledged record", "ms", "low", at_most(150, "ms")),
    ("memory_idle", "memory, idle", "MiB", "low", more_by_at_most(2, "MiB")),
    ("writes", "create+setData+delete, 10 sessions", "1/s", "high", times_at_least(1)),
    ("one_by_one", "the same, one after the other", "1/s", "high", None),
    ("topic", "topic of 2,000 partitions", "ms", "low", times_at_most(0.5)),
]


def zkload(port, sessions, in_flight, seconds):
    program = pathlib.Path(env.ottlad()).parent / "test/bench/zkload"
    if not program.exists():
        sys.exit("bench: no test/bench/zkload beside ottlad; make builds it")
    done = subprocess.run([program, str(port), str(sessions), str(in_flight), f"{seconds:g}"], capture_output=True, text=True, timeout=seconds * 10 + 60)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def led(metadata, n):
    t = metadata["Topics"][0]
    return t["ErrorCode"] == 0 and len(t["Partitions"]) == n and not any(p["ErrorCode"] for p in t["Partitions"])


def topic(b, name, n):
    """-> ms"""
    with b.connect(timeout=90) as c:
        began = time.monotonic()
        answer = c.call("CreateTopics", 4, {"Topics": [{"Name": name, "NumPartitions": n, "ReplicationFactor": 1}], "timeoutMs": 60000})
        assert answer["Topics"][0]["ErrorCode"] == 0, answer
        while True:
            c.send("Metadata", 1, {"Topics": [{"Name": name}]})
            frame = c.receive_frame()
            arrived = time.monotonic()
            if led(wire.decode_response("Metadata", 1, frame)[1], n):
                return (arrived - began) * 1e3
            assert arrived - began < 60, f"{name} has no leaders"


def topics(b, args):
    took = []
    for i in range(args.topics):
        took.append(topic(b, f"wide-{i}", args.wide))
        # the last that is made of a new partition, behind the answer
        wait_until(lambda: sum(1 for _ in b.data.glob(f"wide-{i}-*/leader-epoch-checkpoint")) == args.wide, 120, f"the files of wide-{i}", every=0.5)
        time.sleep(1)
    return statistics.median(took)


def apart(directory):
    """What is made in it gets inodes far from those that others use, as directories right below the root do (chattr +T); where there is no such thing
    nothing is done."""
    directory.mkdir(parents=True)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        flags, = struct.unpack("l", fcntl.ioctl(fd, FS_IOC_GETFLAGS, bytes(struct.calcsize("l"))))
        fcntl.ioctl(fd, FS_IOC_SETFLAGS, struct.pack("l", flags | FS_TOPDIR_FL))
    except OSError:
        pass
    finally:
        os.close(fd)


def run(kind, directory, zk, chroot, args):
    """One broker through all of it; -> {row: figure}"""
    apart(directory)
    server = None
    if kind == "embedded":
        b = OttlaBroker(directory / "broker", "embedded", 0, {"ottla.embedded.zookeeper.listener": "127.0.0.1:0"})
        b.may_wait_for_session = False
    else:
        server = ZooKeeper(directory / "zookeeper", more=["forceSync=yes"], heap="1g", jvm=[])
        server.start()
        b = OttlaBroker(directory / "broker", f"{server.address}{chroot}", 0)
    try:
        r = quick_rows.Run(b, 0)
        r.start()
        port = server.port if server else embedded_port(b)
        zkload(port, 10, 100, args.write_seconds)
        r.out["writes"] = zkload(port, 10, 100, args.write_seconds)
        r.out["one_by_one"] = zkload(port, 1, 1, args.write_seconds)
        r.out["topic"] = topics(b, args)
        b.stop()
    finally:
        b.cleanup()
        if server:
            server.stop()
    return r.out
