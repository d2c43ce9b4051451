# SPDX-License-Identifier: Apache-2.0
"""What a broker is given that it should not be: bytes, batches, directories, disks.  It says so, nothing is lost, and others are served."""
import os
import re
import socket
import struct
import subprocess
import time

import pytest

from harness import records, wire
from harness.clients import confluent_consume, confluent_produce
from harness.proc import memory_kib, wait_until

INT_MAX = 0x7FFFFFFF


@pytest.fixture
def bystander(broker, topic):
    """Another client's connection and topic: unharmed by whatever the test does to the broker."""
    t = topic(broker)
    memory = memory_kib(broker.pid)
    with broker.connect() as c:
        yield
        for i in range(3):
            answer = c.call("Produce", 7, {"Acks": -1, "TimeoutMs": 5000, "TopicData": [
                {"Name": t, "PartitionData": [{"Index": 0, "Records": records.batch([b"still here"])}]}]})
            assert answer["Responses"][0]["PartitionResponses"][0]["BaseOffset"] == i
    assert confluent_consume(broker, t, 3) == [b"still here"] * 3
    if broker.kind == "ottla":      # a hostile length must not become an allocation (Java's heap comes and goes as it likes)
        assert memory_kib(broker.pid) - memory < 200_000


def frame(name, version, body, correlation=1):
    return wire.request_header(name, version, correlation) + body


# ---- frames -----------------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name,data", [
    ("http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("tls", bytes.fromhex("16030100c8010000c40303") + bytes(200)),
    ("zeros", bytes(1000)),
    ("negative size", struct.pack(">i", -1) + bytes(100)),
    ("size beyond the limit", struct.pack(">i", 104857601) + bytes(100)),
    ("size 2 GiB", struct.pack(">i", INT_MAX) + bytes(100)),
    ("an empty frame", struct.pack(">i", 0)),
    ("a header cut short", struct.pack(">ihh", 4, 18, 0)),
    ("a client id longer than the frame", struct.pack(">ihhih", 10, 3, 1, 1, 30000)),
    ("an api nobody knows", struct.pack(">ihhih", 10, 999, 0, 1, 0)),
    ("a negative api", struct.pack(">ihhih", 10, -1, 0, 1, 0)),
    ("a version nobody knows", struct.pack(">ihhih", 10, 3, 99, 1, 0)),
    ("a negative version", struct.pack(">ihhih", 10, 3, -1, 1, 0)),
])
def test_garbage_closes_its_own_connection(broker, bystander, name, data):
    with broker.connect() as c:
        try:
            c.send_bytes(data)
        except OSError:
            pass
        assert c.closed_within(10)


