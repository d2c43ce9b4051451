# SPDX-License-Identifier: Apache-2.0
"""The embedded ZooKeeper: the same answers as a real one, byte for byte where a server has no choice; and a broker that lives on it."""
import json
import random
import re
import resource
import signal
import socket
import subprocess
import time

import pytest
from confluent_kafka import Consumer

from harness import env, java, jute, pair, znodes
from harness.broker import OttlaBroker, embedded_port
from harness.clients import confluent_consume, confluent_produce, confluent_sender
from harness.jute import Peer, acl, buf, i32, i64, vector
from harness.proc import memory_kib, wait_until
from harness.zookeeper import EmbeddedServer

pytestmark = pytest.mark.zookeeper


@pytest.fixture
def alone(tmp_path):
    server = EmbeddedServer(tmp_path / "alone").start()
    yield server
    if server.process.poll() is None:
        server.stop()


# ---- the same as ZooKeeper ----------------------------------------------------------------------------------------------------------------

PATHS = ["", "/a", "/b", "/a/x", "/a/y", "/a/x/1", "/b/z"]
ODD = ["", "a", "/a/", "/a//x", "/./a", "/\u0001", "/a\0b"]
ACLS = [jute.OPEN_ACL, jute.OPEN_ACL, jute.OPEN_ACL, jute.OPEN_ACL, jute.OPEN_ACL, [(1, "world", "anyone")], [(31, "auth", "")],
        [(31, "digest", "ann:Xbt4ouU3zKBVXmbNzWPBbxEMVXQ="), (1, "world", "anyone")], [], None, [(31, "ip", "127.0.0.1")], [(31, "ip", "10.0.0.0/8")],
        [(31, "ip", "x")], [(31, "digest", "a:b:c")], [(31, "nobody", "x")], [(5, "world", "anyone"), (5, "world", "anyone"), (31, "auth", "x")]]


