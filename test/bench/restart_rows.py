# SPDX-License-Identifier: Apache-2.0
"""ROWS=restart: how long nobody is served, with the limits of issue 7.

	first record	exec of a broker that has never run, ZooKeeper up, to the first acknowledged record of a topic that it then makes; the client tries again every
			2 ms
	restart		--restart-partitions of --restart-mb each are filled, the broker is killed with -9 and, when its znode is gone (Java would not start before),
			started again: exec to a ListOffsets answer that names the old end of every partition, all in one request.  Everything is in the page
			cache for both
	recovery	of it: what is not the start of the same broker after a clean end

Three pairs suffice: --rounds 2 is four."""
import time

from harness import records, wire
from harness.broker import make_broker
from harness.proc import wait_until

from group_rows import znode_gone
from quick_rows import produce_request

ROWS = [    # (key, words, unit, better when, limit)
    ("first_record", "exec to first acknowledged record", "ms", "low", 0.05),
    ("restart", "kill -9, exec to all served", "ms", "low", 0.05),
    ("clean", "  the same after a clean end", "ms", "low", None),
    ("recovery", "  the rest: recovery", "ms", "low", None),
]
CONFIG = {"log.retention.ms": -1, "offsets.topic.num.partitions": None, "log.cleaner.dedupe.buffer.size": None}
BATCH_RECORDS, IN_FLIGHT = 1000, 8


def fill(b, topic, partitions, megabytes):
    """Batches of 1 MB, round-robin.  -> records in each partition"""
    batch = records.batch([b"%04d" % i + bytes(range(250)) * 4 for i in range(BATCH_RECORDS)])
    each = max(1, int(megabytes * 1e6 / len(batch)))
    with b.connect(timeout=120) as c:
        waiting = 0
        for _ in range(each):
            for p in range(partitions):
                c.send_bytes(produce_request(topic, p, batch))
                waiting += 1
                if waiting == IN_FLIGHT:
                    accept(c.receive_frame())
                    waiting -= 1
        for _ in range(waiting):
            accept(c.receive_frame())
    return each * BATCH_RECORDS


def accept(frame):
    error = wire.decode_response("Produce", 7, frame)[1]["Responses"][0]["PartitionResponses"][0]["ErrorCode"]
    assert error == 0, f"Produce: error {error}"


def all_served(b, topic, partitions, end):
    with b.connect(timeout=60) as c:
        rows = c.call("ListOffsets", 4, {"ReplicaId": -1, "Topics": [{"Name": topic, "Partitions": [
            {"PartitionIndex": p, "Timestamp": -1} for p in range(partitions)]}]})["Topics"][0]["Partitions"]
    bad = [r for r in rows if r["ErrorCode"] == 0 and r["Offset"] not in (0, end)]
    assert not bad, f"acknowledged records are gone: {bad[:3]}"
    return all(r["ErrorCode"] == 0 and r["Offset"] == end for r in rows)


def served_after(b, args, end):
    began = time.monotonic()
    b.launch()
    wait_until(lambda: all_served(b, "t", args.restart_partitions, end), 600, "all partitions to be served", every=0.005)
    return (time.monotonic() - began) * 1e3


def first_record(b):
    """A new directory, a new chroot."""
    began = time.monotonic()
    b.launch()

    def made():
        with b.connect(timeout=5) as c:
            answer = c.call("CreateTopics", 4, {"Topics": [{"Name": "first", "NumPartitions": 1, "ReplicationFactor": 1}], "timeoutMs": 30000})
            return answer["Topics"][0]["ErrorCode"] in (0, 36)

    wait_until(made, 60, "the first topic", every=0.002)
    with b.connect() as c:
        data = records.batch([b"x"])

        def produced():
            answer = c.call("Produce", 7, {"Acks": 1, "TimeoutMs": 30000, "TopicData": [{"Name": "first", "PartitionData": [{"Index": 0, "Records": data}]}]})
            return answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"] == 0

        wait_until(produced, 30, "the first record", every=0.002)
    return (time.monotonic() - began) * 1e3


def run(kind, directory, zk, chroot, args):
    """One broker of a kind; -> {row: figure}"""
    out = {}
    b = make_broker(kind, directory, f"{zk.address}{chroot}", 0, CONFIG)
    try:
        out["first_record"] = first_record(b)
        b.wait_ready()
        b.create_topic("t", args.restart_partitions)
        end = fill(b, "t", args.restart_partitions, args.restart_mb)
        b.kill9()
        znode_gone(b, zk)
        out["restart"] = served_after(b, args, end)
        b.stop(300)
        out["clean"] = served_after(b, args, end)
        out["recovery"] = out["restart"] - out["clean"]
        b.stop(300)
    finally:
        b.cleanup()
    return out
