# SPDX-License-Identifier: Apache-2.0
"""ROWS=scale: what grows with partitions, connections and producers, with the limits of issue 7.

	memory		RssAnon + RssShmem: idle after the start; after --memory-mb on 6 partitions, written and read; what each of --memory-partitions partitions
			of a new topic adds; what each of --memory-connections connections adds that has asked for ApiVersions and then says nothing
	loop turn	the longest one of any event loop (SIGUSR1 tells) while --turns-mb are written to 6 partitions in segments of 16 MiB and
			retention.bytes has them deleted, to the last file.  Java has no such loops
	CPU		broker CPU per GB in batches of 64 KiB, one per request, round-robin over 1, 100, 1,000, 10,000 partitions, less W (the cost of fresh pages
			in as many files, measured before and after); growth: the largest over the smallest.  Java: 1 GiB heap
			As many partitions as the shell's hard limit of descriptors has room for (one each, and a quarter of all for index files)
	group commit	--commit-producers connections, each with a record of 1 KiB under way, acks=all, 6 partitions (syncload.c): answers a second with
			nothing synced; with ottla.produce.sync.enable (Java: flush.messages=1); and the share that is left of the first.  The two are measured
			in turn: off, on, on, off

Three pairs suffice: --rounds 2 is four.  --parts names some of memory,turns,cpu,commit."""
import json
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import time

from harness import bare, records, wire
from harness.broker import make_broker
from harness.groupload import program
from harness.proc import wait_until

from quick_rows import Run, produce_request
from restart_rows import accept

GB, KIB_IN_MIB, IN_FLIGHT, PARTITIONS, CPU_BATCH = 1e9, 1024, 8, 6, 65536
CONFIG = {"offsets.topic.num.partitions": None, "log.cleaner.dedupe.buffer.size": None, "log.retention.ms": -1, "log.segment.delete.delay.ms": 1000}


def at_most(limit):
    return lambda a, b: (f"{b:.3g} of <= {limit}", b <= limit)


def at_least(limit):
    return lambda a, b: (f"{b:.3g} of >= {limit}", b >= limit)


ROWS_OF = {     # (key, words, unit, better when, limit)
    "memory": [
        ("memory_idle", "memory, idle", "MiB", "low", at_most(16)),
        ("memory_loaded", "memory, after load, 6 partitions", "MiB", "low", at_most(64)),
        ("memory_partition", "memory per partition", "KiB", "low", at_most(16)),
        ("memory_connection", "memory per idle connection", "KiB", "low", at_most(8)),
    ],
    "turns": [("turn", "longest loop turn, rolls and deletes", "ms", "low", at_most(20))],
    "cpu": [("cpu_growth", "CPU per GB, largest over smallest", "x", "low", at_most(1.5))],
    "commit": [
        ("commit_off", "many producers, nothing synced", "1/s", "high", None),
        ("commit_on", "  acknowledged after the sync", "1/s", "high", None),
        ("commit_on_p99", "  the same, p99", "us", "low", None),
        ("commit_share", "  on over off", "x", "high", at_least(0.5)),
    ],
}


