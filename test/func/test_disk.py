# SPDX-License-Identifier: Apache-2.0
"""Disks that fail, rot and hang under a running broker.  A full one: test_bad_input; a directory that vanishes: test_log_dirs."""
import os
import re
import resource
import signal
import threading
import time

import pytest

from harness import java, records
from harness.clients import confluent_consume, confluent_produce
from harness.groups import Member, ready
from harness.proc import wait_until
from harness.sickdisk import SickDisk
from test_fetch import fetch, one, produce
from test_log_dirs import STORAGE, Dirs

EIO = 5
CORRUPT = 2


@pytest.fixture
def sick():
    s = SickDisk()
    yield s
    s.close()


def house(brokers, kind, topic, sick, n, **config):
    """-> (broker, its directories, a topic, {directory: one of its partitions there})"""
    if kind != "ottla":
        pytest.skip("preloaded into ottlad only")
    b = sick.of(brokers(kind, config=config))
    d = Dirs(b, n)
    b.start()
    t = topic(b, partitions=2 * n)
    at = {}
    for p in range(2 * n):
        at.setdefault(d.of(f"{t}-{p}"), p)
    assert sorted(at) == list(range(n))
    return b, d, t, at


@pytest.mark.parametrize("op", ["write", "sync", "read", "map"])
def test_an_error_of_the_disk_takes_its_directory_offline_until_the_next_start(brokers, kind, topic, sick, op):
    b, d, t, at = house(brokers, kind, topic, sick, 2)
    for p in at.values():
        confluent_produce(b, t, [b"%d" % i for i in range(20)], partition=p)
        if op == "map":                             # enough of them for entries of the index that wait in memory no longer
            with b.connect() as c:
                for _ in range(24):
                    produce(c, t, records.batch([bytes(3000)]), partition=p)
    sick.rule((op, "errno", EIO, "/d0/"))
    with b.connect() as c:
        def offline():
            if op in ("read", "map"):
                fetch(c, t, partition=at[0], offset=21 if op == "map" else 0)
                return f"{d.paths[0]}" in b.text() and "offline" in b.text()
            answer = produce(c, t, records.batch([b"no"]), partition=at[0])["ErrorCode"]
            return answer == STORAGE or (op == "sync" and "offline" in b.text())
        wait_until(offline, 30, f"the failed {op} to be met")
        sick.well()                                 # too late
        for _ in range(3):
            assert produce(c, t, records.batch([b"no"]), partition=at[0])["ErrorCode"] == STORAGE
            assert one(fetch(c, t, partition=at[0]))["ErrorCode"] == STORAGE
            assert produce(c, t, records.batch([b"yes"]), partition=at[1])["ErrorCode"] == 0
    assert b.text().count("goes offline") == 1
    b.kill9()
    b.start()
    wait_until(lambda: list_end(b, t, at[0]) is not None, 20, "the directory to serve again")
    assert confluent_consume(b, t, 20, partition=at[0]) == [b"%d" % i for i in range(20)]
    confluent_produce(b, t, [b"again"], partition=at[0])
    b.stop()


def list_end(b, t, p):
    with b.connect() as c:
        row = one(fetch(c, t, partition=p))
        return None if row["ErrorCode"] else row["HighWatermark"]


def test_errors_of_all_disks_end_the_process(brokers, kind, topic, sick):
    b, d, t, at = house(brokers, kind, topic, sick, 2)
    sick.rule(("write", "errno", EIO, "/d0/"), ("write", "errno", EIO, "/d1/"))
    status, text = b.wait_exit(60)
    assert status == 1 and all(str(p) in text for p in d.paths), text[-2000:]