@pytest.mark.parametrize("name,version,body", [
    ("Metadata", 1, struct.pack(">i", INT_MAX)),
    ("Metadata", 12, b"\xff\xff\xff\xff\x07"),
    ("Metadata", 12, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
    ("Produce", 7, struct.pack(">hhii", -1, -1, 1000, INT_MAX)),
    ("Produce", 7, struct.pack(">hhiih1sii", -1, -1, 1000, 1, 1, b"t", INT_MAX, 0)),
    ("Produce", 9, b"\0\xff\xff\0\0\0\1\xff\xff\xff\xff\x07"),
    ("Fetch", 11, struct.pack(">iiiibiii", -1, 0, 0, 1000, 0, 0, 0, INT_MAX)),
    ("ListOffsets", 5, struct.pack(">ibi", -1, 0, INT_MAX)),
    ("CreateTopics", 4, struct.pack(">i", INT_MAX)),
    ("DescribeConfigs", 1, struct.pack(">i", INT_MAX)),
    ("Metadata", 1, struct.pack(">ih", 1, 500)),
    ("CreateTopics", 4, struct.pack(">iib", -5, 1000, 0)),      # not nullable (in a nullable one Java takes any negative length for null)
    ("Metadata", 1, b""),
])
def test_hostile_counts_and_short_bodies_close_their_own_connection(broker, bystander, name, version, body):
    with broker.connect() as c:
        c.send_frame(frame(name, version, body))
        assert c.closed_within(10)


def test_random_bytes_after_a_good_header_never_harm_anybody(broker, bystander, rng):
    for _ in range(300):
        name = rng.choice(["Produce", "Fetch", "ListOffsets", "Metadata", "CreateTopics", "DeleteTopics", "CreatePartitions", "DescribeConfigs",
                           "AlterConfigs", "IncrementalAlterConfigs", "DescribeCluster", "FindCoordinator", "ApiVersions"])
        version = rng.choice(list(wire.valid_versions(name)))
        with broker.connect(timeout=5) as c:
            c.send_frame(frame(name, version, rng.randbytes(rng.randrange(200))))
            c.sock.shutdown(socket.SHUT_WR)
            try:
                while c.sock.recv(65536):
                    pass
            except OSError:
                pass


def test_good_requests_with_flipped_bytes_never_harm_anybody(broker, bystander, topic, rng):
    # a Metadata with a flipped byte in the name makes that topic: it must not be the name that another test is about to take (t37-1 became t38-1)
    t = topic(broker, name=f"flipped-bytes-{os.getpid()}")
    good = [
        frame("Produce", 9, wire.codec("Produce", "request", 9).encode({"Acks": -1, "TimeoutMs": 1000, "TopicData": [
            {"Name": t, "PartitionData": [{"Index": 0, "Records": records.batch([b"abc"] * 20, "gzip")}]}]})),
        frame("Fetch", 12, wire.codec("Fetch", "request", 12).encode({"MaxWaitMs": 10, "Topics": [{"Topic": t, "Partitions": [
            {"Partition": 0, "PartitionMaxBytes": 1000}]}]})),
        frame("Metadata", 12, wire.codec("Metadata", "request", 12).encode({"Topics": [{"Name": t}]})),
    ]
    for _ in range(300):
        data = bytearray(rng.choice(good))
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(8, len(data))] = rng.randrange(256)
        with broker.connect(timeout=5) as c:
            c.send_frame(bytes(data))
            c.sock.shutdown(socket.SHUT_WR)
            try:
                while c.sock.recv(65536):
                    pass
            except OSError:
                pass


def test_half_a_frame_holds_nobody_up_and_its_rest_may_come_later(broker, bystander, topic):
    with broker.connect() as slow, broker.connect() as quick:
        whole = frame("ApiVersions", 0, b"", 77)
        data = struct.pack(">i", len(whole)) + whole
        for i in range(len(data) - 1):
            slow.send_bytes(data[i:i + 1])
            if i % 4 == 0:
                assert quick.call("ApiVersions", 0)["ErrorCode"] == 0
        slow.send_bytes(data[-1:])
        assert slow.receive("ApiVersions", 0, 77)["ErrorCode"] == 0


def test_clients_that_vanish_in_the_middle_are_forgotten(broker, bystander, topic):
    t = topic(broker)
    for i in range(100):
        c = broker.connect()
        whole = struct.pack(">i", 100000) + frame("Produce", 7, bytes(1000 * (i % 5)))
        c.send_bytes(whole[:4 + 13 * i])
        if i % 2:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))     # RST
        c.close()
    for _ in range(50):     # and those that ask but do not wait for the answer
        c = broker.connect()
        c.send("Fetch", 7, {"ReplicaId": -1, "MaxWaitMs": 30000, "MinBytes": 1, "MaxBytes": 1000, "Topics": [
            {"Topic": t, "Partitions": [{"Partition": 0, "PartitionMaxBytes": 1000}]}]})
        c.close()
    fds = f"/proc/{broker.pid}/fd"
    wait_until(lambda: len([f for f in os.listdir(fds) if os.readlink(f"{fds}/{f}").startswith("socket:")]) < 60, 40, "the sockets to be closed")


