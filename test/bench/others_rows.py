# SPDX-License-Identifier: Apache-2.0
"""ROWS=others: other systems on the closest same work, each beside Ottla: RabbitMQ (streams), NATS JetStream, ActiveMQ Artemis, RocketMQ.  No limits: each
is another thing, and the table says for each what of its work is alike and what is not.

One producer publishes --others-records records of 1 KiB that do not compress to one partition (stream, queue), pipelined, all acknowledged; one consumer
reads them all from the first on.  The clients are others/Load.java with each system's own library, and librdkafka for Ottla, as in ROWS=data; brokers
keep their defaults but for what the table says, clients ask for as much at once as those allow.  The client's speed is not the measure, and it shares
the cores: look at CPU.

	CPU		user and system time of all that the broker has started, name server and the like included, over GB (10^9 bytes) of record values;
			published less W (see data), consumed from wherever the broker has them then
	memory		RssAnon + RssShmem of all of it, idle (2 s after the first record) and after a block
	first record	exec in an empty directory to the first acknowledged record of a topic that is made meanwhile; the client runs and has connected
			to another life of it before; ZooKeeper is up for Ottla

Debian's packages are unpacked below the cache and installed nowhere; the rest comes by others/*.xml.  What cannot be had is a loud SKIPPED, and the
others go on; something that does not work is FAILED, and the exit status says so.  The other system is warmed up by at most --others-warm blocks; pairs
in turn (A B B A) as in ROWS=data, 3 unless --pairs says otherwise.  RocketMQ frees nothing meanwhile: a place of 10 GB (TMPDIR) is needed."""
import itertools
import shutil
import sys
import textwrap
import time
import traceback

from harness import bare
from harness.broker import make_broker
from harness.proc import memory_kib

import data_rows
import fetching
import other_systems
import pairs
import restart_rows

PAIRS, SETTLES, QUIET = 3, 2, 0.1
RECORD, GB = data_rows.RECORD, data_rows.GB
NAMES = list(other_systems.SYSTEMS)


def memory(pids):
    """MiB of all that these leaders of sessions have started"""
    return sum(kib for leader in pids for kib in pairs.of_those_that_run(leader, memory_kib)) / 1024


def quiet(pids, half=0.5, most=30):
    """Returns when they have used less than QUIET of a processor for a second: what a system does after it has answered is not to be the next block's."""
    end, below = time.monotonic() + most, 0
    while below < 2 and time.monotonic() < end:
        with pairs.Meter(*pids) as m:
            time.sleep(half)
        below = below + 1 if m.cpu < QUIET * m.seconds else 0


# ---- the two sides ----------------------------------------------------------------------------------------------------------------------------

class OttlaSide:
    kind = "ottla"

    def __init__(self, zk, chroot, directory):
        self.zk, self.chroot, self.directory, self.lives, self.b = zk, chroot, directory, itertools.count(), None

    def first_record(self):
        n = next(self.lives)
        self.b = make_broker("ottla", self.directory / str(n), f"{self.zk.address}{self.chroot}-{n}", 0, data_rows.CONFIG)
        return restart_rows.first_record(self.b)

    @property
    def pids(self):
        return [self.b.pid]

    def create(self, topic):
        self.b.create_topic(topic, 1)

    def publish(self, topic, n, begun):
        data_rows.produce(self.b, topic, 1, "none", (n + 0.5) * RECORD / 1e6, begun)

    def consume(self, topic, n):
        data_rows.consume(self.b, topic, 1, n * RECORD)

    def delete(self, topic):
        data_rows.delete_topic(self.b, topic)

    def stop(self):
        self.b.stop()
        shutil.rmtree(self.b.directory)

    def cleanup(self):
        if self.b:
            self.b.cleanup()


class OtherSide:
    def __init__(self, system, directory):
        self.kind, self.system, self.directory, self.lives = system.name, system, directory, itertools.count()
        self.client = other_systems.Client(system, directory / "client")
        self.client.ask("close")        # it runs

    def first_record(self):
        began = time.monotonic()
        self.system.launch(self.directory / str(next(self.lives)))
        return (self.client.ask("first", "first") - began) * 1e3

    @property
    def pids(self):
        return self.system.pids

    def create(self, topic):
        self.client.ask("create", topic)

    def publish(self, topic, n, begun):
        begun()
        self.client.ask("publish", topic, n)

    def consume(self, topic, n):
        self.client.ask("consume", topic, n)

    def delete(self, topic):
        self.client.ask("delete", topic)
        quiet(self.pids)

    def stop(self):
        self.client.ask("close")
        self.system.stop()
        shutil.rmtree(self.system.directory)

    def cleanup(self):
        self.client.cleanup()
        self.system.cleanup()


# ---- what is measured -------------------------------------------------------------------------------------------------------------------------

class Starts:
    """A life that has just begun, in a directory of its own."""
    writes = False

    def __init__(self, name, kinds):
        self.name, self.kinds = name, kinds

    def block(self, side):
        out = {"first_record": side.first_record()}
        time.sleep(SETTLES)
        out["idle"] = memory(side.pids)
        side.stop()
        return out

    def table(self, kept):
        return [pairs.row("exec to first acknowledged record", "ms", "first_record", self.kinds, kept), share(self.kinds, "first_record", kept),
                pairs.row("memory, idle", "MiB", "idle", self.kinds, kept), share(self.kinds, "idle", kept)]


