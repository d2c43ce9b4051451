# SPDX-License-Identifier: Apache-2.0
"""ROWS=data: CPU per byte and per request of Java, Ottla and bare programs, with the limits of issue 7.

The client of bytes is librdkafka (confluent_kafka): records of 1 KiB, acks=1, six partitions in turn, batches filled to librdkafka's own limit of
1,000,000 bytes (linger.ms is so long that no broker's speed decides how large they are), then read from the page cache with its consumer.  The client
of single requests is groupload.c: --rate requests a second of one record of 100 bytes, acks=all, open loop, six connections.  All sides run at once, each when it
is its turn (pairs.py); Java has a heap of 1 GiB that is touched in advance, and is warmed up until two blocks in a row differ by less than 5 %.

	plain		records that do not compress; produced less W, and consumed from 6 partitions
	plain1		the same with 1 partition, consumed
	lz4, zstd	the text of src/ in records of 1 KiB, compressed by the client, per uncompressed GB; produced, less W for what was written
	single		CPU per Produce request, less that of an idle second
	waiting		CPU per Fetch of 1,000 consumers at the end of 6 partitions: answered empty after max.wait, and with one record

	bare		bare.c: walk (plain, waiting), inflate (lz4, zstd), echo (single), its sockets' buffers as Kafka's defaults ask (100 KiB)
	W		CPU seconds that the page cache takes for as many bytes in new files, written by a program that does nothing else
	busy		of the whole machine: client, broker, kernel

CPU is user and system time of all that the broker has started, GB are 10^9 bytes of record values, figures are medians with [quartiles]; a ratio is
the median of the ratios of pairs."""
import contextlib
import functools
import itertools
import os
import random
import shutil
import time

from harness import bare, env
from harness.broker import make_broker
from harness.groupload import GroupLoad
from harness.proc import wait_until

import pairs

GB, RECORD, BATCH, LINGER_MS, PARTITIONS, SMALL, WAITING, PAIRS = 1e9, 1024, 1000000, 500, 6, 100, 1000, 5
JAVA_OPTS = "-Xms1g -Xmx1g -XX:+AlwaysPreTouch -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent"
CONFIG = {"log.segment.delete.delay.ms": 1000, "log.retention.ms": -1}


# ---- what is measured -------------------------------------------------------------------------------------------------------------------------

def delete_topic(b, name):
    """To its last byte."""
    with b.connect() as c:
        answer = c.call("DeleteTopics", 3, {"TopicNames": [name], "TimeoutMs": 30000})
        assert answer["Responses"][0]["ErrorCode"] == 0, answer
    wait_until(lambda: not list(b.data.glob(f"{name}-*")) and not list(b.data.glob(f"{name}.*")), 60, f"the files of {name} to go")


class BrokerSide:
    def __init__(self, b):
        self.kind, self.b, self.serial = b.kind, b, itertools.count()

    @contextlib.contextmanager
    def place(self, partitions, work):
        """A new topic, gone to the last byte when it is over."""
        name = f"t{next(self.serial)}"
        self.b.create_topic(name, partitions)
        yield self.b, name, [self.b.data / f"{name}-{p}" for p in range(partitions)]
        delete_topic(self.b, name)


class BareSide:
    kind = "bare"

    def __init__(self, directory):
        self.directory = directory

    @contextlib.contextmanager
    def place(self, partitions, work):
        with bare.Bare(work, self.directory, partitions) as b:
            yield b, "t", [b.log(p) for p in range(partitions)]
        shutil.rmtree(self.directory)


def bytes_in(places):
    return sum(f.stat().st_size for p in places for f in ([p] if p.is_file() else p.glob("*.log")))


@functools.cache
def values(kind):
    """A fixed set of records of 1 KiB."""
    if kind == "none":
        noise = random.Random(7)
        return [noise.randbytes(RECORD) for _ in range(4000)]
    text = b"".join(p.read_bytes() for p in sorted((env.TOP / "src").rglob("*.[ch]")))
    return [text[at:at + RECORD] for at in range(0, len(text) - RECORD, RECORD)]


def refused(error):
    raise AssertionError(f"librdkafka: {error}")


def produce(b, topic, partitions, codec, megabytes, begun):
    """-> bytes of values.  begun: called when a record of each partition is there, before the others."""
    from confluent_kafka import Producer
    failed = []
    p = Producer({"bootstrap.servers": b.address, "broker.address.family": "v4", "compression.type": codec, "acks": 1, "batch.size": BATCH, "linger.ms": LINGER_MS,
                  "queue.buffering.max.messages": 100000, "message.timeout.ms": 120000, "on_delivery": lambda e, m: e and failed.append(e)})
    for i in range(partitions):
        p.produce(topic, b"first", partition=i)
    assert p.flush(60) == 0
    records = int(megabytes * 1e6 / RECORD)
    begun()
    for i, value in enumerate(itertools.islice(itertools.cycle(values(codec)), records)):
        while True:
            try:
                p.produce(topic, value, partition=i % partitions)
                break
            except BufferError:
                p.poll(0.01)
        if i % 1000 == 0:
            p.poll(0)
    left = p.flush(120)
    assert not failed and not left, f"{failed[:3]}, {left} not acknowledged"
    return records * RECORD