def test_an_unknown_version_of_api_versions_is_told_which_there_are(broker):
    with broker.connect() as c:
        c.send_frame(struct.pack(">hhih", 18, 99, 5, 0) + b"\0\1\1\0")
        answer = c.receive("ApiVersions", 0, 5)
        assert answer["ErrorCode"] == 35
        assert [(k["ApiKey"], k["MinVersion"]) for k in answer["ApiKeys"] if k["ApiKey"] == 18] == [(18, 0)]


# ---- batches ----------------------------------------------------------------------------------------------------------------------------
def cut(data, n):
    return data[:n]


@pytest.mark.parametrize("name,data,errors", [
    ("a wrong crc", lambda: records.batch([b"x"], crc=12345), {2}),
    ("a flipped byte", lambda: (b := bytearray(records.batch([b"xyz"])), b.__setitem__(-3, b[-3] ^ 1))[0], {2}),
    ("a batch cut short", lambda: cut(records.batch([b"x" * 100]), 90), {2, 87}),
    ("a header cut short", lambda: cut(records.batch([b"x" * 100]), 30), {2, 87}),
    ("no batch at all", lambda: b"", {87, 2}),
    ("two batches", lambda: records.batch([b"x"]) * 2, {87}),
    ("a count that is too large", lambda: records.batch([b"x"], count=2), {87}),
    ("a count of minus one", lambda: records.batch([b"x"], count=-1), {87}),
    ("a count of 2^31-1", lambda: records.batch([b"x"], count=INT_MAX, last_delta=INT_MAX - 1), {87, 2}),
    ("a last delta that does not fit the count", lambda: records.batch([b"x"] * 3, last_delta=7), {87}),
    ("record bytes left over", lambda: records.batch([b"x"], payload=records.record(0, b"x") + b"junk"), {87}),
    ("a record that claims 2 GiB", lambda: records.batch([b"x"], payload=records.zigzag(INT_MAX) + b"\0" * 20), {87}),
    ("gzip that is not gzip", lambda: records.batch([b"x"], attributes=1, payload=b"not gzip at all"), {87, 2, -1}),
    ("snappy that is not snappy", lambda: records.batch([b"x"], attributes=2, payload=b"not snappy at all"), {87, 2, -1}),
    ("lz4 that is not lz4", lambda: records.batch([b"x"], attributes=3, payload=b"not lz4 at all, no"), {87, 2, -1}),
    ("zstd that is not zstd", lambda: records.batch([b"x"], attributes=4, payload=b"not zstd at all"), {87, 2, -1}),
    ("a codec nobody knows", lambda: records.batch([b"x"], attributes=7), {2, 76, 87, -1}),
    ("a control batch", lambda: records.batch([b"x"], attributes=0x20), {87}),
])
def test_a_bad_batch_is_refused_and_the_log_goes_on(broker, bystander, topic, name, data, errors):
    t = topic(broker)

    def send(raw):
        with broker.connect() as c:
            return c.call("Produce", 8, {"Acks": -1, "TimeoutMs": 5000, "TopicData": [
                {"Name": t, "PartitionData": [{"Index": 0, "Records": bytes(raw)}]}]})["Responses"][0]["PartitionResponses"][0]

    assert send(records.batch([b"before"]))["BaseOffset"] == 0
    answer = send(data())
    print(name, answer["ErrorCode"])
    assert answer["ErrorCode"] in errors and answer["BaseOffset"] == -1, answer
    assert send(records.batch([b"after"]))["BaseOffset"] == 1
    assert confluent_consume(broker, t, 2) == [b"before", b"after"]


def test_a_bad_partition_in_a_request_does_not_spoil_the_good_one(broker, bystander, topic):
    t = topic(broker, partitions=2)
    with broker.connect() as c:
        answer = c.call("Produce", 7, {"Acks": -1, "TimeoutMs": 5000, "TopicData": [{"Name": t, "PartitionData": [
            {"Index": 0, "Records": records.batch([b"x"], crc=1)}, {"Index": 1, "Records": records.batch([b"good"])},
            {"Index": 9, "Records": records.batch([b"nowhere"])}]}]})
        got = {p["Index"]: p["ErrorCode"] for p in answer["Responses"][0]["PartitionResponses"]}
        assert got == {0: 2, 1: 0, 9: 3}
    assert confluent_consume(broker, t, 1, partition=1) == [b"good"]