def partition_counts(args):
    """A log holds one descriptor, and those that wrote last two more; what the shell does not grant cannot be measured, and the row says what was."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] * 3 // 4 - 1000
    return sorted({min(int(n), most) for n in args.cpu_partitions.split(",")})


def rows(args):
    cpu = [(f"cpu_{n}", f"CPU per GB, {n:,} partitions", "s/GB", "low", None) for n in partition_counts(args)]
    return [r for part in args.parts.split(",") for r in (cpu if part == "cpu" else []) + ROWS_OF[part]]


class Place:
    """A broker with a new directory and chroot for each part."""

    def __init__(self, kind, directory, zk, chroot):
        self.kind, self.directory, self.zk, self.chroot = kind, directory, zk, chroot

    def broker(self, part, config=None):
        return make_broker(self.kind, self.directory / part, f"{self.zk.address}{self.chroot}-{part}", 0, {**CONFIG, **(config or {})})


# ---- memory -----------------------------------------------------------------------------------------------------------------------------------

def settled(b, seconds=2):
    time.sleep(seconds)
    return b.memory()


def memory(place, args, out):
    b = place.broker("memory")
    try:
        b.start()
        out["memory_idle"] = settled(b) / KIB_IN_MIB
        run = Run(b, args.memory_mb, PARTITIONS)
        t = run.topic("load")
        run.consume(t, run.produce(t, args.memory_mb))
        before = settled(b)
        out["memory_loaded"] = before / KIB_IN_MIB
        b.create_topic("wide", args.memory_partitions)
        now = settled(b, 5)
        out["memory_partition"] = (now - before) / args.memory_partitions
        hello = wire.request_header("ApiVersions", 0, 1)
        hello = len(hello).to_bytes(4, "big") + hello
        before, idle = now, []
        for _ in range(args.memory_connections):
            s = socket.create_connection(("127.0.0.1", b.port))
            idle.append(s)
            s.sendall(hello)
            assert s.recv(65536)
        out["memory_connection"] = (settled(b, 5) - before) / args.memory_connections
        for s in idle:
            s.close()
        b.stop(120)
    finally:
        b.cleanup()


# ---- turns ------------------------------------------------------------------------------------------------------------------------------------

def longest_turn(b):
    """Since it was asked the last time: ms."""
    said = len(b.text())
    b.process.signal(signal.SIGUSR1)
    told = re.compile(r"longest turn (\d+) us")
    loops = 2 + int(b.config["num.network.threads"])
    wait_until(lambda: len(told.findall(b.text()[said:])) >= loops, 20, "the longest turns")
    return max(int(us) for us in told.findall(b.text()[said:])) / 1000


def turns(place, args, out):
    if place.kind != "ottla":
        out["turn"] = 0
        return
    kept = args.turns_mb * 1000000 // 20 // PARTITIONS
    b = place.broker("turns", {"num.network.threads": 3, "log.segment.bytes": 16 << 20, "log.retention.bytes": kept, "log.retention.check.interval.ms": 500,
                               "log.initial.task.delay.ms": 500})
    try:
        b.start()
        run = Run(b, args.turns_mb, PARTITIONS)
        t = run.topic("t")
        longest_turn(b)
        run.produce(t, args.turns_mb)
        places = [b.partition_dir(t, p) for p in range(PARTITIONS)]

        def gone():
            return sum(f.stat().st_size for p in places for f in p.glob("*.log*")) < (kept + (32 << 20)) * PARTITIONS

        wait_until(gone, 120, "retention to have deleted it", every=0.2)
        out["turn"] = longest_turn(b)
        b.stop(120)
    finally:
        b.cleanup()


# ---- CPU per GB over many partitions ------------------------------------------------------------------------------------------------------------

def round_robin(b, topic, partitions, megabytes):
    """-> bytes"""
    value = os.urandom(1024)
    batch = records.batch([value] * (CPU_BATCH // 1040))
    heads = [produce_request(topic, p, batch)[:-len(batch)] for p in range(partitions)]
    n = max(int(megabytes * 1e6 / len(batch)), 1)
    with b.connect(timeout=120) as c:
        for i in range(n):
            head = heads[i % partitions]
            sent = c.sock.sendmsg([head, batch])
            if sent < len(head) + len(batch):
                c.sock.sendall((head + batch)[sent:])
            if i >= IN_FLIGHT:
                accept(c.receive_frame())
        for _ in range(min(n, IN_FLIGHT)):
            accept(c.receive_frame())
    return n * len(batch)


def delete_topic(b, name):
    """Its descriptors are needed for the next."""
    with b.connect() as c:
        answer = c.call("DeleteTopics", 3, {"TopicNames": [name], "TimeoutMs": 30000})
        assert answer["Responses"][0]["ErrorCode"] == 0, answer
    wait_until(lambda: not list(b.data.glob(f"{name}-*")) and not list(b.data.glob(f"{name}.*")), 120, f"the files of {name} to go")


def pages_cost(place, partitions, megabytes):
    directory = place.directory / "pages"
    cost = bare.pages(directory, megabytes, partitions) / (megabytes * 1e6) * GB
    shutil.rmtree(directory)
    return cost


def cpu(place, args, out):
    counts = partition_counts(args)
    b = place.broker("cpu", {"log.index.size.max.bytes": 1 << 20})
    try:
        b.start()
        b.create_topic("warm", PARTITIONS)
        round_robin(b, "warm", PARTITIONS, args.cpu_mb / 2)
        for i, n in enumerate(counts):
            if i > 0:
                delete_topic(b, f"t{counts[i - 1]}")
            b.create_topic(f"t{n}", n, seconds=300)
            round_robin(b, f"t{n}", n, n * CPU_BATCH / 1e6)        # every log has been opened, and has its first pages
            time.sleep(1)
            w = pages_cost(place, n, args.cpu_mb)
            before = b.cpu()
            size = round_robin(b, f"t{n}", n, args.cpu_mb)
            used = (b.cpu() - before) / (size / GB)
            w = (w + pages_cost(place, n, args.cpu_mb)) / 2
            out[f"cpu_{n}"] = used - w
            if args.verbose:
                print(f"  {place.kind}, {n} partitions: {used:.3f} s/GB with W {w:.3f}", flush=True)
        each = [max(out[f"cpu_{n}"], 0.001) for n in counts]
        out["cpu_growth"] = max(each) / min(each)
        b.stop(300)
    finally:
        b.cleanup()


# ---- group commit -------------------------------------------------------------------------------------------------------------------------------

def many_producers(b, topic, directory, args):
    frames = []
    for p in range(PARTITIONS):
        frames.append(directory / f"frame{p}")
        frames[-1].write_bytes(produce_request(topic, p, records.batch([b"x" * 1024]), acks=-1))
    done = subprocess.run([program("syncload"), str(b.port), str(args.commit_producers), str(args.commit_seconds), *map(str, frames)], capture_output=True,
                          text=True, timeout=args.commit_seconds + 60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def commit(place, args, out):
    on = {"ottla.produce.sync.enable": "true"} if place.kind == "ottla" else {"log.flush.interval.messages": 1}
    got = {"off": [], "on": []}
    for n, which in enumerate(("off", "on", "on", "off")):
        b = place.broker(f"commit{n}", on if which == "on" else {})
        try:
            b.start()
            b.create_topic("t", PARTITIONS)
            if place.kind == "java":
                many_producers(b, "t", place.directory, args)       # its compiler
            got[which].append(many_producers(b, "t", place.directory, args))
            b.stop(120)
        finally:
            b.cleanup()
    for which, blocks in got.items():
        out[f"commit_{which}"] = statistics.median(x["rate"] for x in blocks)
    out["commit_on_p99"] = statistics.median(x["p99_us"] for x in got["on"])
    out["commit_share"] = out["commit_on"] / out["commit_off"]


def run(kind, directory, zk, chroot, args):
    """A broker for each part; -> {row: figure}"""
    out = {}
    place = Place(kind, directory, zk, chroot)
    directory.mkdir(parents=True)
    for part in args.parts.split(","):
        {"memory": memory, "turns": turns, "cpu": cpu, "commit": commit}[part](place, args, out)
    return out
