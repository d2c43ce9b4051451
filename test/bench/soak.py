#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""soak.py - a long time of everything at once on one broker, and whether it stays as it is.

	producers	two connections, requests at a fixed rate to 4 partitions; latency from the moment each was due
	consumers	three groups of three librdkafka consumers with automatic commits, each of which leaves after a few seconds and comes again
	ghosts		members that vanish without leaving, so that their session ends
	topics		created, written to, read and deleted, all the time
	retention	small segments, small log.retention.bytes, looked at every two seconds

Every second a line of soak-KIND.tsv: memory (RssAnon + RssShmem), descriptors, threads, produce latency (median and p99 of that second), and what was
done so far.  With gnuplot there is a plot of it, soak-KIND.png.

Flat: over the second half of the run, the straight line through memory, descriptors and threads may rise by no more than the bounds printed with
the verdict, and the p99 latency of the last quarter may be no more than twice that of the quarter before it (and 20 ms).  Not flat, an error in
a client, a dead broker: exit status 1."""
import argparse
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "func"))

from harness import env, java, records                                       # noqa: E402
from harness.broker import make_broker                                       # noqa: E402
from harness.groups import Member                                            # noqa: E402
from harness.zookeeper import ZooKeeper                                      # noqa: E402

CONFIG = {
    "log.segment.bytes": 1 << 20, "log.retention.bytes": 8 << 20, "log.retention.check.interval.ms": 2000, "log.segment.delete.delay.ms": 1000,
    "offsets.topic.num.partitions": 10, "log.cleaner.dedupe.buffer.size": None,
}
PARTITIONS, PRODUCERS, GROUPS, MEMBERS = 4, 2, 3, 3
COLUMNS = ("second", "memory_kib", "descriptors", "threads", "p50_ms", "p99_ms", "produced_mb", "consumed", "joins", "topics")
MINIMUM = 40        # seconds: less says nothing


class Soak:
    def __init__(self, broker, rate, seed):
        self.b, self.rate, self.random = broker, rate, random.Random(seed)
        self.over, self.lock, self.problems = threading.Event(), threading.Lock(), []
        self.latencies, self.done, self.rows = [], dict.fromkeys(("produced_mb", "consumed", "joins", "topics"), 0), []
        self.batch = records.batch([os.urandom(256) + b"x" * 256 for _ in range(16)], first_ts=int(time.time() * 1000))

    def count(self, what, n=1):
        with self.lock:
            self.done[what] += n

    # ---- what runs ---------------------------------------------------------------------------------------------------------------------
    def thread(self, function, *args):
        def run():
            try:
                function(*args)
            except Exception:                                                # noqa: BLE001: whatever it is, the run has failed
                self.problems.append(traceback.format_exc())
                self.over.set()

        t = threading.Thread(target=run, daemon=True)
        t.start()
        return t

    def produce(self, c, topic, partition):
        answer = c.call("Produce", 7, {"Acks": -1, "TimeoutMs": 30000, "TopicData": [{"Name": topic, "PartitionData": [{"Index": partition, "Records": self.batch}]}]})
        error = answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"]
        assert error == 0, f"Produce to {topic}: error {error}"
        self.count("produced_mb", len(self.batch) / 1e6)

    def producer(self, first):
        with self.b.connect() as c:
            began, n = time.monotonic(), 0
            while not self.over.is_set():
                due = began + n / self.rate
                if (wait := due - time.monotonic()) > 0:
                    time.sleep(wait)
                self.produce(c, "load", (first + n) % PARTITIONS)
                with self.lock:
                    self.latencies.append((time.monotonic() - due) * 1e3)
                n += 1

    def consumer(self, group, seed):
        from confluent_kafka import Consumer
        r = random.Random(seed)
        while not self.over.is_set():
            c = Consumer({"bootstrap.servers": self.b.address, "group.id": group, "auto.offset.reset": "latest", "auto.commit.interval.ms": 500,
                          "session.timeout.ms": 6000, "heartbeat.interval.ms": 500, "broker.address.family": "v4", "log_level": 0})
            c.subscribe(["load"])
            self.count("joins")
            end = time.monotonic() + r.uniform(3, 15)
            while time.monotonic() < end and not self.over.is_set():
                got = c.consume(500, 0.2)
                self.count("consumed", sum(m.error() is None for m in got))
            c.close()

    def ghost(self):
        """Joins, beats a little, and is gone without a word."""
        while not self.over.is_set():
            m = Member(self.b, "ghosts", version=5, session=6000, rebalance=3000, topics=("load",))
            if m.join()["ErrorCode"] == 0:
                m.sync([(m.id, b"")])
                m.heartbeat()
                self.count("joins")
            m.close()
            self.over.wait(2)

    def topics(self):
        n = 0
        with self.b.connect() as c:
            while not self.over.is_set():
                name = f"short-lived-{n}"
                self.b.create_topic(name, 3)
                for p in range(3):
                    self.produce(c, name, p)
                answer = c.call("Fetch", 10, {"ReplicaId": -1, "MaxWaitMs": 100, "MinBytes": 1, "MaxBytes": 1 << 20, "SessionEpoch": -1, "Topics": [
                    {"Topic": name, "Partitions": [{"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1 << 20}]}]})
                assert answer["Responses"][0]["Partitions"][0]["HighWatermark"] == 16, answer
                assert c.call("DeleteTopics", 3, {"TopicNames": [name], "TimeoutMs": 30000})["Responses"][0]["ErrorCode"] == 0
                self.count("topics")
                n += 1
                self.over.wait(0.5)

    # ---- what is seen ------------------------------------------------------------------------------------------------------------------
    def sample(self, second):
        with self.lock:
            lat, self.latencies = sorted(self.latencies), []
            done = dict(self.done)
        p50, p99 = (lat[len(lat) // 2], lat[min(len(lat) * 99 // 100, len(lat) - 1)]) if lat else (float("nan"), float("nan"))
        return {"second": second, "memory_kib": self.b.memory(), "descriptors": len(os.listdir(f"/proc/{self.b.pid}/fd")),
                "threads": len(os.listdir(f"/proc/{self.b.pid}/task")), "p50_ms": p50, "p99_ms": p99, **done}

    def run(self, seconds, tsv):
        self.b.create_topic("load", PARTITIONS)
        threads = [self.thread(self.producer, i) for i in range(PRODUCERS)]
        threads += [self.thread(self.consumer, f"group-{g}", self.random.random()) for g in range(GROUPS) for _ in range(MEMBERS)]
        threads += [self.thread(self.ghost), self.thread(self.topics)]
        began = time.monotonic()
        with open(tsv, "w") as f:
            print(*COLUMNS, sep="\t", file=f)
            for second in range(1, int(seconds) + 1):
                if self.over.wait(max(0, began + second - time.monotonic())) or not self.b.alive():
                    break
                row = self.sample(second)
                self.rows.append(row)
                print(*[f"{row[k]:.3f}" if isinstance(row[k], float) else row[k] for k in COLUMNS], sep="\t", file=f, flush=True)
        if not self.b.alive():
            self.problems.append(f"the broker died\n{self.b.process.tail(60)}")
        self.over.set()
        for t in threads:
            t.join(60)
        if any(t.is_alive() for t in threads):
            self.problems.append("a client did not come to its end")


def rise(rows, key):
    """By how much the straight line through these (least squares) goes up from the first to the last."""
    x, y = [r["second"] for r in rows], [r[key] for r in rows]
    mx, my = statistics.mean(x), statistics.mean(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y)) / sum((a - mx) ** 2 for a in x) * (x[-1] - x[0])


def verdict(rows):
    """-> (lines, flat)"""
    half, quarter = rows[len(rows) // 2:], rows[-(len(rows) // 4):]
    before = rows[len(rows) // 2:-(len(rows) // 4)]
    lines, flat = [], True

    def judge(ok, words):
        nonlocal flat
        flat = flat and ok
        lines.append(f"{'flat    ' if ok else 'NOT FLAT'} {words}")

    for key, share, least in (("memory_kib", 0.05, 1024), ("descriptors", 0.05, 10), ("threads", 0, 1)):
        middle = statistics.median(r[key] for r in half)
        up, bound = rise(half, key), max(middle * share, least)
        judge(up <= bound, f"{key}: median {middle:.0f} in the second half, rising by {up:.1f} over it; bound {bound:.1f}")
    a, b = (statistics.median(r["p99_ms"] for r in part if r["p99_ms"] == r["p99_ms"]) for part in (before, quarter))
    judge(b <= max(2 * a, 20), f"p99_ms: median {a:.2f} in the third quarter, {b:.2f} in the last; bound {max(2 * a, 20):.2f}")
    last = rows[-1]
    for key in ("produced_mb", "consumed", "joins", "topics"):
        judge(last[key] > half[0][key], f"{key}: {last[key]:.0f} done, {last[key] - half[0][key]:.0f} of them in the second half (there must be some)")
    return lines, flat


def plot(tsv, png):
    if shutil.which("gnuplot") is None:
        return "gnuplot is not installed: no plot"
    panels = (("memory, MiB", "($2/1024)"), ("descriptors", "3"), ("threads", "4"), ("produce p99, ms", "6"))
    script = [f"set terminal png size 1000,1200; set output '{png}'; set multiplot layout {len(panels)},1; set xlabel 'seconds'; unset key"]
    script += [f"set title '{title}'; set yrange [0:*]; plot '{tsv}' using 1:{column} every ::1 with lines" for title, column in panels]
    subprocess.run(["gnuplot"], input="\n".join(script), text=True, check=True)
    return f"plot: {png}"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--minutes", type=float, default=30)
    p.add_argument("--broker", default="ottla", help="ottla or java")
    p.add_argument("--rate", type=float, default=100, help="produce requests a second, of each of the two producers")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--errors-only", action="store_true", help="flat or not is no matter: for a build with a sanitizer, whose reports are errors")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the broker")
    p.add_argument("--out", default=".", help="directory of the table and the plot")
    args = p.parse_args()
    if args.broker == "ottla" and not env.ottlad():
        sys.exit("soak: no ottlad; build it, or name it in OTTLAD")
    if args.minutes * 60 < MINIMUM:
        sys.exit(f"soak: at least {MINIMUM} seconds, please: --minutes {MINIMUM / 60:.2f}")
    tsv = pathlib.Path(args.out) / f"soak-{args.broker}.tsv"
    with tempfile.TemporaryDirectory(prefix="ottla-soak-") as tmp:
        zk = ZooKeeper(pathlib.Path(tmp) / "zookeeper")
        b = make_broker(args.broker, pathlib.Path(tmp) / "broker", f"{zk.address}/soak", 0, CONFIG | dict(s.split("=", 1) for s in args.set))
        soak = Soak(b, args.rate, args.seed)
        try:
            zk.start()
            b.start()
            soak.run(args.minutes * 60, tsv)
            if not soak.problems and (status := b.stop()) != 0:
                soak.problems.append(f"the broker ended with status {status}\n{b.process.tail(60)}")
        finally:
            b.cleanup()
            zk.stop()
            java.forget()
    for problem in soak.problems:
        print(problem, file=sys.stderr)
    lines, flat = verdict(soak.rows) if len(soak.rows) >= MINIMUM / 2 else (["too short to be judged"], False)
    print("\n".join(lines), f"\ntable: {tsv}; {plot(tsv, tsv.with_suffix('.png'))}")
    sys.exit(0 if (flat or args.errors_only) and not soak.problems else 1)


if __name__ == "__main__":
    main()
