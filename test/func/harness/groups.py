# SPDX-License-Identifier: Apache-2.0
"""Members of groups: real clients as processes of their own, and members made of bytes, of which there can be hundreds."""
import json
import struct
import subprocess
import sys
import threading

from . import env, java, records
from .proc import die_with_parent, wait_until

NONE, UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS, FENCED = 0, 25, 22, 27, 82
RETRY = (14, 15, 16)        # loading, not available, not coordinator


# ---- clients ----------------------------------------------------------------------------------------------------------------------------
JAVA_ASSIGNORS = {"range": "RangeAssignor", "roundrobin": "RoundRobinAssignor", "sticky": "StickyAssignor", "cooperative-sticky": "CooperativeStickyAssignor"}


class Client(threading.Thread):
    """A client in a process: what it processed is in `rows`, as (partition, offset, value).  Options: consume.py says which; of these, Java takes session
    and strategy, kafkajs strategy.  strategy: names of assignors as in the protocol, with commas between; "range" when nothing is said."""

    def __init__(self, name, broker, group, topic, **options):
        super().__init__(daemon=True)
        self.name, self.rows, self.said = name, [], []
        environment = None
        if name == "java":
            argv = [*java.command(), java.TOOLS["kafka-verifiable-consumer"], "--bootstrap-server", broker.address, "--group-id", group, "--topic", topic,
                    "--session-timeout", options.get("session", 6000), "--reset-policy", "earliest", "--verbose",
                    "--consumer.config", env.HERE / "consume.properties", "--assignment-strategy",
                    ",".join(f"org.apache.kafka.clients.consumer.{JAVA_ASSIGNORS[s]}" for s in options.get("strategy", "range").split(","))]
        elif name == "kafkajs":
            argv = [env.need_command("node"), env.HERE / "consume.js", broker.address, group, topic, options.get("strategy", "range")]
            environment = {"NODE_PATH": f"{env.NODE or env.missing('kafkajs')}/node_modules", "PATH": "/usr/bin:/bin"}
        else:
            argv = [sys.executable, env.HERE / "consume.py", name, broker.address, group, topic, json.dumps(options)]
        self.process = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, preexec_fn=die_with_parent)
        self.start()

    def run(self):
        for line in self.process.stdout:
            try:
                row = json.loads(line)
            except ValueError:
                self.said = [*self.said[-20:], line]
                continue
            if isinstance(row, list):
                self.rows.append(tuple(row))
            elif row.get("name") == "record_data":
                self.rows.append((row["partition"], row["offset"], row["value"]))
            else:
                self.said = [*self.said[-20:], line]

    def __repr__(self):
        return f"{self.name}: {len(self.rows)} rows, the last {self.rows[-1:]}, it said {self.said[-5:]}"

    def kill9(self):
        self.process.kill()
        self.process.wait()
        self.join(10)

    def end(self, seconds=30):
        """Leaves the group."""
        self.process.terminate()
        try:
            status = self.process.wait(seconds)
        finally:
            self.process.kill()
        self.join(10)
        assert status in (0, 143, -15), (self.name, status, self.said)


def all_seen(clients, values, seconds=40):
    """Waits until each of the values has come to one of the clients."""
    missing = {*values}

    def seen():
        missing.difference_update(v for c in clients for _, _, v in c.rows)
        return not missing

    try:
        wait_until(seen, seconds, "all records")
    except AssertionError as e:
        raise AssertionError(f"{e}: {sorted(missing)[:10]} of {len(missing)} are missing: {clients}") from None


# ---- by hand ----------------------------------------------------------------------------------------------------------------------------
def subscription(*topics):
    """ConsumerProtocolSubscription, version 0"""
    return struct.pack(">hi", 0, len(topics)) + b"".join(struct.pack(">h", len(t)) + t.encode() for t in topics) + struct.pack(">i", -1)