def test_a_topic_with_more_partitions_than_files_may_be_open_costs_only_itself(brokers, kind, topic):
    """Anybody may create topics.  What is refused is refused by the limit, not by a disk."""
    if kind != "ottla":
        pytest.skip("Java takes the directory offline, and ends")
    b = brokers(kind)
    b.start()
    t = topic(b)
    limit = resource.prlimit(b.pid, resource.RLIMIT_NOFILE)
    with b.connect() as c:
        assert produce(c, t, records.batch([b"before"]))["ErrorCode"] == 0
        resource.prlimit(b.pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{b.pid}/fd")) + 60, limit[1]))
        c.call("CreateTopics", 5, {"Topics": [{"Name": "wide", "NumPartitions": 100, "ReplicationFactor": 1, "Assignments": [], "Configs": []}],
                                   "timeoutMs": 10_000, "validateOnly": False})
        wait_until(lambda: "Too many open files" in b.text(), 20, "the limit to be met")
        assert produce(c, t, records.batch([b"meanwhile"]))["ErrorCode"] == 0
    resource.prlimit(b.pid, resource.RLIMIT_NOFILE, limit)
    assert "goes offline" not in b.text()
    confluent_produce(b, t, [b"after"])
    b.stop()
    b.start()
    assert confluent_consume(b, t, 3) == [b"before", b"meanwhile", b"after"]
    for p in (0, 99):
        wait_until(lambda: list_end(b, "wide", p) == 0, 20, "every partition of the wide one")
    b.stop()


# ---- group commit -------------------------------------------------------------------------------------------------------------------------
REQUEST_TIMED_OUT = 7


def test_with_group_commit_nothing_is_acknowledged_or_shown_that_is_not_on_the_disk(brokers, kind, topic, sick):
    b, d, t, at = house(brokers, kind, topic, sick, 2, **{"ottla.produce.sync.enable": "true"})
    with b.connect() as c:
        def put(d, acks, timeout=20000):
            return produce(c, t, records.batch([b"v"]), partition=at[d], acks=acks, timeout=timeout)["ErrorCode"]

        assert [put(0, 1), put(0, -1), put(1, 1)] == [0, 0, 0]
        b.process.signal(signal.SIGUSR1)
        wait_until(lambda: re.search(r"net-0: longest turn \d+ us", b.text()), 20, "the longest turns")
        sick.rule(("sync", "sleep", 4000, "/d0/"))
        assert [put(0, 1, 300), put(0, -1, 300)] == [REQUEST_TIMED_OUT] * 2
        assert list_end(b, t, at[0]) == 2, "written, and shown to nobody"
        assert [put(1, 1), put(1, -1)] == [0, 0], "the other disk does not wait"
        sick.well()
        wait_until(lambda: list_end(b, t, at[0]) == 4, 30, "the sync to end")
        sick.rule(("sync", "errno", EIO, "/d0/"))
        assert put(0, 1) == STORAGE
        sick.well()
        assert [put(0, -1), put(0, 1)] == [STORAGE] * 2, "no second sync"
        assert [put(1, 1), put(1, -1)] == [0, 0]
    b.kill9()
    b.start()
    wait_until(lambda: (list_end(b, t, at[0]) or 0) >= 4, 20, "the directory to serve again")
    assert confluent_consume(b, t, 5, partition=at[1]) == [b"v"] * 5
    b.stop()


# ---- rot ----------------------------------------------------------------------------------------------------------------------------------
def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x10]))


def test_a_flipped_byte_is_refused_on_append_told_by_the_scrubber_and_met_by_consumers(brokers, kind, topic):
    """What is sent stands in the file, checked by nobody on the way out: with both kinds of broker."""
    b = brokers(kind, config={"ottla.log.scrub.bytes.per.second": 50_000_000} if kind == "ottla" else None).start()
    t = topic(b, config={"segment.bytes": 20000})
    values = [b"%03d" % i + b"." * 900 for i in range(60)]
    for v in values:
        confluent_produce(b, t, [v], **{"linger.ms": 0})
    good = records.batch([b"xyz"])
    with b.connect() as c:
        for at in range(17, len(good)):
            assert produce(c, t, good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])["ErrorCode"] == CORRUPT, at
    path = sorted(b.partition_dir(t).glob("*.log"))[1]
    base = int(path.stem)
    flip(path, 500)
    if kind == "ottla":
        wait_until(lambda: f"{path}: position 0, offset {base}: " in b.text(), 100, "the scrubber to come by")
        assert b.text().count("Nothing was changed") == 1
    assert confluent_consume(b, t, base) == values[:base]
    with pytest.raises(AssertionError) as e:
        confluent_consume(b, t, 1, offset=base, seconds=5)
    assert "0 of 1" in str(e.value) or "_BAD_MSG" in str(e.value) or "CRC" in str(e.value), e.value
    said = java.tool("kafka-console-consumer", "--bootstrap-server", b.address, "--topic", t, "--partition", "0", "--offset", str(base), "--max-messages", "1",
                     check=False)
    assert "corrupt" in (said.stdout + said.stderr).lower(), said
    assert confluent_consume(b, t, 59 - base, offset=base + 1) == values[base + 1:], "the rest is there"
    flip(path, 500)
    assert confluent_consume(b, t, 60) == values
    began = time.monotonic()
    b.stop()
    assert time.monotonic() - began < 15


# ---- a disk that hangs --------------------------------------------------------------------------------------------------------------------
class Pace(threading.Thread):
    """Asks one thing after the other over a connection of its own, and notes what each took.  ask(connection, how many were asked) -> error code"""

    def __init__(self, b, ask):
        super().__init__(daemon=True)
        self.b, self.ask, self.took, self.errors, self.halt = b, ask, [], [], threading.Event()
        self.start()

    def run(self):
        with self.b.connect(timeout=60) as c:
            while not self.halt.is_set():
                before = time.monotonic()
                error = self.ask(c, len(self.took))
                self.took.append((before, time.monotonic() - before))
                if error:
                    self.errors.append(error)
                self.halt.wait(0.02)

    def end(self):
        self.halt.set()
        self.join(60)
        assert not self.is_alive() and not self.errors, self.errors[:3]
        return self.took


