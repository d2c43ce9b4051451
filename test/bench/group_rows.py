# SPDX-License-Identifier: Apache-2.0
"""ROWS=groups: consumer groups, with the limits of issue 5.

The client is groupload.c: a connection for each member, JoinGroup and SyncGroup as the Java client sends them (consumer, range), then heartbeats and
commits at fixed rates, open loop: each has its moment, and its latency counts from there.

	cpu		the broker's CPU time (of all its threads, in ns) of a phase with one kind of request only, less that of as long an idle phase with
			all members connected, over the number of requests.  A commit is of 20 partitions
	latency		of OffsetCommit while heartbeats and commits come together
	memory		growth of RssAnon + RssShmem since the coordinator had loaded and nobody had come: when every member is in its group and all have
			committed (1000 x 5 x 20 = 100,000 offsets), and again after the phases above
	load		a __consumer_offsets of one partition is filled (1,000,000 commits of one partition each, of 1000 groups, 100,000 live offsets), the
			broker killed with -9, and started again when its znode is gone (Java would not start before).
			load		what the broker itself says the load took
			restart		exec to the OffsetFetch answer of the last of the 1000 groups, each answer checked
			empty start	the same of the same broker stopped and started before anything was committed: ZooKeeper, and Java's virtual machine
			the rest	restart less empty start: recovery of the log after the kill, and the load

The broker is warmed up by the mixed load before the phases (Java's compiler needs it)."""
import re
import time

from harness.broker import make_broker
from harness.groupload import GroupLoad
from harness.proc import wait_until

ROWS = [    # (key, words, unit, better when, at most this share of Java's)
    ("heartbeat_cpu", "Heartbeat, broker CPU", "us", "low", 0.2),
    ("commit_cpu", "OffsetCommit, broker CPU", "us", "low", 0.2),
    ("commit_p50", "OffsetCommit, median", "us", "low", None),
    ("commit_p99", "OffsetCommit, p99", "us", "low", 0.5),
    ("heartbeat_p99", "Heartbeat, p99", "us", "low", None),
    ("growth_joined", "memory growth, members and offsets", "MiB", "low", 0.1),
    ("growth_loaded", "memory growth, after the load", "MiB", "low", 0.1),
    ("load", "load of 1 partition, as it says", "ms", "low", None),
    ("restart", "kill -9, exec to all OffsetFetches", "ms", "low", 0.25),
    ("empty", "  of it, start without commits", "ms", "low", None),
    ("rest", "  the rest: recovery and load", "ms", "low", 0.25),
]
DEFAULTS = {    # the tests' settings undone: both brokers run with Kafka's
    "offsets.topic.num.partitions": None,
    "group.initial.rebalance.delay.ms": None,
    "log.cleaner.dedupe.buffer.size": None,
    "log.retention.check.interval.ms": None,
    "zookeeper.session.timeout.ms": 6000,   # how long the killed one's znode stays; not measured
}
LOADED = {
    "java": re.compile(r"Finished loading offsets and group metadata from __consumer_offsets-0 in (\d+) milliseconds"),
    "ottla": re.compile(r"__consumer_offsets-0: coordinated here .* records in (\d+) ms"),
}


def coordinator_found(b, group):
    """Every partition of __consumer_offsets is there and loaded: the one of this group answers."""
    with b.connect() as c:
        if c.call("FindCoordinator", 0, {"Key": group})["ErrorCode"] != 0:
            return False
        return c.call("DescribeGroups", 0, {"Groups": [group]})["Groups"][0]["ErrorCode"] == 0


def settled(b, seconds=2):
    """Memory of a broker that has nothing to do, in MiB."""
    time.sleep(seconds)
    return b.memory() / 1024


def members(b, args, out):
    """1000 groups of 5 members."""
    b.create_topic("t", args.members * args.partitions)
    for g in range(min(args.groups, 500)):      # which meet all 50 partitions of __consumer_offsets
        wait_until(lambda: coordinator_found(b, f"load-{g}"), 60, f"the coordinator of load-{g}", every=0.05)
    idle_memory = settled(b)
    with GroupLoad(b, groups=args.groups, members=args.members, partitions=args.partitions, topic="t", pid=b.pid) as load:
        load.ask("join")
        load.ask("commit")
        out["growth_joined"] = settled(b) - idle_memory
        load.ask("run", args.seconds, args.heartbeats, args.commits)
        time.sleep(1)
        idle = load.ask("run", args.seconds / 2, 0, 0)
        second_idle = idle["broker_cpu"] / idle["seconds"]
        for name, rates in (("heartbeat", (args.heartbeats, 0)), ("commit", (0, args.commits))):
            phase = load.ask("run", args.seconds, *rates)
            n = phase[f"{name}s"]["n"]
            out[f"{name}_cpu"] = (phase["broker_cpu"] - second_idle * phase["seconds"]) / n * 1e6
        mixed = load.ask("run", args.seconds, args.heartbeats, args.commits)
        out["commit_p50"], out["commit_p99"] = mixed["commits"]["p50_us"], mixed["commits"]["p99_us"]
        out["heartbeat_p99"] = mixed["heartbeats"]["p99_us"]
        out["growth_loaded"] = settled(b) - idle_memory
        if args.verbose:
            print("  idle", idle, "\n  mixed", mixed, flush=True)


def started(b, load):
    """exec to the last OffsetFetch answer, in ms"""
    began = time.monotonic()
    b.launch()
    try:
        return (load.ask("fetch")["all_at"] - began) * 1e3
    except AssertionError as e:
        raise AssertionError(f"{e}\n{b.process.tail()}") from None


def znode_gone(b, zk):
    chroot = b.zk_connect[b.zk_connect.index("/"):]
    with zk.session(chroot) as k:
        wait_until(lambda: not k.exists(f"/brokers/ids/{b.id}"), 60, "the znode of the killed broker to go")


def reload(b, args, zk, out):
    """One partition of __consumer_offsets with very many commits."""
    b.create_topic("t", args.live)
    wait_until(lambda: coordinator_found(b, "load-0"), 60, "the coordinator")
    with GroupLoad(b, groups=args.groups, topic="t") as load:
        b.stop()
        out["empty"] = started(b, load)
        load.ask("fill", args.fill, args.live)
        b.kill9()
        znode_gone(b, zk)
        out["restart"] = started(b, load)
    out["rest"] = out["restart"] - out["empty"]
    out["load"] = float(LOADED[b.kind].search(b.text()).group(1))


def run(kind, directory, zk, chroot, args):
    """Two brokers of a kind, one after the other; -> {row: figure}"""
    out = {}
    for part, config, work in (("members", {}, lambda b: members(b, args, out)),
                               ("reload", {"offsets.topic.num.partitions": 1}, lambda b: reload(b, args, zk, out))):
        b = make_broker(kind, directory / part, f"{zk.address}{chroot}-{part}", 0, {**DEFAULTS, **config})
        try:
            b.start()
            work(b)
            b.stop()
        finally:
            b.cleanup()
    return out