@pytest.mark.parametrize("acks", [2, -2, 100])
def test_acks_that_do_not_exist_are_refused(broker, bystander, topic, acks):
    t = topic(broker)
    with broker.connect() as c:
        answer = c.call("Produce", 7, {"Acks": acks, "TimeoutMs": 5000, "TopicData": [
            {"Name": t, "PartitionData": [{"Index": 0, "Records": records.batch([b"x"])}]}]})
        assert answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"] == 21


def test_an_acks_0_request_that_fails_closes_the_connection(broker, bystander, topic):
    t = topic(broker)
    with broker.connect() as c:
        c.send("Produce", 7, {"Acks": 0, "TimeoutMs": 5000, "TopicData": [
            {"Name": t, "PartitionData": [{"Index": 0, "Records": records.batch([b"x"], crc=1)}]}]})
        assert c.closed_within(10)


@pytest.mark.only("ottla")
def test_transactions_are_refused_until_they_are_built(broker, bystander, topic):
    """As Java does without a transaction coordinator: an id alone does no harm, records without one are nobody's, others are to be sent again."""
    t = topic(broker)
    with broker.connect() as c:
        for transactional_id, attributes, error in (("tx", 0, 0), (None, 0x10, 53), ("tx", 0x10, 19)):
            answer = c.call("Produce", 7, {"Acks": -1, "TimeoutMs": 5000, "TransactionalId": transactional_id, "TopicData": [{"Name": t, "PartitionData": [
                {"Index": 0, "Records": records.batch([b"x"], attributes=attributes, producer=1, epoch=0, sequence=0)}]}]})
            assert answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"] == error
    assert confluent_produce(broker, t, [b"second"]) is None
    assert confluent_consume(broker, t, 2) == [b"x", b"second"]


# ---- limits -----------------------------------------------------------------------------------------------------------------------------
def test_connections_beyond_the_limit_are_closed_and_the_others_live(brokers, kind):
    b = brokers(kind, config={"max.connections.per.ip": 12}).start()
    conns = [b.connect(timeout=5) for _ in range(30)]
    try:
        def living():
            n = 0
            for c in conns:
                try:
                    n += c.call("ApiVersions", 0)["ErrorCode"] == 0
                except (OSError, wire.Closed):
                    pass
            return n
        assert living() <= 12
    finally:
        for c in conns:
            c.close()
    wait_until(lambda: b.connect().call("ApiVersions", 0)["ErrorCode"] == 0, 10, "a place to be free again")


def test_idle_connections_are_closed(brokers, kind):
    b = brokers(kind, config={"connections.max.idle.ms": 1500}).start()
    with b.connect() as served, b.connect() as silent, b.connect() as half:     # who said nothing at all, and who stopped in the middle, too
        assert served.call("ApiVersions", 0)["ErrorCode"] == 0
        half.send_bytes(struct.pack(">ihh", 100, 18, 0))
        assert served.closed_within(20) and silent.closed_within(20) and half.closed_within(20)


# ---- directories and disks --------------------------------------------------------------------------------------------------------------
def edit(path, pattern, replacement):
    text = path.read_text()
    assert re.search(pattern, text, re.M)
    path.write_text(re.sub(pattern, replacement, text, flags=re.M))


@pytest.mark.parametrize("pattern,replacement,word", [
    (r"^cluster.id=.*$", "cluster.id=AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA"),
    (r"^broker.id=.*$", "broker.id=99", "99"),
    (r"^version=.*$", "version=9", "meta.properties|version"),
])
def test_a_directory_of_another_cluster_or_broker_is_refused(brokers, kind, topic, pattern, replacement, word):
    b = brokers(kind).start()
    b.stop()
    edit(b.data / "meta.properties", pattern, replacement)
    kept = (b.data / "meta.properties").read_bytes()
    status, text = b.launch().wait_exit(30)
    assert status == 1 and re.search(word, text), text[-2000:]
    assert (b.data / "meta.properties").read_bytes() == kept
    assert kind == "java" or "meta.properties" in text


