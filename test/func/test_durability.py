# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged stays: over restarts, kills, retention, and a change between Ottla and Java on the same directory."""
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time

import pytest

from harness import env, java, records, wire
from harness.clients import confluent_consume, confluent_produce
from harness.proc import wait_until

pytestmark = pytest.mark.zookeeper

SMALL_SEGMENTS = {"segment.bytes": 6000, "index.interval.bytes": 500, "segment.index.bytes": 4096}


def dump(*files, args=()):
    return java.tool("kafka-dump-log", *args, "--files", ",".join(str(f) for f in files)).stdout


def verify(directory):
    if env.ottlad():
        done = subprocess.run([env.ottla(), "log", "verify", "--quiet", directory], capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def check_with_dump_log(directory):
    """Java's own reader finds nothing wrong with any file of a partition, and ottla log verify neither."""
    verify(directory)
    logs = sorted(directory.glob("*.log"))
    text = dump(*logs, args=("--deep-iteration",))
    assert "isvalid: false" not in text and text.count("baseOffset:") == len(records.stored(directory)), text[-3000:]
    for kind in ("index", "timeindex"):
        files = sorted(directory.glob(f"*.{kind}"))
        assert len(files) == len(logs)
        text = dump(*files, args=("--index-sanity-check",))
        # No offset index entry: a segment of one batch.  No time index entry: a segment without any, begun just before a crash or the end.
        empty = [f for f in files if f.stat().st_size == 0]
        assert kind == "index" or all(f.with_suffix(".log").stat().st_size == 0 for f in empty)
        said_empty = len(empty) if kind == "index" else 0        # of an empty time index the tool says that it passed
        assert text.count("passed sanity check.") == len(files) - said_empty and text.count("is empty.") == said_empty, text[-3000:]
        text = dump(*files)
        assert not re.search(r"mismatch|out of order|Found|Mismatch", text), text[-3000:]
    return logs


def list_offset(b, t, when, partition=0):
    """when: a time, -1 the end, -2 the start"""
    with b.connect() as c:
        answer = c.call("ListOffsets", 7, {"ReplicaId": -1, "Topics": [{"Name": t, "Partitions": [{"PartitionIndex": partition, "Timestamp": when}]}]})
        return answer["Topics"][0]["Partitions"][0]


def fill(b, t, n=400):
    """Many batches of every codec; -> the values."""
    values = []
    for i, codec in enumerate(records.CODECS * 4):
        part = [b"%d %d %s" % (i, j, codec.encode() * 10) for j in range(n // 20)]
        confluent_produce(b, t, part, codec)
        values += part
    return values


@pytest.mark.only("ottla")
def test_after_the_ready_line_the_first_request_for_any_partition_succeeds(brokers, kind, topic):
    """Every partition, asked once, by whoever waits for nothing but that line; after clean ends and kills."""
    partitions, runs = 60, 4
    b = brokers(kind).start()
    topics = [topic(b, partitions=partitions) for _ in range(2)]
    for run in range(1, runs + 1):
        if run % 2:
            b.stop()
        else:
            b.kill9()
        b.launch()
        wait_until(lambda: "ottlad ready:" in b.text(), 60, "the ready line", every=0.001)
        with b.connect() as c:
            produced = c.call("Produce", 7, {"Acks": -1, "TimeoutMs": 5000, "TopicData": [
                {"Name": t, "PartitionData": [{"Index": p, "Records": records.batch([b"%d" % run])} for p in range(partitions)]} for t in topics]})
            ends = c.call("ListOffsets", 7, {"ReplicaId": -1, "Topics": [
                {"Name": t, "Partitions": [{"PartitionIndex": p, "Timestamp": -1} for p in range(partitions)]} for t in topics]})
        answers = [p for t in produced["Responses"] for p in t["PartitionResponses"]]
        assert len(answers) == 2 * partitions and {(p["ErrorCode"], p["BaseOffset"]) for p in answers} == {(0, run - 1)}
        answers = [p for t in ends["Topics"] for p in t["Partitions"]]
        assert len(answers) == 2 * partitions and {(p["ErrorCode"], p["Offset"]) for p in answers} == {(0, run)}
    assert "ready, but" not in b.text() and "not ready yet" not in b.text()


def test_records_and_offsets_survive_a_clean_restart(brokers, kind, topic):
    b = brokers(kind).start()
    t = topic(b, config=SMALL_SEGMENTS)
    values = fill(b, t)
    assert not (b.data / ".kafka_cleanshutdown").exists()
    status = b.stop()
    assert status == (0 if kind == "ottla" else 143)
    assert (b.data / ".kafka_cleanshutdown").exists()
    b.start()
    assert confluent_consume(b, t, len(values)) == values
    confluent_produce(b, t, [b"after"])
    (last,) = confluent_consume(b, t, 1, messages=True, offset=len(values))
    assert (last.offset(), last.value()) == (len(values), b"after")


def test_java_reads_every_file_while_the_broker_runs_and_after_it_stopped(brokers, kind, topic):
    b = brokers(kind).start()
    t = topic(b, config=SMALL_SEGMENTS)
    fill(b, t, 2000)
    d = b.partition_dir(t)
    assert len(list(d.glob("*.log"))) > 2
    dump(*sorted(d.glob("*.log")), args=("--deep-iteration",))
    b.stop()
    assert len(check_with_dump_log(d)) > 2
    assert (d / "partition.metadata").read_text().startswith("version: 0\ntopic_id: ")
    assert (d / "leader-epoch-checkpoint").read_text() == "0\n1\n0 0\n"


@pytest.mark.parametrize("first", ["java", "ours"])
def test_java_and_we_serve_each_others_directories(brokers, kind, topic, first):
    """Same id, same ZooKeeper, same directory: one broker goes, the other comes, three times."""
    order = ["java", kind, "java"] if first == "java" else [kind, "java", kind]
    b = brokers(order[0]).start()
    t = topic(b, partitions=2, config=SMALL_SEGMENTS)
    values, fresh = fill(b, t), topic(b)
    for n, k in enumerate(order):
        if n:
            b = brokers.adopt(b.as_kind(k)).start()
        assert confluent_consume(b, t, len(values)) == values, f"{k} on what {order[:n]} wrote"
        values += fill(b, t)
        confluent_produce(b, fresh, [b"%d" % n])
        topic(b, name=f"{fresh}-{n}")
        b.stop()
        check_with_dump_log(b.partition_dir(t))
    b.start()
    assert confluent_consume(b, fresh, 3) == [b"0", b"1", b"2"]
    assert confluent_consume(b, t, len(values)) == values
    with b.connect() as c:
        names = {x["Name"] for x in c.call("Metadata", 9, {"Topics": None})["Topics"]}
        assert {f"{fresh}-{n}" for n in range(3)} <= names


def test_java_and_we_take_over_each_others_killed_directories(brokers, kind, topic):
    b = brokers(kind, config={"zookeeper.session.timeout.ms": 4000}).start()
    t = topic(b, config=SMALL_SEGMENTS)
    values = fill(b, t)
    for k in ("java", kind):
        b.kill9()
        b = brokers.adopt(b.as_kind(k)).start()
        assert confluent_consume(b, t, len(values)) == values
        values += fill(b, t)
    b.stop()
    check_with_dump_log(b.partition_dir(t))


def without_all_files(b, t, partitions):
    """The partitions whose directory lacks files that a log has, or is not there at all."""
    whole = {"00000000000000000000.log", "leader-epoch-checkpoint", "partition.metadata"}
    return [p for p in range(partitions) if not b.partition_dir(t, p).is_dir() or whole - {f.name for f in b.partition_dir(t, p).iterdir()}]


@pytest.mark.only("ottla")
def test_java_goes_on_with_what_a_kill_right_behind_the_answer_to_createtopics_left(brokers, kind, topic):
    """New logs get their files, most of them their directory, too, behind that answer: what a kill keeps from them no broker may mind."""
    partitions, bare = 200, []
    b = brokers(kind).start()
    for _ in range(5):
        t = topic(b, partitions=partitions)
        b.kill9()
        bare = without_all_files(b, t, partitions)
        if len(bare) > 3:
            break
        b.start()
    assert len(bare) > 3, "all files were there each time: nothing is shown"
    some = bare[:2] + bare[-2:]
    b = brokers.adopt(b.as_kind("java")).start()
    for p in some:
        wait_until(lambda p=p: list_offset(b, t, -1, p)["ErrorCode"] == 0, 30, f"a leader of {t}-{p}")
        confluent_produce(b, t, [b"java %d" % p], partition=p)
    b.stop()
    b = brokers.adopt(b.as_kind(kind)).start()
    for p in some:
        confluent_produce(b, t, [b"ours %d" % p], partition=p)
        assert confluent_consume(b, t, 2, partition=p) == [b"java %d" % p, b"ours %d" % p]
    b.stop()
    assert not without_all_files(b, t, partitions)
    for p in some:
        check_with_dump_log(b.partition_dir(t, p))


RETENTION = {"log.retention.check.interval.ms": 300, "log.initial.task.delay.ms": 0, "log.segment.delete.delay.ms": 0}


def test_retention_by_size_deletes_the_oldest_segments_and_moves_the_start(brokers, kind, topic):
    b = brokers(kind, config=RETENTION).start()
    t = topic(b, config={"segment.bytes": 10000, "retention.bytes": 30000})
    values = [b"%05d" % i + b"x" * 995 for i in range(200)]
    for i in range(0, 200, 5):
        confluent_produce(b, t, values[i:i + 5])

    def start():
        return list_offset(b, t, -2)["Offset"]

    wait_until(lambda: start() > 100, 20, "the start to move")
    first = wait_until(lambda: (a := start(), time.sleep(0.7)) and a == start() and a, 20)
    assert 160 <= first < 180
    assert confluent_consume(b, t, 200 - first, offset=first) == values[first:]
    wait_until(lambda: min(int(p.stem) for p in b.partition_dir(t).glob("*.log")) == first, 20, "the files to go")
    wait_until(lambda: not list(b.partition_dir(t).glob("*.deleted")), 20)
    b.restart()
    assert confluent_consume(b, t, 200 - first, offset=first) == values[first:]


def test_retention_by_time_deletes_old_records_and_keeps_new_ones(brokers, kind, topic):
    from confluent_kafka import Producer
    b = brokers(kind, config=RETENTION).start()
    t = topic(b, config={"segment.bytes": 10000, "retention.ms": 60000, "message.timestamp.before.max.ms": 1 << 60})
    p = Producer({"bootstrap.servers": b.address, "broker.address.family": "v4", "batch.num.messages": 5})
    now = int(time.time() * 1000)
    for i in range(50):
        p.produce(t, b"x" * 1000, partition=0, timestamp=now - 3_600_000)
    assert p.flush(20) == 0
    for i in range(50):
        p.produce(t, b"y" * 1000, partition=0, timestamp=now)
    assert p.flush(20) == 0
    wait_until(lambda: min(int(x.stem) for x in b.partition_dir(t).glob("*.log")) > 0, 20, "old segments to go")
    wait_until(lambda: (time.sleep(1), confluent_consume(b, t, 1, offset=50, seconds=5))[1] == [b"y" * 1000], 10)
    time.sleep(1)
    assert confluent_consume(b, t, 50, offset=50) == [b"y" * 1000] * 50


class Load:
    """A producer that notes which value was acknowledged at which offset."""

    def __init__(self, broker, topic, tag, partition=0, acks="all", pause=0.001):
        from confluent_kafka import Producer
        self.acked, self.n, self.stop = {}, 0, threading.Event()
        self.p = Producer({"bootstrap.servers": broker.address, "acks": acks, "linger.ms": 1, "message.send.max.retries": 0,
                           "message.timeout.ms": 3000, "socket.timeout.ms": 2000, "broker.address.family": "v4", "log_level": 0,
                           "compression.type": ("none", "lz4", "zstd", "snappy", "gzip")[tag % 5]})
        self.topic, self.tag, self.partition, self.pause = topic, tag, partition, pause
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stop.is_set():
            value = b"%d:%d:" % (self.tag, self.n) + b"v" * (self.n * 37 % 900)
            try:
                self.p.produce(self.topic, value, partition=self.partition, on_delivery=self.delivered)
                self.n += 1
            except BufferError:
                pass
            self.p.poll(0 if self.n % 50 else self.pause)

    def delivered(self, error, message):
        if error is None:
            self.acked[message.offset()] = message.value()

    def end(self, killed=False):
        self.stop.set()
        self.thread.join()
        if killed:
            self.p.purge()      # what has no answer by now gets none
        self.p.flush(5)
        return self.acked


class Commits:
    """Commits offset after offset of one group, each when the one before was answered."""

    def __init__(self, broker, group, topic, first):
        self.broker, self.group, self.topic = broker, group, topic
        self.acked, self.sent = first, first
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            with self.broker.connect(timeout=5) as c:
                while True:
                    self.sent += 1
                    answer = c.call("OffsetCommit", 7, {"GroupId": self.group, "GenerationIdOrMemberEpoch": -1, "MemberId": "", "Topics": [
                        {"Name": self.topic, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": self.sent, "CommittedMetadata": ""}]}]})
                    if answer["Topics"][0]["Partitions"][0]["ErrorCode"] == 0:
                        self.acked = self.sent
        except (OSError, wire.Closed):
            pass        # the broker is gone

    def end(self):
        self.thread.join()
        return self.acked, self.sent


def committed(b, group, t):
    """None: the coordinator is loading, or not there yet"""
    with b.connect() as c:
        answer = c.call("OffsetFetch", 7, {"GroupId": group, "RequireStable": False, "Topics": [{"Name": t, "PartitionIndexes": [0]}]})
        return None if answer["ErrorCode"] else answer["Topics"][0]["Partitions"][0]["CommittedOffset"]


def still_there(b, t, partition, acked, first):
    """Every acknowledged record is where it was said to be, and the rest is in order; -> the end"""
    end = wait_until(lambda: (answer := list_offset(b, t, -1, partition))["ErrorCode"] == 0 and answer, 20, "the partition", every=0.01)["Offset"]
    assert not acked or max(acked) < end
    got = confluent_consume(b, t, end - first, messages=True, offset=first, partition=partition) if end > first else []
    assert [m.offset() for m in got] == list(range(first, end))
    values = {m.offset(): m.value() for m in got}
    lost = [o for o, v in acked.items() if values.get(o) != v]
    assert not lost, f"{len(lost)} of {len(acked)} acknowledged records of partition {partition} are lost, first {min(lost)}"
    sent = [tuple(map(int, v.split(b":", 2)[:2])) for v in values.values()]
    assert sent == sorted(set(sent)), f"partition {partition}: not in the order of the producer, or twice"
    return end


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("points", [20, pytest.param(200, marks=[pytest.mark.long, pytest.mark.only("ottla")])])
def test_acknowledged_records_survive_kill_9_under_load(brokers, kind, topic, rng, seed, points):
    """Twenty random points (Java: three, each waits for its session to end), two hundred in the long run.  acks=all, acks=1 and commits of offsets.  Ottla is
    back before its session could have timed out."""
    points = points if kind == "ottla" else 3
    b = brokers(kind, config={"zookeeper.session.timeout.ms": 18000 if kind == "ottla" else 4000, "offsets.topic.num.partitions": 1,
                              "log.flush.offset.checkpoint.interval.ms": 200, "log.initial.task.delay.ms": 0}).start()
    print(f"seed {seed}")
    with b.connect() as c:
        wait_until(lambda: c.call("FindCoordinator", 3, {"Key": "g", "KeyType": 0})["ErrorCode"] == 0, 60, "the coordinator")
    wait_until(lambda: committed(b, "g", "t") is not None, 60, "the group")
    total = 0
    for n in range(points):
        if n % 20 == 0:
            t, first, offset = topic(b, partitions=2, config={"segment.bytes": 100_000, "index.interval.bytes": 4096}), [0, 0], 0
        loads = [Load(b, t, n, p, acks, pause=0.005) for p, acks in ((0, "all"), (1, "1"))]
        commits = Commits(b, "g", t, offset)
        if kind == "java":                  # it takes its time to begin with
            wait_until(lambda: commits.acked > offset and all(x.acked for x in loads), 20, "acknowledgements")
        delay = rng.uniform(0.02, 0.4)
        time.sleep(delay)                   # the random point
        began = time.monotonic()
        b.kill9()
        acked = [load.end(killed=True) for load in loads]
        acked_commit, sent_commit = commits.end()
        for p in (0, 1):
            verify(b.partition_dir(t, p))
        again = time.monotonic()
        b.start()
        back = time.monotonic() - again
        print(f"point {n}: after {delay:.3f} s {len(acked[0])} and {len(acked[1])} records, commits to {acked_commit}; ready {back:.2f} s after its start")
        if kind == "ottla":
            # Whoever waits for the session of 18 s, renewed every 6, is not there before that.  How busy this machine is shows in a run of ten minutes.
            assert time.monotonic() - began < 12 and (back < 5 or points > 20), "waited for the session time-out"
        try:
            first = [still_there(b, t, p, acked[p], first[p]) for p in (0, 1)]
            offset = wait_until(lambda: (at := committed(b, "g", t)) is not None and (at,), 30, "the group", every=0.01)[0]
            assert max(acked_commit, 0) <= max(offset, 0) <= sent_commit
        except AssertionError as e:
            raise AssertionError(f"seed {seed}, point {n}: {e}") from e
        total, offset = total + len(acked[0]) + len(acked[1]), max(offset, 0)
    assert total > 0 and offset > 0
    b.stop()
    for p in (0, 1):
        check_with_dump_log(b.partition_dir(t, p))
    verify(b.data)


@pytest.mark.only("ottla")
def test_acknowledged_records_survive_kills_in_the_middle_of_starts(brokers, kind, topic, rng, seed):
    """Killed under load with many small segments in three partitions, then again and again while it recovers; Java finds nothing wrong after it."""
    b = brokers(kind, config={"zookeeper.session.timeout.ms": 18000, "num.recovery.threads.per.data.dir": 2}).start()
    t = topic(b, partitions=3, config={"segment.bytes": 30_000, "index.interval.bytes": 1000, "segment.index.bytes": 4096})
    print(f"seed {seed}")
    for round in range(3):
        loads = [Load(b, t, round * 3 + n, partition=n) for n in range(3)]
        wait_until(lambda: all(len(x.acked) > 200 for x in loads), 30, "records in every partition")
        b.kill9()
        acked = [x.end(killed=True) for x in loads]
        for _ in range(8):
            b.launch()
            time.sleep(rng.uniform(0, 0.25))        # the random point
            b.kill9()
        b.start()
        for n in range(3):
            # Ready is when it answers; a moment later the controller has given it its partitions back.
            end = wait_until(lambda: (answer := list_offset(b, t, -1, n))["ErrorCode"] == 0 and answer, 20, "the partition")["Offset"]
            assert max(acked[n]) < end
            first = min(acked[n])
            got = {m.offset(): m.value() for m in confluent_consume(b, t, end - first, messages=True, offset=first, partition=n)}
            lost = [o for o, v in acked[n].items() if got.get(o) != v]
            assert not lost, f"seed {seed}, round {round}: {len(lost)} of {len(acked[n])} acknowledged records of partition {n} are lost"
    b.stop()
    for n in range(3):
        check_with_dump_log(b.partition_dir(t, n))


@pytest.mark.only("ottla")
def test_a_broker_whose_port_was_taken_meanwhile_is_started_at_another(brokers, kind, topic):
    """Of the harness: long runs with many kills must not end because of a stranger; and two runs of tests are never given the same port."""
    other_run = "import sys; sys.path.insert(0, sys.argv[1]); from harness import proc; sys.exit(10 + proc.claim(int(sys.argv[2])))"
    b = brokers(kind).start()
    t = topic(b)
    confluent_produce(b, t, [b"before"])
    before = b.port
    argv = [sys.executable, "-c", other_run, pathlib.Path(__file__).parent, str(before)]
    assert subprocess.run(argv, check=False).returncode == 10
    b.kill9()
    with socket.create_server(("127.0.0.1", before)):
        b.start()
    assert b.port != before and confluent_consume(b, t, 1) == [b"before"]


def purge(b, t, offset):
    with b.connect() as c:
        answer = c.call("DeleteRecords", 2, {"Topics": [{"Name": t, "Partitions": [{"PartitionIndex": 0, "Offset": offset}]}], "TimeoutMs": 10000})
        assert answer["Topics"][0]["Partitions"][0] == {"PartitionIndex": 0, "LowWatermark": offset, "ErrorCode": 0}


def test_deleted_records_stay_deleted_once_their_checkpoint_is_written(brokers, kind, topic):
    b = brokers(kind, config={"log.flush.start.offset.checkpoint.interval.ms": 100}).start()
    t = topic(b)
    confluent_produce(b, t, [b"%d" % n for n in range(10)])
    purge(b, t, 4)
    file = b.data / "log-start-offset-checkpoint"
    wait_until(lambda: f"{t} 0 4" in file.read_text(), 30)
    b.kill9()
    b.start()
    wait_until(lambda: list_offset(b, t, -2)["Offset"] == 4, 20)
    assert confluent_consume(b, t, 6, offset=4) == [b"%d" % n for n in range(4, 10)]
    purge(b, t, 7)
    b.restart()     # a clean end writes it
    wait_until(lambda: list_offset(b, t, -2)["Offset"] == 7, 20)


def test_a_deletion_that_no_checkpoint_holds_is_undone_by_a_kill(brokers, kind, topic):
    """Kafka promises no more: DeleteRecords is answered before anything of it is on disk, and both brokers come back with the records."""
    b = brokers(kind).start()
    t = topic(b)
    confluent_produce(b, t, [b"%d" % n for n in range(10)])
    purge(b, t, 4)
    assert list_offset(b, t, -2)["Offset"] == 4
    b.kill9()
    b.start()
    wait_until(lambda: list_offset(b, t, -2)["ErrorCode"] == 0, 20)
    assert list_offset(b, t, -2)["Offset"] == 0
    assert confluent_consume(b, t, 10) == [b"%d" % n for n in range(10)]
