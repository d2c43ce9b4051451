# SPDX-License-Identifier: Apache-2.0
"""Every small file and every znode that a broker reads, damaged in every way, while the broker is down.

At the next start it refuses and names the file or path, or it serves everything that was acknowledged (repaired, with a warning where it had to
choose), or it keeps the damaged partition offline and says so.  It never answers wrongly.  With the original put back everything is there."""
import json
import re
import shutil
import time

import pytest

from harness import records
from harness.clients import confluent_consume, confluent_sender
from harness.proc import wait_until
from test_durability import list_offset

pytestmark = pytest.mark.zookeeper

SMALL = {"segment.bytes": 3000, "index.interval.bytes": 300, "segment.index.bytes": 4096, "retention.ms": -1}
VICTIM, OTHER = "victim", "other"
SESSION = {"zookeeper.session.timeout.ms": 18000}
REFUSED, SERVED, OFFLINE, WAITS, NOTHING = "refused", "served", "offline", "waits", "nothing is served"


class House:
    """A stopped broker with a past, and that past."""

    def __init__(self, brokers, kind, zk, killed):
        self.b, self.zk, self.java = brokers(kind, config=SESSION).start(), zk, kind == "java"
        self.chroot = "/" + self.b.zk_connect.partition("/")[2]
        with self.b.connect() as c:
            c.call("CreateTopics", 4, {"Topics": [{"Name": t, "NumPartitions": 1, "ReplicationFactor": 1, "Configs": [
                {"Name": k, "Value": str(v)} for k, v in SMALL.items()]} for t in (VICTIM, OTHER)], "timeoutMs": 20000})
            for name in ("", "0"):
                c.call("IncrementalAlterConfigs", 0, {"Resources": [{"ResourceType": 4, "ResourceName": name, "Configs": [
                    {"Name": "message.max.bytes", "ConfigOperation": 0, "Value": "900000"}]}]})
        self.values = {}
        senders = [confluent_sender(self.b, codec, idempotent=True) for codec in records.CODECS]
        for t in (VICTIM, OTHER):
            self.values[t] = [b"%s %d " % (t.encode(), i) + b"." * 60 for i in range(120)]
            for i in range(0, 120, 10):
                senders[i // 10 % 5](t, self.values[t][i:i + 10])
        del senders
        (self.b.kill9 if killed else self.b.stop)()
        shutil.copytree(self.b.data, self.b.directory / "kept")

    def restore(self):
        if self.b.alive():
            self.b.stop()               # its session ends, and the sanitizers have their say
        shutil.rmtree(self.b.data)
        shutil.copytree(self.b.directory / "kept", self.b.data)

    def serves(self, topic):
        """Everything, or nothing: wrong answers fail here."""
        if not wait_until(lambda: list_offset(self.b, topic, -1)["ErrorCode"] in (0, 56) or self.seconds() > 4, 10):
            return False
        end = list_offset(self.b, topic, -1)
        if end["ErrorCode"]:
            return False
        assert end["Offset"] == 120 and list_offset(self.b, topic, -2)["Offset"] == 0, f"{topic}: {end}"
        assert confluent_consume(self.b, topic, 120, seconds=10) == self.values[topic]
        return True

    def seconds(self):
        return time.monotonic() - self.began

    def start(self, names):
        """Starts it, whatever comes of it.  -> REFUSED, SERVED or OFFLINE"""
        self.began = time.monotonic()
        self.b.launch()
        try:
            self.b.wait_ready(20 if self.java else 5)
        except AssertionError:
            if self.java:               # for comparison only: it may well end or stand still without a word
                return WAITS if self.b.alive() else REFUSED
            # It may wait until somebody mends it, if it says so.
            assert not self.b.alive() or any(n in self.b.text() for n in names), f"neither dead nor ready\n{self.b.process.tail(20)}"
            if self.b.alive():
                return WAITS
            assert self.b.process.popen.returncode == 1, self.b.process.tail(40)
            assert any(n in self.b.text() for n in names), f"refused without {names}\n{self.b.process.tail(20)}"
            return REFUSED
        other = self.serves(OTHER)
        if self.java and not other:
            return NOTHING
        assert other or names == ["meta.properties"]
        if self.serves(VICTIM):
            return SERVED
        assert self.java or any(n in self.b.text() for n in names), f"offline without {names}\n{self.b.process.tail(20)}"
        return OFFLINE


@pytest.fixture
def house(brokers, kind, zk, request):
    return House(brokers, kind, zk, getattr(request, "param", None) == "killed")


def huge(text):
    """The last number of the last line, and all others, far too large."""
    return re.sub(rb"\d+", b"99999999999999999999", text)


TEXT = {"empty": lambda d: b"", "cut in half": lambda d: d[:len(d) // 2], "garbage": lambda d: bytes((i * 37 + 11) % 256 for i in range(len(d) + 9)),
        "words": lambda d: b"this is not it\n", "huge numbers": huge, "zeros": lambda d: bytes(len(d)),
        "version nobody knows": lambda d: (d.replace(b"version=0", b"version=9").replace(b"version: 0", b"version: 9") if b"version" in d else b"9" + d[1:]),
        "a line more": lambda d: d + b"what is this\n", "gone": None}
BINARY = {"empty": lambda d: b"", "cut in half": lambda d: d[:len(d) // 2 + 3], "garbage": TEXT["garbage"], "zeros": lambda d: bytes(len(d)),
          "a bit": lambda d: d[:9] + bytes([d[9] ^ 64]) + d[10:] if len(d) > 9 else d, "more": lambda d: d + b"\1" * 11, "gone": None}
FILES = {
    "meta.properties": TEXT, "recovery-point-offset-checkpoint": TEXT, "replication-offset-checkpoint": TEXT, "log-start-offset-checkpoint": TEXT,
    "cleaner-offset-checkpoint": TEXT, ".kafka_cleanshutdown": TEXT, f"{VICTIM}-0/partition.metadata": TEXT, f"{VICTIM}-0/leader-epoch-checkpoint": TEXT,
    f"{VICTIM}-0/*.index": BINARY, f"{VICTIM}-0/*.timeindex": BINARY, f"{VICTIM}-0/*.snapshot": BINARY,
}


def damage_files(house, pattern, damages):
    said = {}
    for words, change in damages.items():
        paths = sorted(house.b.data.glob(pattern))
        if not paths:
            paths = [house.b.data / pattern]
        for path in paths if len(paths) < 3 else paths[-3:]:       # the last segments' and what lies below
            if change is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(change(path.read_bytes() if path.exists() else b"0\n0\n"))
        try:
            said[words] = house.start([pattern.split("/")[-1].lstrip("*"), f"{VICTIM}-0"] if "/" in pattern else [pattern])
        except AssertionError as e:
            raise AssertionError(f"{pattern}, {words}: {e}") from e
        finally:
            house.restore()
    print(pattern, said)
    assert house.start([]) == SERVED, "with the original back"
    return said


@pytest.mark.parametrize("pattern", FILES)
def test_damaged_files_are_refused_by_name_or_repaired(house, kind, pattern):
    damage_files(house, pattern, FILES[pattern])


@pytest.mark.long
@pytest.mark.timeout(600)       # Java takes seconds for each start
@pytest.mark.parametrize("house", ["killed"], indirect=True)
@pytest.mark.parametrize("pattern", FILES)
def test_damaged_files_after_a_kill_are_refused_by_name_or_repaired(house, kind, pattern):
    damage_files(house, pattern, FILES[pattern])


# ---- znodes ---------------------------------------------------------------------------------------------------------------------------
def without(*names):
    def change(d):
        o = json.loads(d)
        return json.dumps({k: v for k, v in o.items() if k not in names}).encode()
    return change


def with_field(**fields):
    return lambda d: json.dumps({**json.loads(d), **fields}).encode()


JSON = {"empty": lambda d: b"", "cut in half": lambda d: d[:len(d) // 2], "garbage": TEXT["garbage"], "words": TEXT["words"], "a list": lambda d: b"[1,2]",
        "no fields": lambda d: b"{}", "version nobody knows": with_field(version=99), "version that is a word": with_field(version="one"),
        "a field more": with_field(surprise={"a": [1, None]})}
NUMBER = {"empty": lambda d: b"", "garbage": TEXT["garbage"], "words": TEXT["words"], "huge": lambda d: b"99999999999999999999", "negative": lambda d: b"-7"}
ZNODES = {
    f"/brokers/topics/{VICTIM}": {**JSON, "no partitions": with_field(partitions={}), "partitions that are none": with_field(partitions={"x": [0]}),
                                  "a gap": with_field(partitions={"1": [0]}), "no replicas": with_field(partitions={"0": []}),
                                  "a stranger": with_field(partitions={"0": [55]}), "another id": with_field(topic_id="AAAAAAAAAAAAAAAAAAAAZg"),
                                  "an id that is none": with_field(topic_id="?"), "without id": without("topic_id")},
    f"/brokers/topics/{VICTIM}/partitions/0/state": {**JSON, "a stranger": with_field(leader=55, isr=[55]), "huge epoch": with_field(leader_epoch=1 << 70),
                                                     "negative epoch": with_field(leader_epoch=-3), "no isr": with_field(isr=[]), "without isr": without("isr")},
    f"/config/topics/{VICTIM}": {**JSON, "a value that is none": with_field(config={"retention.ms": "soon"}), "a key nobody knows": with_field(config={"no.such": "1"}),
                                 "a number": with_field(config={"retention.ms": 5}), "null": with_field(config=None),
                                 "out of range": with_field(config={"segment.bytes": "3"})},
    "/config/brokers/0": {**JSON, "a value that is none": with_field(config={"message.max.bytes": "soon"}), "a key nobody knows": with_field(config={"no.such": "1"}),
                          "a secret nobody can read": with_field(config={"listener.name.x.ssl.keystore.password": "junk"})},
    "/config/brokers/<default>": {**JSON, "a value that is none": with_field(config={"message.max.bytes": "soon"}),
                                  "a key that is per broker": with_field(config={"listeners": "PLAINTEXT://:1"})},
    "/controller_epoch": NUMBER, "/cluster/id": {**JSON, "without id": without("id"), "another": with_field(id="AAAAAAAAAAAAAAAAAAAAZg")},
    "/latest_producer_id_block": {**JSON, "negative": with_field(block_start="-5", block_end="-1")},
}


# Where the partition is not served, and nothing is lost, without a word: it is not this broker's, or not listed, and that may be meant.
SILENT = {f"/brokers/topics/{VICTIM}": {"a gap", "a stranger"}}


# A partition that stays offline takes seconds to be sure of.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", [pytest.param(p, marks=[pytest.mark.long] if VICTIM in p and "config" not in p or "epoch" in p else []) for p in ZNODES])
def test_damaged_znodes_are_refused_by_path_or_passed_over(house, kind, path):
    said, silent = {}, set()
    with house.zk.session(house.chroot) as k:
        if k.exists(path) is None:
            k.create(path, json.dumps({"version": 1, "broker": 0, "block_start": "0", "block_end": "999"}).encode())
        kept = k.get(path)[0]
        others = {p: k.get(p)[0] for p in ZNODES if k.exists(p) and p != path and "victim" in p}
        for words, change in ZNODES[path].items():
            damaged = change(kept)
            k.set(path, damaged)
            try:
                said[words] = house.start([path, f"topic {VICTIM}", f"{VICTIM}-0", VICTIM] if VICTIM in path else [path, "brokers/0", "<default>", "meta.properties"])
                if words == "a field more" and said[words] == SERVED and path != "/cluster/id":
                    assert b"surprise" in k.get(path)[0]
            except AssertionError as e:
                if not re.match("(offline|refused) without|neither dead nor ready", str(e)):
                    raise AssertionError(f"{path}, {words}: {e}") from e
                silent.add(words)
            finally:
                house.restore()
                k.set(path, kept)
                for p, data in others.items():
                    k.set(p, data)
        print(path, said)
    assert house.start([]) == SERVED, "with the original back"
    assert kind == "java" or silent == SILENT.get(path, set())


def test_unknown_fields_are_kept_when_a_znode_is_written_again(house, kind, zk):
    b = house.b
    with zk.session(house.chroot) as k:
        paths = [f"/brokers/topics/{VICTIM}", f"/config/topics/{VICTIM}", "/config/brokers/0", "/config/brokers/<default>"]
        before = {}
        for p in paths:
            data, stat = k.get(p)
            k.set(p, with_field(surprise={"a": [1, None, "x"]})(data))
            before[p] = stat.version + 1
        b.start()
        with b.connect() as c:
            c.call("CreatePartitions", 1, {"Topics": [{"Name": VICTIM, "Count": 2, "Assignments": None}], "TimeoutMs": 10000})
            for kind_, name in ((2, VICTIM), (4, "0"), (4, "")):
                answer = c.call("IncrementalAlterConfigs", 0, {"Resources": [{"ResourceType": kind_, "ResourceName": name, "Configs": [
                    {"Name": "max.message.bytes" if kind_ == 2 else "message.max.bytes", "ConfigOperation": 0, "Value": "800000"}]}]})
                assert answer["Responses"][0]["ErrorCode"] == 0
        for p in paths:
            data, stat = k.get(p)
            assert stat.version > before[p], f"{p} was not written"
            assert kind == "java" or json.loads(data).get("surprise") == {"a": [1, None, "x"]}, f"{p}: {data}"