def test_a_second_broker_on_the_same_directory_is_refused(brokers, kind, topic):
    b = brokers(kind, broker_id=1).start()
    second = brokers(kind, broker_id=1, zk_connect=b.zk_connect)
    second.data = b.data
    status, text = second.launch().wait_exit(30)
    assert status == 1 and str(b.data) in text and "lock" in text.lower(), text[-2000:]
    t = topic(b)
    confluent_produce(b, t, [b"x"])


def need_mount(directory, *args):
    directory.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0 or subprocess.run(["mount", *args, str(directory)], capture_output=True).returncode != 0:
        pytest.skip("may not mount here")


@pytest.fixture
def mounts():
    made = []

    def mount(directory, *args):
        need_mount(directory, *args)
        made.append(directory)

    yield mount
    for d in made:
        subprocess.run(["umount", "-l", str(d)], check=True)


def fill_up(b, t, n=80, size=100_000):
    """-> (what was acknowledged by offset, the errors): writes until the first error."""
    from confluent_kafka import Producer
    acked, failed = {}, []
    p = Producer({"bootstrap.servers": b.address, "acks": "all", "message.send.max.retries": 0, "message.timeout.ms": 5000, "log_level": 0,
                  "broker.address.family": "v4"})
    for i in range(n):
        p.produce(t, b"%03d" % i + os.urandom(size), partition=0,
                  on_delivery=lambda e, m: failed.append(e) if e else acked.__setitem__(m.offset(), m.value()))
        p.flush(10)
        if failed:
            break
    return acked, failed


def all_there(b, t, acked):
    got = {m.offset(): m.value() for m in confluent_consume(b, t, len(acked), messages=True)}
    return {o: got.get(o) for o in acked} == acked


FULL = {"log.index.size.max.bytes": 65536}


def test_a_full_disk_stops_writes_and_loses_nothing(brokers, kind, topic, mounts):
    b = brokers(kind, config=FULL)
    mounts(b.data, "-t", "tmpfs", "-o", "size=4m", "none")
    b.start()
    t = topic(b)
    acked, failed = fill_up(b, t)
    assert failed and acked
    if kind == "java":      # its last directory is offline: it ends, and says which and why
        status, text = b.wait_exit(60)
        assert status == 1 and str(b.data) in text and "No space left" in text, text[-3000:]
    else:
        b.stop()
    subprocess.run(["mount", "-o", "remount,size=64m", str(b.data)], check=True)
    b.start()
    assert all_there(b, t, acked)
    confluent_produce(b, t, [b"after"])
    b.stop()