def producing(t, p, acks=1):
    return lambda c, n: produce(c, t, records.batch([b"%d" % n]), partition=p, acks=acks)["ErrorCode"]


def fetching(t, p):
    return lambda c, n: one(fetch(c, t, offset=n % 20, partition=p, partition_max=2000, max_wait=0))["ErrorCode"]


HANG_MS = 2000


@pytest.mark.parametrize("op", ["sync", "write", "cold"])
def test_a_disk_that_hangs_leaves_everybody_else_alone(brokers, kind, topic, sick, op):
    """Other directories' partitions on the same loops, what of the sick directory needs no disk, and group members.  cold: in reads of what is not in memory."""
    b, d, t, at = house(brokers, kind, topic, sick, 2)
    for p in at.values():
        confluent_produce(b, t, [b"%d" % i for i in range(20)], partition=p)
    ready(b, "g")
    members = [Member(b, f"g{i}", session=30000) for i in range(3)]
    for m in members:
        wait_until(lambda m=m: m.join()["ErrorCode"] == 0, 30)
        assert m.sync([(m.id, b"")])["ErrorCode"] == 0
    ours, theirs = [[Pace(b, producing(t, p, acks)) for acks in (1, -1, 1)] for p in (at[0], at[1])], [Pace(b, producing(t, at[1], -1)) for _ in range(3)]
    readers = [[Pace(b, fetching(t, p)) for _ in range(5)] for p in (at[0], at[1])]
    theirs += ours[1] + readers[1] + [Pace(b, lambda _, n, m=m: m.heartbeat()) for m in members]
    sick_ones, well_ones = (readers[0], ours[0]) if op == "cold" else (ours[0], readers[0])
    well_ones = well_ones + theirs
    wait_until(lambda: all(len(p.took) > 20 for p in sick_ones + well_ones), 30)
    began = time.monotonic()
    sick.rule((op, "sleep", HANG_MS, "/d0/"))
    wait_until(lambda: time.monotonic() - began > 1.5 * HANG_MS / 1000, 20)
    sick.well()
    took = sorted(x for p in well_ones for when, x in p.end() if when >= began - 0.05)
    held_up = [x for p in sick_ones for when, x in p.end() if x > 0.9 * HANG_MS / 1000]
    for m in members:
        m.close()
    assert took[len(took) * 99 // 100] < 0.2 and took[-1] < HANG_MS / 2000, took[-20:]
    assert op == "sync" or len(held_up) >= 2, "the disk did hang"
    for p, paces in ((at[0], ours[0]), (at[1], ours[1] + theirs[:3])):       # nothing is lost, nothing is twice
        assert list_end(b, t, p) == 20 + sum(len(x.took) for x in paces)
    b.stop()


def by_time(t, p):
    """ListOffsets 1: any time of this test."""
    def ask(c, n):
        row = c.call("ListOffsets", 1, {"ReplicaId": -1, "Topics": [{"Name": t, "Partitions": [{"PartitionIndex": p, "Timestamp": 1 + n}]}]})["Topics"][0]["Partitions"][0]
        assert row["ErrorCode"] or row["Offset"] == 0
        return row["ErrorCode"]
    return ask


def converting(t, p):
    return lambda c, n: one(fetch(c, t, version=2, partition=p, partition_max=2000, max_wait=0))["ErrorCode"]


def test_look_ups_by_time_and_conversions_on_a_disk_that_hangs_hold_no_worker_of_the_others(brokers, kind, topic, sick):
    """Three times as many of them as there are common workers; what the others ask needs one each time."""
    b, d, t, at = house(brokers, kind, topic, sick, 2, **{"num.io.threads": 2})
    for p in at.values():
        confluent_produce(b, t, [b"%d" % i for i in range(20)], partition=p)
    sick_ones = [Pace(b, f(t, at[0])) for f in (by_time, by_time, converting) for _ in range(3)]
    well_ones = [Pace(b, f(t, at[1])) for f in (by_time, converting) for _ in range(2)]
    wait_until(lambda: all(len(p.took) > 10 for p in sick_ones + well_ones), 30)
    began = time.monotonic()
    sick.rule(("cold", "sleep", HANG_MS, "/d0/"))
    wait_until(lambda: time.monotonic() - began > 1.5 * HANG_MS / 1000, 20)
    sick.well()
    took = sorted(x for p in well_ones for when, x in p.end() if when >= began - 0.05)
    held_up = [x for p in sick_ones for when, x in p.end() if x > 0.9 * HANG_MS / 1000]
    assert len(held_up) >= 4, "the disk did hang"
    assert len(took) > 40 and took[len(took) * 99 // 100] < 0.2 and took[-1] < HANG_MS / 2000, took[-20:]
    b.stop()