class Sequence:
    """Random requests of several sessions, the same to both servers; what comes back must be the same."""

    def __init__(self, rng, ports, root, sessions=3):
        self.rng, self.ports, self.root = rng, ports, root
        self.names = [{}, {}]           # zxids and session ids, as numbers that mean the same on both sides
        self.pairs = [self.opened() for _ in range(sessions)]
        self.log = []
        self.unordered = set()          # the pairs that have not heard yet of a session that ended

    def opened(self):
        pair = [Peer(port) for port in self.ports]
        self.name("session", [p.session for p in pair])
        return pair

    def name(self, kind, values):
        """Both stand for the same thing from now on."""
        key = (kind, len(self.names[0]))
        for names, value in zip(self.names, values):
            names.setdefault((kind, value), key)

    def same(self, a, b, what):
        if isinstance(a, dict) and "zxids" in a and isinstance(b, dict):
            for x, y in zip(a["zxids"], b["zxids"]):
                self.same_zxid(x, y, what)
            self.same_owner(a["owner"], b["owner"], what)
            assert (a["versions"], a["sizes"]) == (b["versions"], b["sizes"]), what
        elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
            assert len(a) == len(b), (what, a, b)
            for x, y in zip(a, b):
                self.same(x, y, what)
        else:
            assert a == b, what

    def same_zxid(self, x, y, what):
        if ("zxid", x) not in self.names[0] and ("zxid", y) not in self.names[1]:
            self.name("zxid", [x, y])
        assert self.names[0].get(("zxid", x)) == self.names[1].get(("zxid", y)), (what, hex(x), hex(y))

    def same_owner(self, x, y, what):
        if x == y:
            return
        assert self.names[0].get(("session", x)) == self.names[1].get(("session", y)), (what, hex(x), hex(y))

    def ask(self, pair, kind, payload, words):
        self.log.append((self.pairs.index(pair), words))
        answers = [p.ask(kind, payload) for p in pair]
        what = (f"seed of the run: see its header; the last requests: {self.log[-8:]}", answers)
        (ea, erra, za, a), (eb, errb, zb, b) = answers
        if kind == jute.CLOSE or id(pair) in self.unordered:    # ZooKeeper keeps a session's ephemerals in a hash set: they go in no order
            self.unordered.discard(id(pair))
            ea, eb = sorted(ea), sorted(eb)
        assert ea == eb, what
        assert erra == errb, what
        if za is not None and kind not in (jute.AUTH, jute.PING):
            self.same_zxid(za, zb, what)
        self.same(a, b, what)
        return erra

    # ---- requests -------------------------------------------------------------------------------------------------------------------
    def path(self):
        if self.rng.random() < 0.06:
            return self.rng.choice(ODD)
        return self.root + self.rng.choice(PATHS)

    def version(self):
        return self.rng.choice([-1, -1, -1, 0, 1, 2])

    def data(self):
        return self.rng.choice([None, "", "x", "some words"])

    def create(self):
        kind = self.rng.choice([jute.CREATE, jute.CREATE, jute.CREATE2, jute.CREATE_CONTAINER])
        flags = self.rng.choice([0, 0, 0, 1, 2, 3, 4, 5, 9]) if kind != jute.CREATE_CONTAINER else 4
        path, data, entries = self.path(), self.data(), self.rng.choice(ACLS)
        return kind, buf(path) + buf(data) + acl(entries) + i32(flags), ("create", kind, path, data, entries, flags)

    def delete(self):
        path, version = self.path(), self.version()
        return jute.DELETE, buf(path) + i32(version), ("delete", path, version)

    def set(self):
        path, data, version = self.path(), self.data(), self.version()
        return jute.SET, buf(path) + buf(data) + i32(version), ("set", path, data, version)

    def set_acl(self):
        path, entries, version = self.path(), self.rng.choice(ACLS), self.version()
        return jute.SET_ACL, buf(path) + acl(entries) + i32(version), ("set_acl", path, entries, version)

    def read(self):
        kind = self.rng.choice([jute.EXISTS, jute.GET, jute.CHILDREN, jute.CHILDREN2])
        path, watch = self.path(), self.rng.random() < 0.5
        return kind, buf(path) + (b"\1" if watch else b"\0"), ("read", kind, path, watch)

    def look(self):
        kind = self.rng.choice([jute.GET_ACL, jute.SYNC, jute.ALL_CHILDREN, jute.EPHEMERALS, jute.WHO_AM_I, jute.PING])
        path = self.root + self.rng.choice(PATHS)
        return kind, b"" if kind in (jute.WHO_AM_I, jute.PING) else buf(path), ("look", kind, path)

    def watch(self):
        path, mode = self.root + self.rng.choice(PATHS), self.rng.randrange(2)
        return jute.ADD_WATCH, buf(path) + i32(mode), ("add_watch", path, mode)

    def unwatch(self):
        path, kind = self.root + self.rng.choice(PATHS), self.rng.choice([1, 2, 3])
        return jute.REMOVE_WATCHES, buf(path) + i32(kind), ("remove_watches", path, kind)

    def auth(self):
        scheme, words = self.rng.choice([("digest", "ann:secret"), ("digest", "bob:x"), ("ip", "")])
        return jute.AUTH, i32(0) + buf(scheme) + buf(words), ("auth", scheme, words)

    def check(self):
        path, version = self.path(), self.version()
        return jute.CHECK, buf(path) + i32(version), ("check", path, version)

    def multi(self):
        parts, words = [], []
        for _ in range(self.rng.randrange(5)):
            kind, payload, said = self.rng.choice([self.create, self.delete, self.set, self.check])()
            parts.append(i32(kind) + b"\0" + i32(-1) + payload)
            words.append(said)
        return jute.MULTI, b"".join(parts) + i32(-1) + b"\1" + i32(-1), ("multi", words)

    def multi_read(self):
        parts, words = [], []
        for _ in range(self.rng.randrange(4)):
            kind, path = self.rng.choice([jute.GET, jute.CHILDREN]), self.root + self.rng.choice(PATHS)
            parts.append(i32(kind) + b"\0" + i32(-1) + buf(path) + b"\0")
            words.append((kind, path))
        return jute.MULTI_READ, b"".join(parts) + i32(-1) + b"\1" + i32(-1), ("multi_read", words)

    def again(self):
        """What a client says that is back: watches that would all be set, or fire for what is or is not there (its zxid is from the far future)."""
        lists = [[self.root + self.rng.choice(PATHS) for _ in range(self.rng.randrange(3))] for _ in range(5)]
        payload = i64((1 << 62)) + b"".join(vector([buf(p) for p in paths]) for paths in lists)
        return jute.SET_WATCHES2, payload, ("set_watches2", lists)

    def step(self):
        request = self.rng.choices(
            [self.create, self.delete, self.set, self.set_acl, self.read, self.look, self.watch, self.unwatch, self.auth, self.multi, self.multi_read,
             self.again], [20, 10, 10, 3, 22, 6, 3, 3, 1, 8, 3, 2])[0]
        i = self.rng.randrange(len(self.pairs))
        self.ask(self.pairs[i], *request())
        if self.rng.random() < 0.02:            # a session ends, and takes its ephemerals along
            self.ask(self.pairs[i], jute.CLOSE, b"", ("close",))
            for p in self.pairs[i]:
                assert p.frame() is None
                p.close()
            self.pairs[i] = self.opened()
            self.unordered = {id(pair) for pair in self.pairs}
            return
        for pair in self.pairs:                 # what the others are told, and when
            self.ask(pair, jute.PING, b"", ("ping",))

    def run(self, steps):
        for _ in range(steps):
            self.step()
        for pair in self.pairs:
            for p in pair:
                p.close()