def consume(b, topic, partitions, total):
    """Every partition from its beginning, until so many bytes of values have come."""
    from confluent_kafka import Consumer, TopicPartition
    c = Consumer({"bootstrap.servers": b.address, "broker.address.family": "v4", "group.id": "bench", "enable.auto.commit": False, "auto.offset.reset": "error",
                  "fetch.queue.backoff.ms": 10})
    c.assign([TopicPartition(topic, p, 1) for p in range(partitions)])      # behind the first record, which began the block
    try:
        while total > 0:
            got = c.consume(min(10000, -(-total // RECORD)), timeout=60)    # which waits until there are so many
            assert got, f"{total} bytes did not come"
            for m in got:
                if m.error():
                    refused(m.error())
                total -= len(m)
    finally:
        c.close()
    assert total == 0, f"{-total} bytes too many"


# ---- kinds of work ----------------------------------------------------------------------------------------------------------------------------

def over(a, b, key):
    return lambda p: p[a][key] / p[b][key]


class Bytes:
    """Records by the gigabyte."""

    def __init__(self, name, codec, partitions, args, directory, consumes):
        self.name, self.codec, self.partitions, self.args, self.directory, self.consumes = name, codec, partitions, args, directory, consumes
        self.bare_work = "walk" if codec == "none" else "inflate"
        self.kinds = ("java", "bare", "ottla")
        self.writes = not consumes or partitions > 1      # of one partition only the consumer is of interest
        self.settles_by = "consume" if consumes and not self.writes else "gross"
        self.share = 1.0        # bytes in files, of those produced

    def block(self, side):
        with side.place(self.partitions, self.bare_work) as (b, topic, places):
            meter = pairs.Meter(b.pid)
            size = produce(b, topic, self.partitions, self.codec, self.args.megabytes, meter.__enter__)
            meter.__exit__()
            self.share = bytes_in(places) / size
            out = {"gross": meter.cpu / size * GB, "busy": meter.busy / size * GB, "rate": size / meter.seconds / 1e6}
            if self.consumes:
                with pairs.Meter(b.pid) as m:
                    consume(b, topic, self.partitions, size)
                out.update(consume=m.cpu / size * GB, consume_busy=m.busy / size * GB, consume_rate=size / m.seconds / 1e6)
            return out

    def pages(self):
        """W, per GB produced"""
        megabytes = max(1, round(self.args.megabytes * self.share))
        return bare.pages(self.directory, megabytes, self.partitions) / (megabytes * 1e6) * GB * self.share

    def subtract(self, figures):
        figures["produce"] = figures["gross"] - figures["w"]

    def table(self, kept):
        kinds = self.kinds
        lines = []
        if self.writes:
            lines += [pairs.row(f"produce {self.codec}, broker CPU less W", "s/GB", "produce", kinds, kept),
                      pairs.row("    W", "s/GB", "w", kinds, kept), pairs.row("    the machine's busy time", "s/GB", "busy", kinds, kept),
                      pairs.row("    rate", "MB/s", "rate", kinds, kept)]
        if self.writes and self.codec == "none":
            lines += [pairs.limit("(ottla - W) / (java - W)", over("ottla", "java", "produce"), 0.30, kept),
                      pairs.limit("(ottla - W) - (bare - W), s/GB", lambda p: p["ottla"]["produce"] - p["bare"]["produce"], 0.35, kept)]
        elif self.writes:
            lines += [pairs.limit("(ottla - W) / (bare that decompresses - W)", over("ottla", "bare", "produce"), 1.25, kept),
                      pairs.limit("(ottla - W) / (java - W)", over("ottla", "java", "produce"), 0.6, kept)]
        if self.consumes:
            lines += [pairs.row(f"consume, {self.partitions} partition{'s' if self.partitions > 1 else ''}, broker CPU", "s/GB", "consume", kinds, kept),
                      pairs.row("    the machine's busy time", "s/GB", "consume_busy", kinds, kept),
                      pairs.row("    rate", "MB/s", "consume_rate", kinds, kept),
                      pairs.limit("ottla / bare sendfile", over("ottla", "bare", "consume"), 1.15, kept),
                      pairs.limit("ottla / java", over("ottla", "java", "consume"), 1.0, kept)]
        return lines


class Single:
    """One record in each Produce request."""
    name, kinds, writes, settles_by, bare_work = "single", ("java", "bare", "ottla"), False, "single", "echo"

    def __init__(self, args):
        self.args = args

    def block(self, side):
        with side.place(PARTITIONS, self.bare_work) as (b, topic, _):
            with GroupLoad(b, topic=topic, partitions=PARTITIONS, pid=b.pid) as load:
                load.ask("records", self.args.request_seconds / 4, self.args.rate, SMALL, 0)
                idle = load.ask("records", self.args.request_seconds / 2, 0, SMALL, 0)
                ran = load.ask("records", self.args.request_seconds, self.args.rate, SMALL, 0)
        spent = ran["broker_cpu"] - idle["broker_cpu"] / idle["seconds"] * ran["seconds"]
        return {"single": spent / ran["acknowledged"]["n"] * 1e6, "idle": idle["broker_cpu"] / idle["seconds"] * 1e3,
                "p50": ran["acknowledged"]["p50_us"], "late": ran["client_late_us"]}

    def table(self, kept):
        return [pairs.row("single-record Produce, broker CPU", "us", "single", self.kinds, kept),
                pairs.row("    CPU of an idle second", "ms", "idle", self.kinds, kept),
                pairs.row("    until it is acknowledged, median", "us", "p50", self.kinds, kept),
                pairs.limit("ottla / the greater of 0.12 java, 1.6 echo",
                            lambda p: p["ottla"]["single"] / max(0.12 * p["java"]["single"], 1.6 * p["bare"]["single"]), 1, kept),
                f"    {'ottla / java':46} {pairs.spread([over('ottla', 'java', 'single')(p) for p in kept])}",
                f"    {'ottla / bare echo':46} {pairs.spread([over('ottla', 'bare', 'single')(p) for p in kept])}"]


class Waiting:
    """1,000 consumers at the end of their partitions."""
    name, kinds, writes, settles_by, bare_work = "waiting", ("java", "bare", "ottla"), False, "empty", "walk"

    def __init__(self, args):
        self.args = args

    def block(self, side):
        with side.place(PARTITIONS, self.bare_work) as (b, topic, _):
            with GroupLoad(b, topic=topic, partitions=PARTITIONS, pid=b.pid) as load:
                load.ask("records", self.args.request_seconds / 2, 20, RECORD, WAITING)
                idle = load.ask("records", self.args.request_seconds, 0, RECORD, WAITING)
                some = load.ask("records", self.args.request_seconds, 20, RECORD, WAITING)
        empty = idle["broker_cpu"] / idle["empty_fetches"]
        return {"empty": empty * 1e6, "one": (some["broker_cpu"] - empty * some["empty_fetches"]) / some["fetches"] * 1e6}

    def table(self, kept):
        return [line for key, words in (("empty", "Fetch answered empty, broker CPU"), ("one", "Fetch of one record, broker CPU"))
                for line in (pairs.row(words, "us", key, self.kinds, kept), pairs.limit("ottla / java", over("ottla", "java", key), 0.15, kept),
                             f"    {'bare / java':46} {pairs.spread([over('bare', 'java', key)(p) for p in kept])}")]


def works(args, directory):
    all_of_them = [Bytes("plain", "none", PARTITIONS, args, directory, True), Bytes("plain1", "none", 1, args, directory, True),
                   Bytes("lz4", "lz4", PARTITIONS, args, directory, False), Bytes("zstd", "zstd", PARTITIONS, args, directory, False),
                   Single(args), Waiting(args)]
    wanted = [w for w in args.only.split(",") if w]
    return [w for w in all_of_them if not wanted or w.name in wanted]


# ---- the group --------------------------------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def brokers(zk, tmp):
    sides = {k: BrokerSide(make_broker(k, tmp / k, f"{zk.address}/bench-data-{k}", 0, CONFIG)) for k in ("java", "ottla")}
    kept_options = os.environ.get("OTTLA_TEST_JAVA_OPTS")
    os.environ["OTTLA_TEST_JAVA_OPTS"] = JAVA_OPTS
    try:
        for side in sides.values():
            side.b.start()
        yield dict(sides, bare=BareSide(tmp / "bare"))
        for side in sides.values():
            side.b.stop()
    finally:
        os.environ["OTTLA_TEST_JAVA_OPTS"] = kept_options or ""
        for side in sides.values():
            side.b.cleanup()


def run_work(work, sides, args):
    """-> (lines, all pairs)"""
    began = time.monotonic()
    warm, apart = pairs.warm_up(sides["java"], work)
    pairs.warm_up(sides["ottla"], work, 2, 1)
    kept, all_pairs, thrown = pairs.run(work, [sides[k] for k in work.kinds], args.pairs or PAIRS)
    lines = [f"{work.name}: {len(kept)} pairs; {thrown} of {sum(map(len, all_pairs))} blocks thrown away for their W; Java warmed up by {warm} blocks, "
             f"the last two {apart:.1%} apart; {time.monotonic() - began:.0f} s"]
    return lines + (work.table(kept) if kept else ["    NO pair is good: the page cache's cost changes too fast on this machine"]), all_pairs


def run_group(args, zk, tmp, raw):
    """-> the table.  raw(name, pairs): takes what was measured."""
    lines = []
    with brokers(zk, tmp) as sides:
        for work in works(args, tmp / "pages"):
            more, all_pairs = run_work(work, sides, args)
            lines += more + [""]
            raw(work.name, work.kinds, all_pairs)
            pairs.say("\n".join(more))
    return "\n".join([f"{args.megabytes} MB a block, text of {sum(map(len, values('lz4')))} bytes, {args.rate:g} single requests a second for "
                      f"{args.request_seconds:g} s; medians [quartiles]", ""] + lines).rstrip()