class Records:
    """Published and consumed."""
    writes, settles_by = True, "gross"

    def __init__(self, name, kinds, records, directory):
        self.name, self.kinds, self.records, self.directory, self.serial = name, kinds, records, directory, itertools.count()

    def block(self, side):
        n, size, topic = self.records, self.records * RECORD, f"t{next(self.serial)}"
        side.create(topic)
        meter = pairs.Meter(*side.pids)
        side.publish(topic, n, meter.__enter__)
        meter.__exit__()
        with pairs.Meter(*side.pids) as m:
            side.consume(topic, n)
        out = {"gross": meter.cpu / size * GB, "busy": meter.busy / size * GB, "rate": n / meter.seconds / 1e3,
               "consume": m.cpu / size * GB, "consume_busy": m.busy / size * GB, "consume_rate": n / m.seconds / 1e3, "after": memory(side.pids)}
        side.delete(topic)
        return out

    def pages(self):
        """W, per GB"""
        megabytes = max(1, round(self.records * RECORD / 1e6))
        return bare.pages(self.directory, megabytes, 1) / (megabytes * 1e6) * GB

    def subtract(self, figures):
        figures["publish"] = figures["gross"] - figures["w"]

    def table(self, kept):
        lines = []
        for words, unit, key, compared in (
                ("publish, broker CPU less W", "s/GB", "publish", True), ("    W", "s/GB", "w", False), ("    the machine's busy time", "s/GB", "busy", False),
                ("    rate", "1/ms", "rate", True), ("consume, broker CPU", "s/GB", "consume", True), ("    the machine's busy time", "s/GB", "consume_busy", False),
                ("    rate", "1/ms", "consume_rate", True), ("memory, after that", "MiB", "after", True)):
            lines.append(pairs.row(words, unit, key, self.kinds, kept))
            if compared:
                lines.append(share(self.kinds, key, kept))
        return lines


def share(kinds, key, kept):
    other, ours = kinds
    ratios = [p[ours][key] / p[other][key] if p[other][key] > 0 else float("nan") for p in kept]      # a short block may cost less than W
    return f"        {f'{ours} / {other}':42} {pairs.spread(ratios)}"


# ---- the group --------------------------------------------------------------------------------------------------------------------------------

def run_pairs(work, sides, n, raw):
    """-> (lines, what became of the pairs)"""
    kept, all_pairs, thrown = pairs.run(work, sides, n)
    raw(work.name, work.kinds, all_pairs)
    words = f"{len(kept)} of {len(all_pairs)} pairs" + (f", {thrown} blocks thrown away for their W" if thrown else "")
    if not kept:
        words += "; NO pair is good (the page cache's cost changes too fast here): these are all of them"
    return work.table(kept or all_pairs), words


def beside_ottla(system, args, zk, directory, raw):
    """-> lines of figures"""
    n = args.pairs or PAIRS
    sides = [OtherSide(system, directory / system.name)]
    sides.append(OttlaSide(zk, f"/bench-others-{system.name}", directory / "ottla"))
    kinds = [s.kind for s in sides]
    try:
        for side in sides:                  # each client's first connection is none that counts
            side.first_record()
            side.stop()
        starts, _ = run_pairs(Starts(f"others-{system.name}-start", kinds), sides, n, raw)
        for side in sides:
            side.first_record()
        work = Records(f"others-{system.name}", kinds, args.others_records, directory / "pages")
        warm, apart = pairs.warm_up(sides[0], work, args.others_warm, min(args.others_warm, pairs.WARM_LEAST))
        pairs.warm_up(sides[1], work, 1, 1)
        figures, words = run_pairs(work, sides, n, raw)
        for side in sides:
            side.stop()
    finally:
        for side in sides:
            side.cleanup()
    return [f"    {words}; warmed up by {warm} blocks" + (f", the last two {apart:.1%} apart" if warm > 1 else ""), *figures, *starts]


def described(system):
    """What the figures below it are of."""
    return [line for head in ("settings", "alike", "not alike") for line in textwrap.wrap(
        f"{head}: {getattr(system, head.replace(' ', '_'))}", 146, initial_indent="    ", subsequent_indent="        ", break_on_hyphens=False)]


def run_system(name, args, zk, tmp, raw):
    """-> lines.  Whatever goes wrong, the next system has its turn."""
    began, system, directory = time.monotonic(), other_systems.SYSTEMS[name](), tmp / f"others-{name}"
    try:
        what = system.fetch()
        lines = [what, *described(system), *beside_ottla(system, args, zk, directory, raw), f"    {time.monotonic() - began:.0f} s"]
    except fetching.Lacking as e:
        lines = [f"!! SKIPPED: {name} cannot be had here: {e}"]
    except Exception as e:      # of whatever kind: what the other systems can show is not to be lost
        traceback.print_exc(file=sys.stderr)
        lines = [f"!! FAILED: {name}: {str(e).splitlines()[0] if str(e) else type(e).__name__}"]
        args.failed.append(name)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    pairs.say("\n".join(lines))
    return lines


def run_group(args, zk, tmp, raw):
    """-> the table"""
    wanted = [s for s in args.systems.split(",") if s] or NAMES
    lines = [f"{args.others_records} records of 1 KiB a block; medians [quartiles], ratios of pairs"]
    for name in wanted:
        lines += ["", *run_system(name, args, zk, tmp, raw)]
    return "\n".join(lines)