def compare(zk, alone, seed, steps):
    """zk: a server that nobody else uses, because "" is a name of its root."""
    ports = [zk.port, alone.port]
    root = f"/differential-{seed}"
    for port in ports:
        p = Peer(port)
        p.ask(jute.CREATE, buf(root) + buf("") + acl(jute.OPEN_ACL) + i32(0))
        p.close()
    Sequence(random.Random(seed), ports, root).run(steps)


@pytest.mark.only("ottla")
def test_random_requests_are_answered_as_by_zookeeper(kind, zk_private, alone):
    compare(zk_private, alone, 3852074436, 250)         # one that found something; others with --long


@pytest.mark.long
@pytest.mark.only("ottla")
@pytest.mark.parametrize("n", range(5))
def test_many_random_requests_are_answered_as_by_zookeeper(kind, zk_private, alone, request, n):
    compare(zk_private, alone, request.config.seed + 1 + n, 2000)


# ---- kills -------------------------------------------------------------------------------------------------------------------------------

@pytest.mark.only("ottla")
def test_a_kill_loses_nothing_that_was_answered(kind, alone, request):
    """Many writes under way when the server dies: what was answered is there, of the rest any part, in order; zxids never go back."""
    rng = random.Random(request.config.seed)
    seen = 0
    for turn in range(5):
        peers = [Peer(alone.port) for _ in range(4)]
        for i, p in enumerate(peers):
            path = f"/kill-{turn}-{i}-"
            for _ in range(200):                # sequential: the server numbers them in the order of the parent
                p.xid += 1
                p.send(i32(p.xid) + i32(jute.CREATE) + buf(path) + buf("x") + acl(jute.OPEN_ACL) + i32(2))
        answered = []
        for p in peers:
            for _ in range(rng.randrange(100)):
                r = jute.Reader(p.frame())
                _, zxid, error = r.i32(), r.i64(), r.i32()
                assert error == 0
                seen = max(seen, zxid)
                answered.append(r.buf())
        alone.kill9()
        alone.start()
        p = Peer(alone.port)
        _, error, zxid, names = p.ask(jute.CHILDREN, buf("/") + b"\0")
        assert error == 0 and zxid > seen
        assert {a[1:] for a in answered} <= set(names)
        seen = zxid
        for old in peers:                       # the sessions live on
            again = Peer(alone.port, old.session, old.password)
            assert again.session == old.session
            again.ask(jute.CLOSE)


# ---- many ----------------------------------------------------------------------------------------------------------------------------------