@pytest.mark.only("ottla")
def test_with_a_full_disk_the_broker_serves_on_and_writes_again_when_there_is_room(brokers, kind, topic, mounts):
    from confluent_kafka import KafkaError
    b = brokers(kind, config={**FULL, "log.flush.offset.checkpoint.interval.ms": 300, "log.flush.start.offset.checkpoint.interval.ms": 300,
                              "replica.high.watermark.checkpoint.interval.ms": 300})
    mounts(b.data, "-t", "tmpfs", "-o", "size=4m", "none")
    b.start()
    t, other, unused = topic(b), topic(b), topic(b)
    confluent_produce(b, other, [b"small"])
    acked, failed = fill_up(b, t)
    for size in (9000, 500):                            # the last pages as well
        more, failed_too = fill_up(b, other, size=size)
        failed += failed_too
    assert [e.code() for e in failed] == [KafkaError.KAFKA_STORAGE_ERROR] * 3
    time.sleep(1)                                       # checkpoints are due, and do not fit either
    assert b.alive() and all_there(b, t, acked) and confluent_consume(b, other, 1) == [b"small"]
    assert fill_up(b, unused)[1], "a first batch and its leader epoch do not fit"
    assert b.alive()
    said = [line for line in b.text().splitlines() if "No space left" in line]
    assert all(str(b.data) in line for line in said) and any("make room" in line for line in said), said
    assert len([line for line in said if "nothing can be appended" in line]) <= 5, "once a log and shortage"
    subprocess.run(["mount", "-o", "remount,size=64m", str(b.data)], check=True)
    confluent_produce(b, unused, [b"first"])
    confluent_produce(b, t, [b"after"])
    assert all_there(b, t, acked) and confluent_consume(b, unused, 1) == [b"first"]
    assert (b.partition_dir(unused) / "leader-epoch-checkpoint").read_text() == "0\n1\n0 0\n"
    b.kill9()
    b.start()
    assert all_there(b, t, acked) and confluent_consume(b, other, 1) == [b"small"]
    last = {m.offset(): m.value() for m in confluent_consume(b, other, len(more), messages=True, offset=min(more))} if more else {}
    assert last == more
    b.stop()


@pytest.mark.only("ottla")
def test_killed_with_a_full_disk_the_broker_comes_back_with_everything_once_there_is_room(brokers, kind, topic, mounts):
    """Recovery writes small files: without room the start ends and says so; it has taken nothing away."""
    b = brokers(kind, config=FULL)
    mounts(b.data, "-t", "tmpfs", "-o", "size=4m", "none")
    b.start()
    t = topic(b)
    acked = fill_up(b, t)[0]
    (b.data / "ballast").write_bytes(bytes(1))
    with open(b.data / "ballast", "wb", buffering=0) as f, pytest.raises(OSError):
        while True:
            f.write(bytes(4096))
    b.kill9()
    status, text = b.launch().wait_exit(30)
    assert status == 1 and "No space left" in text and str(b.data) in text, text[-2000:]
    (b.data / "ballast").unlink()
    b.start()
    assert all_there(b, t, acked)
    b.stop()


def test_a_read_only_directory_is_refused_by_name(brokers, kind, mounts, tmp_path):
    b = brokers(kind)
    real = tmp_path / "real"
    real.mkdir()
    mounts(b.data, "--bind", str(real))
    subprocess.run(["mount", "-o", "remount,ro,bind", str(b.data)], check=True)
    status, text = b.launch().wait_exit(40)
    assert status == 1 and str(b.data) in text and "Read-only" in text, text[-2000:]


@pytest.mark.only("ottla")
def test_a_bad_configuration_ends_with_file_line_key_and_value(brokers, kind):
    b = brokers(kind, config={"num.partitions": "many"})
    status, text = b.launch().wait_exit(20)
    assert status == 1 and str(b.conf) in text and "num.partitions" in text and "many" in text


@pytest.mark.only("ottla")
def test_check_reads_a_configuration_and_starts_nothing(brokers, kind):
    b = brokers(kind)
    b.write_config()
    done = subprocess.run([b.argv()[0], "--check", str(b.conf)], capture_output=True, timeout=20)
    assert done.returncode == 0 and not b.data.exists()
    b.config["listeners"] = "PLAINTEXT://127.0.0.1:notaport"
    b.write_config()
    done = subprocess.run([b.argv()[0], "--check", str(b.conf)], capture_output=True, timeout=20)
    assert done.returncode == 1 and b"listeners" in done.stdout + done.stderr and b"notaport" in done.stdout + done.stderr


def test_shutting_down_under_load_is_clean(brokers, kind, topic):
    from test_durability import Load
    b = brokers(kind).start()
    t = topic(b)
    load = Load(b, t, 0)
    wait_until(lambda: len(load.acked) > 100, 20)
    b.stop()
    acked = load.end()
    assert (b.data / ".kafka_cleanshutdown").exists()
    b.start()
    got = confluent_consume(b, t, max(acked) + 1)
    assert all(got[o] == v for o, v in acked.items())
