# SPDX-License-Identifier: Apache-2.0
"""ottla, the command line, on the directories of real brokers: Java's and ours, running, stopped and killed."""
import fcntl
import gzip
import json
import os
import pathlib
import re
import shutil
import subprocess
import termios
import threading

import pytest

from harness import env, java, records
from harness.clients import confluent_consume, confluent_produce
from harness.proc import wait_until

SMALL_SEGMENTS = {"segment.bytes": 6000, "index.interval.bytes": 500, "segment.index.bytes": 4096}


def ottla(*args, status=0, **options):
    done = subprocess.run([env.ottla(), *map(str, args)], capture_output=True, timeout=120, text=True, errors="replace",
                          env=dict(os.environ, ASAN_OPTIONS="exitcode=99"), **options)
    assert done.returncode == status, f"ottla {' '.join(map(str, args))}: status {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


def rows(*args, status=0, **only):
    """The JSON lines, those whose fields are `only`."""
    found = [json.loads(line) for line in ottla(*args, "--json", status=status).stdout.splitlines()]
    return [r for r in found if all(r.get(k) == v for k, v in only.items())]


def fill(b, t, n=200):
    out = []
    for i, codec in enumerate(records.CODECS * 3):
        part = [b"%d %d %s" % (i, j, codec.encode() * 9) for j in range(n // 15)]
        confluent_produce(b, t, part, codec, **({"enable.idempotence": True} if i % 2 else {}))
        out += part
    return out


# ---- completion -------------------------------------------------------------------------------------------------------------------
def completed(shell, line, tmp_path):
    """-> what the shell offers for the last word of the line; nothing but files is []"""
    environment = dict(os.environ, PATH=f"{env.ottla().parent}:{os.environ['PATH']}")
    directory = env.TOP / "contrib/completion"
    if shell == "bash":
        script = f"""source {directory}/ottla.bash; read -ra COMP_WORDS <<<"$1"; COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_LINE=$1
                     COMP_POINT=${{#1}}; _ottla; echo ${{COMPREPLY[*]}}"""
        return subprocess.run(["bash", "-c", script, "bash", line], capture_output=True, text=True, env=environment).stdout.split()
    out = tmp_path / "completed"
    out.write_text("")
    subprocess.run([env.need_command("zsh"), "-f", env.HERE / "complete.zsh", directory, out, line], check=True, timeout=60, env=environment)
    return out.read_text().split()[:-1]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_shells_complete_verbs_and_options(shell, tmp_path):
    for line, words in (("ottla l", ["log"]), ("ottla log ver", ["verify"]), ("ottla topic list --boot", ["--bootstrap-server"]),
                        ("ottla config describe br", ["broker", "broker-logger"]), ("ottla log verify /t", [])):
        assert completed(shell, line, tmp_path) == words, line


# ---- the command line -----------------------------------------------------------------------------------------------------------
def test_help_teaches_at_every_level_and_a_wrong_line_is_status_2():
    assert "ottla log verify" in ottla("--help").stdout
    assert "verify" in ottla("log", "--help").stdout
    for verb in ("dump", "verify", "repair", "diff"):
        text = ottla("log", verb, "--help").stdout
        assert "usage:" in text and "Examples:" in text and "Exit status:" in text
    for verb in ("dump", "diff", "copy", "export", "import"):
        assert "Examples:" in ottla("znode", verb, "--help").stdout
    assert ottla("version").stdout.startswith("ottla ")
    assert ottla("complete").stdout.split() == ["log", "znode", "topic", "config", "group", "version", "--help"]
    assert ottla("complete", "log").stdout.split() == ["dump", "verify", "repair", "diff", "--help"]
    assert "--from-offset" in ottla("complete", "log", "dump").stdout.split()
    assert "did you mean verify?" in ottla("log", "verfy", status=2).stderr
    assert "unknown option --jsn" in ottla("log", "verify", "--jsn", "/tmp", status=2).stderr
    assert "wants a value" in ottla("log", "dump", "/tmp", "--key", status=2).stderr
    ottla(status=2)
    ottla("log", "verify", "/no/such/place", status=3)
    ottla("log", "verify", "/usr", status=3)


# ---- verify ---------------------------------------------------------------------------------------------------------------------
def test_verify_is_clean_while_a_broker_writes(broker, topic):
    t, stop, failed = topic(broker, config=SMALL_SEGMENTS), threading.Event(), []

    def write():
        try:
            while not stop.is_set():
                fill(broker, t, 60)
        except Exception as e:                  # noqa: BLE001  (told by the main thread)
            failed.append(e)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until(lambda: len(list(broker.partition_dir(t).glob("*.log"))) > 2, 60)
        for _ in range(8):
            assert rows("log", "verify", broker.partition_dir(t), type="finding") == []
    finally:
        stop.set()
        writer.join()
    assert not failed


def test_verify_is_clean_when_running_killed_and_stopped(brokers, kind, topic):
    b = brokers(kind, config={"zookeeper.session.timeout.ms": 4000}).start()
    t = topic(b, config=SMALL_SEGMENTS)
    values = fill(b, t)
    ottla("log", "verify", b.data)
    b.kill9()
    ottla("log", "verify", b.data)
    b.start()
    values += fill(b, t)
    b.stop()
    (log,) = rows("log", "verify", b.data, type="log", topic=t)
    assert (log["records"], log["end_offset"], log["high_watermark"]) == (len(values),) * 3
    assert rows("log", "verify", b.data, type="summary")[0]["notes"] == 0
    compare_with_java(b.partition_dir(t))


def test_verify_is_clean_when_killed_after_records_of_an_older_epoch_were_deleted(brokers, kind, topic):
    """The file of epochs may begin later than any checkpoint knows."""
    b = brokers(kind).start()
    t = topic(b, config=SMALL_SEGMENTS)
    first = len(fill(b, t))
    b.restart()
    fill(b, t)
    for offset in (first - 3, first + 50):
        with b.connect() as c:
            answer = c.call("DeleteRecords", 1, {"TimeoutMs": 10000, "Topics": [{"Name": t, "Partitions": [{"PartitionIndex": 0, "Offset": offset}]}]})
            assert answer["Topics"][0]["Partitions"][0] == {"PartitionIndex": 0, "LowWatermark": offset, "ErrorCode": 0}
        assert rows("log", "verify", b.partition_dir(t), type="finding") == []
    b.kill9()
    assert rows("log", "verify", b.data, type="finding") == []


# ---- dump -----------------------------------------------------------------------------------------------------------------------
def compare_with_java(directory):
    """DumpLogSegments and ottla log dump say the same of every batch and record."""
    logs = sorted(directory.glob("*.log"))
    text = java.tool("kafka-dump-log", "--deep-iteration", "--print-data-log", "--files", ",".join(map(str, logs))).stdout
    theirs = [{k: m.group(k) for k in m.groupdict()} for m in re.finditer(
        r"^baseOffset: (?P<base>\d+) lastOffset: (?P<last>\d+) count: (?P<n>\d+) baseSequence: (?P<seq>-?\d+) lastSequence: (?P<lseq>-?\d+) "
        r"producerId: (?P<pid>-?\d+) producerEpoch: (?P<pe>-?\d+) partitionLeaderEpoch: (?P<epoch>-?\d+) isTransactional: (?P<tx>\w+) "
        r"isControl: (?P<control>\w+) .*?position: (?P<at>\d+) CreateTime: (?P<ts>\d+) size: (?P<size>\d+) magic: (?P<magic>\d) compresscodec: (?P<codec>\w+) "
        r"crc: (?P<crc>\d+) isvalid: true", text, re.M)]
    ours = rows("log", "dump", "--print-data", "--only", "data", directory)
    batches = [r for r in ours if r["type"] == "batch"]
    assert len(theirs) == len(batches) > 0
    for a, o in zip(theirs, batches):
        assert (int(a["base"]), int(a["last"]), int(a["n"]), int(a["seq"]), int(a["lseq"]), int(a["pid"]), int(a["pe"]), int(a["epoch"]), a["tx"] == "true",
                int(a["at"]), int(a["ts"]), int(a["size"]), int(a["magic"]), a["codec"].lower(), int(a["crc"])) == (
            o["base_offset"], o["last_offset"], o["records"], o["base_sequence"], o["last_sequence"], o["producer_id"], o["producer_epoch"], o["leader_epoch"],
            o["transactional"], o["position"], o["max_timestamp"], o["size"], o["magic"], o["codec"], o["crc"]) and o["crc_ok"]
    theirs = re.findall(r"^\| offset: (\d+) .*?keySize: (-?\d+) valueSize: (-?\d+) .*?payload: (.*)$", text, re.M)
    assert theirs == [(str(r["offset"]), str(r["key_size"]), str(r["value_size"]), r["value"]) for r in ours if r["type"] == "record"]


def test_old_formats_are_dumped_and_verified(tmp_path):
    d = tmp_path / "old-0"
    d.mkdir()
    data = b"".join(records.message(b"v%d" % i, key=b"k%d" % i, magic=i % 2, offset=i, ts=1000 + i) for i in range(10))
    inner = b"".join(records.message(b"w%d" % i, magic=1, offset=i, ts=2000 + i) for i in range(5))
    data += records.message(gzip.compress(inner), magic=1, offset=14, attributes=1, ts=2004)
    (d / "00000000000000000000.log").write_bytes(data)
    for suffix in ("index", "timeindex"):
        (d / f"00000000000000000000.{suffix}").write_bytes(b"")
    found = rows("log", "dump", "--print-data", d, type="record")
    assert [(r["offset"], r["value"]) for r in found] == [(i, f"v{i}") for i in range(10)] + [(10 + i, f"w{i}") for i in range(5)]
    assert [r["offset"] for r in rows("log", "dump", "--key", "k7", d, type="record")] == [7]
    assert [r["offset"] for r in rows("log", "dump", "--from-offset", 12, "--to-offset", 13, d, type="record")] == [12, 13]
    assert [r["offset"] for r in rows("log", "dump", "--from-time", 2003, d, type="record")] == [13, 14]
    (log,) = rows("log", "verify", d, type="log")
    assert (log["records"], log["end_offset"], log["violations"]) == (15, 15, 0)
    broken = bytearray(data)
    broken[66] ^= 1
    (d / "00000000000000000000.log").write_bytes(broken)
    assert [f["rule"] for f in rows("log", "verify", d, type="finding", status=1)] == ["B2"]


# ---- repair ---------------------------------------------------------------------------------------------------------------------
def other(kind):
    return "ottla" if kind == "java" else "java"


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x40
    path.write_bytes(data)


def test_a_damaged_log_is_found_repaired_and_served_by_both(brokers, kind, topic, rng, tmp_path):
    b = brokers(kind).start()
    t = topic(b, config=SMALL_SEGMENTS)
    values = fill(b, t, 400)
    d = b.partition_dir(t)

    # While the broker runs, a repair is refused and names it.
    done = ottla("log", "repair", "--apply", d, status=3)
    assert f"in use by process {b.pid}," in done.stderr and "nothing was changed" in done.stderr
    b.stop()

    # Any byte under a checksum.
    copy = tmp_path / d.name
    shutil.copytree(d, copy)
    logs = sorted(copy.glob("*.log"))
    for _ in range(12):
        path = rng.choice([p for p in logs if p.stat().st_size])
        batch = rng.choice(records.batches(path.read_bytes()))
        at = path.read_bytes().find(batch.raw) + rng.randrange(21, len(batch.raw))
        flip(path, at)
        found = rows("log", "verify", copy, type="finding", status=1)
        assert any(f["rule"] == "B2" and f["offset"] == batch.base_offset for f in found), found
        (c,) = rows("log", "diff", d, copy, status=1)
        assert (c["difference"], c["offset"]) == ("different_bytes", batch.base_offset)
        flip(path, at)
    assert rows("log", "diff", d, copy)[0]["difference"] == "same"

    # Damage in the middle: dry run, then the deed.
    path = sorted(d.glob("*.log"))[1]
    batch = records.batches(path.read_bytes())[1]
    flip(path, path.read_bytes().find(batch.raw) + 70)
    before = {p.name: p.read_bytes() for p in d.iterdir()}
    done = ottla("log", "repair", d, status=1)
    assert "nothing was changed" in done.stdout and "below its high watermark" in done.stderr
    assert {p.name: p.read_bytes() for p in d.iterdir()} == before
    if os.geteuid() == 0:
        os.chown(b.data, 12345, -1)
        assert "belongs to user 12345" in ottla("log", "repair", "--apply", d, status=3).stderr
        os.chown(b.data, 0, -1)
    ottla("log", "repair", "--apply", d)
    assert not (b.data / ".kafka_cleanshutdown").exists()
    kept = b"".join(p.read_bytes() for p in sorted(d.glob("ottla-cut.*")))
    assert len(kept) + sum(p.stat().st_size for p in d.glob("*.log")) == sum(len(v) for n, v in before.items() if n.endswith(".log"))
    ottla("log", "verify", b.data)
    text = java.tool("kafka-dump-log", "--deep-iteration", "--files", ",".join(map(str, sorted(d.glob("*.log"))))).stdout
    assert "isvalid: false" not in text and text.count("baseOffset:") == len(records.stored(d))
    end = batch.base_offset
    for k in (other(kind), kind):
        b = brokers.adopt(b.as_kind(k)).start()
        assert confluent_consume(b, t, end) == values[:end]
        assert rows("log", "verify", d, type="log")[0]["end_offset"] == end
        b.stop()
    ottla("log", "verify", b.data)


def test_no_broker_starts_while_a_repair_holds_the_lock(brokers, kind, topic):
    b = brokers(kind).start()
    t = topic(b)
    confluent_produce(b, t, [b"x"])
    b.stop()
    # Notes enough to fill a pipe that nobody reads: ottla waits, with the lock in its hands.
    for i in range(1500):
        (b.partition_dir(t) / f"{i:020}.log.deleted").touch()
    p = subprocess.Popen([env.ottla(), "log", "repair", "--apply", "--json", b.data], stdout=subprocess.PIPE)
    try:
        waiting = bytearray(4)

        def full():
            fcntl.ioctl(p.stdout, termios.FIONREAD, waiting)
            return int.from_bytes(waiting, "little") >= 60000

        wait_until(full, 30, "the pipe to be full")
        b.launch()
        _, text = b.wait_exit(60)
        assert f"in use by process {p.pid}" in text if kind == "ottla" else "Failed to acquire lock on file .lock" in text, text[-2000:]
    finally:
        p.stdout.read()
        assert p.wait() == 0
    b.start()
    assert confluent_consume(b, t, 1) == [b"x"]


@pytest.mark.long
def test_a_broker_starts_on_whatever_a_repair_left_when_it_died(brokers, kind, topic):
    states = env.ottla().parent / "test/unit/log/repair_states"
    if not states.exists():
        env.missing("test/unit/log/repair_states (make check makes it)")
    b = brokers(kind).start()
    t = topic(b, config=SMALL_SEGMENTS)
    values = fill(b, t, 1200)
    b.stop()
    d = b.partition_dir(t)
    path = sorted(d.glob("*.log"))[1]
    batch = records.batches(path.read_bytes())[1]
    flip(path, path.read_bytes().find(batch.raw) + 70)
    copies = 130
    for n in range(1, copies + 1):
        shutil.copytree(d, b.data / f"s{n}-0")
    for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
        (b.data / name).write_text(f"0\n{copies}\n" + "".join(f"s{n} 0 {len(values)}\n" for n in range(1, copies + 1)))
    done = subprocess.run([states, b.data, "s"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    whole = int(done.stdout)
    assert 20 < whole <= copies
    for n in range(whole + 1, copies + 1):
        shutil.rmtree(b.data / f"s{n}-0")
    shutil.rmtree(d)
    b.start()
    b.stop()
    # (rows() wants one status: which of the two depends on the broker)
    found = [json.loads(line) for line in subprocess.run([env.ottla(), "log", "verify", "--json", b.data], capture_output=True, text=True).stdout.splitlines()]
    # The damage itself where the repair died before the cut, and high watermarks: nobody has asked the broker about these partitions yet.
    assert {r["rule"] for r in found if r["type"] == "finding" and r["violation"]} <= {"B2", "C2"}
    logs = {r["topic"]: r for r in found if r["type"] == "log"}
    before_cut = [n for n in range(1, whole + 1) if logs[f"s{n}"]["cut_offset"] >= 0]
    assert before_cut == list(range(1, len(before_cut) + 1)) and len(before_cut) < whole // 2
    for n in range(1, whole + 1):
        log = logs[f"s{n}"]
        assert (log["cut_offset"] if n in before_cut else log["end_offset"]) == batch.base_offset, (n, log)


@pytest.mark.long
@pytest.mark.only("java")
def test_verify_is_clean_on_what_java_compacted(brokers, kind, topic):
    b = brokers(kind, config={"log.cleaner.backoff.ms": 200, "log.initial.task.delay.ms": 0, "log.cleaner.min.compaction.lag.ms": 0}).start()
    t = topic(b, config={"cleanup.policy": "compact", "segment.bytes": 4000, "index.interval.bytes": 300, "segment.index.bytes": 4096,
                         "min.cleanable.dirty.ratio": 0.01, "delete.retention.ms": 100})
    from confluent_kafka import Producer
    for codec in records.CODECS:
        for txn in (None, f"x-{codec}"):
            p = Producer({"bootstrap.servers": b.address, "compression.type": codec, "enable.idempotence": True, "linger.ms": 2, "broker.address.family": "v4",
                          **({"transactional.id": txn} if txn else {})})
            if txn:
                p.init_transactions()
            for i in range(40):
                if txn:
                    p.begin_transaction()
                for k in range(5):
                    p.produce(t, None if (i + k) % 7 == 0 else b"v%d" % i * 20, key=b"%s%d" % (codec.encode(), (i * k) % 9), partition=0)
                p.flush()
                if txn:
                    p.commit_transaction() if i % 3 else p.abort_transaction()
    d = b.partition_dir(t)

    def compacted():
        text = b.data.joinpath("cleaner-offset-checkpoint")
        return text.exists() and any(line.startswith(t) and int(line.split()[2]) > 1500 for line in text.read_text().splitlines())

    wait_until(compacted, 60, "the cleaner")
    ottla("log", "verify", b.data)
    b.stop()
    found = rows("log", "verify", b.data)
    assert {r["rule"] for r in found if r["type"] == "finding"} <= {"F3"}           # replaced segments that wait for their deletion
    (log,) = [r for r in found if r["type"] == "log" and r["topic"] == t]
    assert log["records"] < log["end_offset"] // 2 and log["segments"] > 1, log


# ---- znode ----------------------------------------------------------------------------------------------------------------------
def chroot(b):
    return "/" + b.zk_connect.partition("/")[2]


def test_the_tree_of_a_cluster_is_dumped_checked_and_compared(broker, zk, topic, tmp_path):
    t = topic(broker, partitions=2, config={"retention.ms": 1234567})
    where = broker.zk_connect
    wait_until(lambda: not rows("znode", "dump", "--check", where, problem=True), 20, "the topic to have its leaders")
    nodes = {r["path"]: r for r in rows("znode", "dump", where)}
    with zk.session(chroot(broker)) as k:
        raw, stat = k.get(f"/brokers/topics/{t}")
        assert json.loads(nodes[f"/brokers/topics/{t}"]["data"]) == json.loads(raw) and nodes[f"/brokers/topics/{t}"]["version"] == stat.version
        owner = k.get("/controller")[1].ephemeralOwner
        assert nodes["/controller"]["ephemeral_owner"] == hex(owner)
        assert {p for p in nodes if p.count("/") == 1 and p != "/"} == {f"/{c}" for c in k.get_children("/")}

        # Secrets.
        k.ensure_path("/config/users")
        k.create("/config/users/alice", json.dumps({"version": 1, "config": {"SCRAM-SHA-256": "salt=geheim", "producer_byte_rate": "5"}}).encode())
        assert "geheim" not in ottla("znode", "dump", where).stdout and '"producer_byte_rate": "5"' in ottla("znode", "dump", where).stdout
        assert "geheim" in ottla("znode", "dump", "--show-secrets", where).stdout

        # Kept, and compared.
        kept = tmp_path / "kept.json"
        kept.write_text(ottla("znode", "dump", "--json", where).stdout)
        assert ottla("znode", "diff", kept, where).stdout == "the same\n"
        k.set(f"/config/topics/{t}", b'{"config":{"retention.ms":"7654321"},"version":1}')
        k.create("/brokers/strange", b"x")
        found = rows("znode", "diff", kept, where, status=1)
        assert [(d["path"], d["difference"]) for d in found] == [("/brokers/strange", "only in B"), (f"/config/topics/{t}", "differs")]
        assert "1234567" in found[1]["a"] and "7654321" in found[1]["b"]
        assert ottla("znode", "diff", "--path", "/brokers/topics", kept, where).returncode == 0

        # What a cluster stumbles over.
        state = f"/brokers/topics/{t}/partitions/1/state"
        good = k.get(state)[0]
        k.set(state, json.dumps(dict(json.loads(good), leader=77, novelty=1)).encode())
        k.create("/config/topics/broken", b'{"version":1,"config":{"a":5}}')
        k.delete("/config/ips")
        problems = {(r["path"], r["problem"]): r["message"] for r in rows("znode", "dump", "--check", where, status=1, type="finding")}
        try:
            assert "not in the ISR" in problems[state, True]
            assert problems["/config/topics/broken", True].startswith("malformed:")
            assert problems["/config/ips", True].startswith("missing:")
            assert "no Kafka 3.9 broker knows" in problems["/brokers/strange", False]
            assert any(r["message"] == 'the field "novelty" is unknown' for r in rows("znode", "dump", "--check", where, status=1))
        finally:
            k.set(state, good)
            k.delete("/config/topics/broken")
            k.delete("/brokers/strange")
            k.delete("/config/users/alice")
            k.create("/config/ips")


def test_a_missing_chroot_is_said_and_not_made(zk):
    assert "there is no node /nowhere" in ottla("znode", "dump", f"{zk.address}/nowhere", status=3).stderr
    with zk.session("/") as k:
        assert not k.exists("/nowhere")
    assert "zookeeper.connect" in ottla("znode", "dump", "--timeout", 500, "127.0.0.1:1/x", status=3).stderr
    ottla("znode", "dump", "--path", "x/", zk.address, status=3)