@pytest.fixture
def many_files():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = (min(4096, before[1]), before[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, most)
    yield most
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def sent(p, kind, payload):
    p.xid += 1
    p.send(i32(p.xid) + i32(kind) + payload)


def answers(p, n):
    """Of n requests sent: -> the events that came between."""
    events = []
    while n:
        r = jute.Reader(p.frame())
        xid, _, error = r.i32(), r.i64(), r.i32()
        if xid == -1:
            events.append((r.i32(), r.i32(), r.buf())[::2])
        else:
            assert error == 0, (xid, error)
            n -= 1
    return events


def watch_count(port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
        s.sendall(b"mntr")
        text = b"".join(iter(lambda: s.recv(65536), b""))
    return int(re.search(rb"zk_watch_count\t(\d+)", text).group(1))


@pytest.mark.only("ottla")
def test_a_thousand_sessions_with_ten_thousand_watches(kind, alone, many_files):
    """Each watch fires once, to its session; what sessions and watches cost is bounded, and given back."""
    nodes, sessions, each = 1000, 1000, 10
    resource.prlimit(alone.process.pid, resource.RLIMIT_NOFILE, many_files)
    peers = [Peer(alone.port)]
    writer = peers[0]
    for n in range(nodes):
        sent(writer, jute.CREATE, buf(f"/brokers-topics-{n:04}") + buf("x") + acl(jute.OPEN_ACL) + i32(0))
    assert answers(writer, nodes) == []
    memory = [memory_kib(alone.process.pid)]
    peers += [Peer(alone.port) for _ in range(sessions - 1)]
    memory.append(memory_kib(alone.process.pid))
    expected = []
    for s, p in enumerate(peers):
        watched = [(j % 2, f"/brokers-topics-{(s + 97 * j) % nodes:04}".encode()) for j in range(each)]
        for children, path in watched:
            sent(p, jute.CHILDREN if children else jute.GET, buf(path) + b"\1")
        expected.append(sorted((4 if children else 3, path) for children, path in watched))
    for p in peers:
        assert answers(p, each) == []
    memory.append(memory_kib(alone.process.pid))
    peers.pop().close()             # maxClientCnxns is reached: one of them makes room for who asks
    expected.pop()
    wait_until(lambda: watch_count(alone.port) == len(peers) * each, 30, "the watches of the one that left to be gone")
    got = [[] for _ in peers]
    for turn in range(2):           # the second finds nobody who watches
        for n in range(nodes):
            path = f"/brokers-topics-{n:04}"
            sent(writer, jute.SET, buf(path) + buf("y") + i32(-1))
            sent(writer, jute.CREATE, buf(f"{path}/{turn}") + buf("") + acl(jute.OPEN_ACL) + i32(0))
        got[0] += answers(writer, 2 * nodes)
    for p in peers[1:]:
        p.send(i32(-2) + i32(jute.PING))
    for p, events in zip(peers[1:], got[1:]):
        events += answers(p, 1)
    for s, events in enumerate(got):
        assert sorted(events) == expected[s], s
    assert watch_count(alone.port) == 0
    session, watch = (memory[1] - memory[0]) / (sessions - 1), (memory[2] - memory[1]) * 1024 / (sessions * each)
    print(f"a session and its connection: {session:.1f} KiB; a watch: {watch:.0f} bytes")
    if not env.sanitized():
        assert session < 24 and watch < 400
    for p in peers:
        p.close()


# ---- a broker on it ----------------------------------------------------------------------------------------------------------------------

def embedded(directory, connect="embedded", **config):
    config.setdefault("ottla.embedded.zookeeper.listener", "127.0.0.1:0")
    b = OttlaBroker(directory, connect, 0, config)
    b.may_wait_for_session = False
    return b


@pytest.fixture
def embedded_broker(tmp_path):
    made = []

    def make(*args, **kwargs):
        made.append(embedded(tmp_path / f"broker-{len(made)}", *args, **kwargs))
        return made[-1]

    yield make
    for b in made:
        b.cleanup()


@pytest.mark.only("ottla")
def test_a_broker_carries_its_own_zookeeper(kind, embedded_broker):
    b = embedded_broker().start()
    confluent_produce(b, "t", [b"1", b"2"])
    with_words = Peer(embedded_port(b))
    _, error, _, (data, stat) = with_words.ask(jute.GET, buf("/brokers/ids/0") + b"\0")
    assert error == 0 and json.loads(data)["port"] == b.port and stat["owner"] != 0
    b.kill9()
    b.start()                   # at once: the dead daemon's session is ended before anything is served
    assert confluent_consume(b, "t", 2) == [b"1", b"2"]
    again = Peer(embedded_port(b), with_words.session, with_words.password)
    assert again.session == with_words.session, "sessions of others live on"
    confluent_produce(b, "t", [b"3"])
    assert b.stop() == 0
    b.start()
    assert confluent_consume(b, "t", 3) == [b"1", b"2", b"3"]
    assert b.stop() == 0
    db = b.data / "ottla.coordination.db"
    assert db.stat().st_mode & 0o777 == 0o600, "it holds secrets"


@pytest.mark.only("ottla")
def test_an_address_in_use_is_named_with_what_to_do(kind, embedded_broker, zk):
    b = embedded_broker(**{"ottla.embedded.zookeeper.listener": zk.address}).launch()
    status, text = b.wait_exit()
    assert status == 1
    assert f"{zk.address} is in use" in text and f"zookeeper.connect={zk.address}" in text


@pytest.mark.only("ottla")
def test_one_directory_for_one_daemon(kind, embedded_broker, tmp_path):
    where = f"embedded:{tmp_path}/zookeeper"
    first, second = embedded_broker(where).start(), embedded_broker(where)
    second.launch()
    status, text = second.wait_exit()
    assert status == 1 and "another process has it open" in text
    assert first.stop() == 0


@pytest.mark.only("ottla")
def test_a_damaged_store_is_refused_and_left_alone(kind, embedded_broker):
    b = embedded_broker().start()
    b.stop()
    db = b.data / "ottla.coordination.db"
    damaged = b"not what it was " * 1024
    db.write_bytes(damaged)
    b.launch()
    status, text = b.wait_exit()
    assert status == 1 and "ottla.coordination.db" in text and "not a database" in text
    assert db.read_bytes() == damaged


# ---- a Java broker on it ----------------------------------------------------------------------------------------------------------------

@pytest.mark.long
@pytest.mark.timeout(0)     # --minutes says how long
def test_a_java_broker_lives_on_it(kind, brokers, zk, tmp_path, request):
    """Java Kafka (or ours) with the embedded server as its ZooKeeper, beside one on ZooKeeper: the same administrator's script is answered in the same
    way and leaves the same nodes; kafka-topics, -configs, -consumer-groups; then a light load for --minutes, the server killed in its midst."""
    server = EmbeddedServer(tmp_path / "alone").start()
    on_zookeeper, b = [brokers(kind, {"transaction.state.log.replication.factor": 2}, 1, f"{address}/kafka-{n}")
                       for n, address in enumerate((zk.address, f"127.0.0.1:{server.port}"))]
    try:
        for each in (on_zookeeper, b):
            each.start()
            each.create_topic(pair.NAME, 3)
            pair.fill(each, pair.NAME)
            wait_until(lambda: pair.coordinated(each), 30, "the topic of the groups")
        text = java.program("AdminScript", "", *[x for each in (on_zookeeper, b) for x in (each.address, each.directory)], seconds=300)
        _, *parts = text.split("broker\n")
        there, here = [[line.split("|", 2)[1:] for line in part.splitlines()] for part in parts]
        assert len(here) > 40 and here == there
        wait_until(lambda: znodes.tree(server, b) == znodes.tree(zk, on_zookeeper), 30, "the same nodes", every=0.5)
        on_zookeeper.stop()
        by_scripts(b)
        Load(b, server).run(request.config.getoption("--minutes") * 60)
        assert b.stop() in (0, 143)
    finally:
        if server.process.poll() is None:
            server.stop()


def by_scripts(b):
    """Kafka's own command lines, each verb."""
    to = ["--bootstrap-server", b.address]
    java.tool("kafka-topics", *to, "--create", "--topic", "scripted", "--partitions", "2", "--config", "retention.ms=1000000")
    java.tool("kafka-topics", *to, "--alter", "--topic", "scripted", "--partitions", "3")
    assert "PartitionCount: 3" in java.tool("kafka-topics", *to, "--describe", "--topic", "scripted").stdout
    java.tool("kafka-configs", *to, "--alter", "--entity-type", "topics", "--entity-name", "scripted", "--add-config", "retention.ms=2000000")
    wait_until(lambda: "retention.ms=2000000" in java.tool("kafka-configs", *to, "--describe", "--entity-type", "topics", "--entity-name", "scripted").stdout,
               30, "the setting", every=0.5)
    confluent_produce(b, "scripted", [b"a", b"b", b"c"])
    java.tool("kafka-consumer-groups", *to, "--reset-offsets", "--group", "scripts", "--topic", "scripted", "--to-earliest", "--execute")
    assert "scripts" in java.tool("kafka-consumer-groups", *to, "--list").stdout
    row = [line.split() for line in java.tool("kafka-consumer-groups", *to, "--describe", "--group", "scripts").stdout.splitlines()
           if line.split()[1:3] == ["scripted", "0"]]
    assert row and row[0][3:6] == ["0", "3", "3"], row
    java.tool("kafka-consumer-groups", *to, "--delete", "--group", "scripts")
    assert "scripts" not in java.tool("kafka-consumer-groups", *to, "--list").stdout
    java.tool("kafka-topics", *to, "--delete", "--topic", "scripted")
    wait_until(lambda: "scripted" not in java.tool("kafka-topics", *to, "--list").stdout, 30, "the topic to be gone", every=0.5)


class Load:
    """A second's work again and again: records through one topic, read by a group that commits; every tenth time a topic is made, altered and deleted.
    In the middle of it the server is killed and comes back."""

    def __init__(self, b, server):
        self.b, self.server = b, server
        self.sent = self.read = self.rounds = 0
        b.create_topic("load", 1)
        self.send = confluent_sender(b)
        self.consumer = Consumer({"bootstrap.servers": b.address, "group.id": "load", "auto.offset.reset": "earliest", "enable.auto.commit": False,
                                  "broker.address.family": "v4"})
        self.consumer.subscribe(["load"])

    def pass_records(self, n=100):
        self.send("load", [b"%d" % i for i in range(self.sent, self.sent + n)])
        self.sent += n
        while self.read < self.sent:
            got = self.consumer.consume(self.sent - self.read, timeout=60)
            assert got, f"{self.read} of {self.sent} within 60 s"
            for m in got:
                assert m.error() is None and m.value() == b"%d" % self.read, (m.error(), m.value(), self.read)
                self.read += 1
        self.consumer.commit(asynchronous=False)

    def administrate(self):
        name = f"load-{self.rounds}"
        self.b.create_topic(name, 3)
        with self.b.connect() as c:
            a = c.call("IncrementalAlterConfigs", 0, {"Resources": [{"ResourceType": 2, "ResourceName": name, "Configs": [
                {"Name": "retention.ms", "ConfigOperation": 0, "Value": "777777"}]}], "ValidateOnly": False})
            assert a["Responses"][0]["ErrorCode"] == 0, a
            a = c.call("DeleteTopics", 1, {"TopicNames": [name], "TimeoutMs": 30000})
            assert a["Responses"][0]["ErrorCode"] == 0, a

    def run(self, seconds):
        began = time.monotonic()
        first = memory_kib(self.server.process.pid)
        killed = False
        while (spent := time.monotonic() - began) < seconds:
            self.pass_records()
            if self.rounds % 10 == 0:
                self.administrate()
            if not killed and spent > seconds / 2:
                middle = memory_kib(self.server.process.pid)
                self.server.kill9()
                self.server.start()
                killed = True
            self.rounds += 1
            time.sleep(max(0.0, self.rounds - (time.monotonic() - began)))      # a light load, not a benchmark
        self.consumer.close()
        last = memory_kib(self.server.process.pid)
        print(f"{self.rounds} rounds in {spent:.0f} s: {self.sent} records; the server's memory {first}, {middle}, after its restart {last} KiB")
        assert self.sent == self.read and killed
        assert env.sanitized() or middle < first + 16384, (first, middle)
        with self.b.connect() as c:
            left = [t["Name"] for t in c.call("Metadata", 12, {"Topics": None})["Topics"] if t["Name"].startswith("load-")]
        assert len(left) <= 1, left
        for words in ("Session expired", "has expired"):        # Java's, and ours
            assert words not in self.b.text(), "its session ended"


@pytest.mark.only("ottla")
def test_the_page_to_begin_with_is_in_order(kind):
    page = env.TOP / "conf/standalone.properties"
    done = subprocess.run([env.ottlad(), "--check", page], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "0 errors, 0 warnings" in done.stdout + done.stderr