class Member:
    """One member on a connection of its own, at whatever version."""

    def __init__(self, broker, group, version=9, instance=None, session=10000, rebalance=10000, topics=("t",), protocols=("range",), kind="consumer", at=None):
        self.c, self.group, self.version, self.instance = broker.connect(**(at or {})), group, version, instance
        self.session, self.rebalance, self.kind = session, rebalance, kind
        self.protocols = [{"Name": p, "Metadata": subscription(*topics)} for p in protocols]
        self.id, self.generation, self.leader, self.others, self.sent = "", -1, None, [], None

    def identity(self, since, version):
        return {"GroupInstanceId": self.instance} if version >= since else {}

    def send_join(self):
        self.sent = self.c.send("JoinGroup", self.version, {
            "GroupId": self.group, "SessionTimeoutMs": self.session, "MemberId": self.id, "ProtocolType": self.kind, "Protocols": self.protocols,
            **({"RebalanceTimeoutMs": self.rebalance} if self.version >= 1 else {}), **self.identity(5, self.version)})

    def receive_join(self):
        a = self.c.receive("JoinGroup", self.version, self.sent)
        if a["ErrorCode"] == 79:        # here is your id: again
            self.id = a["MemberId"]
            self.send_join()
            return self.receive_join()
        if a["ErrorCode"] == 0:
            self.id, self.generation, self.leader, self.others = a["MemberId"], a["GenerationId"], a["Leader"], a["Members"]
        return a

    def join(self):
        self.send_join()
        return self.receive_join()

    def send_sync(self, assignments=()):
        version = min(self.version, 5)
        self.sent = self.c.send("SyncGroup", version, {
            "GroupId": self.group, "GenerationId": self.generation, "MemberId": self.id, **self.identity(3, version),
            **({"ProtocolType": self.kind, "ProtocolName": self.protocols[0]["Name"]} if version >= 5 else {}),
            "Assignments": [{"MemberId": m, "Assignment": a} for m, a in assignments]})

    def receive_sync(self):
        return self.c.receive("SyncGroup", min(self.version, 5), self.sent)

    def sync(self, assignments=()):
        self.send_sync(assignments)
        return self.receive_sync()

    def leads(self):
        return self.leader == self.id

    def heartbeat(self):
        version = min(self.version, 4)
        return self.c.call("Heartbeat", version, {"GroupId": self.group, "GenerationId": self.generation, "MemberId": self.id, **self.identity(3, version)})["ErrorCode"]

    def commit(self, topic, partition, offset, metadata="", version=8, **more):
        a = self.c.call("OffsetCommit", version, {
            "GroupId": self.group, "GenerationIdOrMemberEpoch": self.generation, "MemberId": self.id, **self.identity(7, version), "Topics": [
                {"Name": topic, "Partitions": [{"PartitionIndex": partition, "CommittedOffset": offset, "CommittedMetadata": metadata}]}], **more})
        return a["Topics"][0]["Partitions"][0]["ErrorCode"]

    def leave(self):
        return self.c.call("LeaveGroup", 4, {"GroupId": self.group, "Members": [{"MemberId": self.id, "GroupInstanceId": self.instance}]})["Members"][0]["ErrorCode"]

    def close(self):
        self.c.close()


# ---- what is written -------------------------------------------------------------------------------------------------------------------
def java_hash(text):
    h = 0
    for c in text:
        h = (31 * h + ord(c)) & 0xffffffff
    return abs(h - (1 << 32) if h >> 31 else h)


def partition_of(broker, group):
    return java_hash(group) % broker.config["offsets.topic.num.partitions"]


class Fields:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, kind):
        v, = struct.unpack_from(f">{kind}", self.data, self.at)
        self.at += struct.calcsize(f">{kind}")
        return v

    def blob(self, kind="h"):
        n = self.number(kind)
        if n < 0:
            return None
        self.at += n
        assert self.at <= len(self.data)
        return self.data[self.at - n:self.at]

    def text(self):
        b = self.blob()
        return b if b is None else b.decode()

    def end(self):
        assert self.at == len(self.data), "bytes behind it"


def decoded(key, value):
    """A record of __consumer_offsets -> (group, rest of the key, fields of the value or None); of times only whether they are there."""
    k, v = Fields(key), value and Fields(value)
    kind, group, rest, out = k.number("h"), k.text(), [], None
    if kind < 2:
        rest = [k.text(), k.number("i")]
    k.end()
    if v:
        out = [v.number("h")]
        some = lambda t: t if t == -1 else "some time"      # noqa: E731
        if kind < 2:
            out += [v.number("q"), v.number("i") if out[0] >= 3 else None, v.text(), some(v.number("q")), some(v.number("q")) if out[0] == 1 else None]
        else:
            assert out[0] == 3
            out += [v.text(), v.number("i"), v.text(), v.text(), some(v.number("q"))]
            out.append([[v.text(), v.text(), v.text(), v.text(), v.number("i"), v.number("i"), v.blob("i"), v.blob("i")] for _ in range(v.number("i"))])
        v.end()
    return group, [kind, *rest], out


def written(broker, group):
    """What the log has of the group, batch by batch: (attributes, producer, epoch, sequence, records)."""
    out = []
    for b in records.stored(broker.data / f"__consumer_offsets-{partition_of(broker, group)}"):
        found = [decoded(k, v) for _, k, v in records.rows([b])]
        if any(g == group for g, _, _ in found):
            assert {g for g, _, _ in found} == {group}, "a batch is of one group"
            out.append([b.attributes, b.producer, b.epoch, b.sequence, sorted(([k, v] for _, k, v in found), key=str)])
    return out


def ready(broker, group="any"):
    """The coordinator is found and has loaded."""
    def found():
        with broker.connect() as c:
            return (c.call("FindCoordinator", 0, {"Key": group})["ErrorCode"] == 0
                    and c.call("DescribeGroups", 0, {"Groups": [group]})["Groups"][0]["ErrorCode"] not in RETRY)

    wait_until(found, 60, "the coordinator")
    return broker


def together(members):
    """All join at once, the leader gives each what stands in `share` (its id), all have it."""
    for m in members:
        m.send_join()
    for m in members:
        if m.version >= 4 and not m.id and not m.instance:      # is given an id first
            a = m.c.receive("JoinGroup", m.version, m.sent)
            assert a["ErrorCode"] == 79, a
            m.id = a["MemberId"]
            m.send_join()
    for m in members:
        a = m.receive_join()
        assert a["ErrorCode"] == 0, a
    assert len({(m.generation, m.leader) for m in members}) == 1, [(m.generation, m.leader) for m in members]
    leader = next(m for m in members if m.leads())
    assert {r["MemberId"] for r in leader.others} == {m.id for m in members} and not any(m.others for m in members if m is not leader)
    for m in members:
        if m is not leader:
            m.send_sync()
    leader.send_sync([(m.id, f"share of {m.id}".encode()) for m in members])
    for m in members:
        a = m.receive_sync()
        assert (a["ErrorCode"], a["Assignment"]) == (0, f"share of {m.id}".encode()), a


def committed(broker, group, topic, partitions, version=8, stable=False):
    """-> {partition: (offset, metadata)} of what is committed"""
    with broker.connect() as c:
        a = c.call("OffsetFetch", version, {"RequireStable": stable, "Groups": [{"GroupId": group, "Topics": [{"Name": topic, "PartitionIndexes": list(partitions)}]}]})
    g = a["Groups"][0]
    assert g["ErrorCode"] == 0, a
    return {p["PartitionIndex"]: (p["CommittedOffset"], p["Metadata"]) for t in g["Topics"] for p in t["Partitions"] if p["CommittedOffset"] >= 0}


def described(broker, group):
    with broker.connect() as c:
        return c.call("DescribeGroups", 5, {"Groups": [group]})["Groups"][0]


def assigned(member):
    """The partitions of one topic in a ConsumerProtocolAssignment."""
    raw = member["MemberAssignment"]
    if len(raw) < 6 or not struct.unpack_from(">i", raw, 2)[0]:
        return []
    at = 8 + struct.unpack_from(">h", raw, 6)[0]
    n = struct.unpack_from(">i", raw, at)[0]
    return list(struct.unpack_from(f">{n}i", raw, at + 4))


def wait_stable(broker, group, n, partitions=None, seconds=60):
    """... with n members that have the partitions among them."""
    def stable():
        g = described(broker, group)
        shares = [assigned(m) for m in g["Members"]]
        whole = partitions is None or sorted(p for s in shares for p in s) == list(range(partitions))
        return shares if g["GroupState"] == "Stable" and len(g["Members"]) == n and whole else None

    return wait_until(stable, seconds, f"{n} members of {group}: {described(broker, group)}", 0.1)
