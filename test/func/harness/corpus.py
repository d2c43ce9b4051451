# SPDX-License-Identifier: Apache-2.0
"""Requests by the table: for an API one good message is written down here, and everything else is derived from Kafka's own definition of it.

valid	the message as it is
odd	one field at a time has another value: the ends of its type, one less and one more, empty, null where null may be, twice the same, unknown
broken	what no client could mean: null where none may be, a body cut short, bytes left over, tags nobody knows, tags twice

A message is a function of the place it is sent to (struct Place), because ids differ from broker to broker."""
import itertools
import struct
import uuid
from collections import namedtuple

from . import records, wire
from .proc import wait_until
from .wire import span

# make(place, version) -> message; body, head: bytes -> other bytes
Request = namedtuple("Request", "words kind make body head", defaults=(None, None))
TOPIC, OTHER, GROWS = "corpus", "corpus.other", "corpus.grows"          # 2 partitions each, the same ten records in the first
TOPICS = [TOPIC, OTHER, GROWS]
BATCH = records.batch([b"x"])
SESSION = 300000        # longer than the tests: nothing happens by itself
SUBSCRIPTION = b"\0\1\0\0\0\1\0\6corpus\0\0\0\0\0\0\0\0"
PROTOCOLS = [{"Name": "range", "Metadata": SUBSCRIPTION}, {"Name": "roundrobin", "Metadata": SUBSCRIPTION}]


class Place:
    """One broker and what a message must know of it."""

    def __init__(self, broker, epoch):
        self.broker, self.epoch, self.ids, self.done = broker, epoch, {}, {}

    def id(self, topic=TOPIC):
        if topic not in self.ids:
            with self.broker.connect() as c:
                self.ids[topic] = c.call("Metadata", 12, {"Topics": [{"Name": topic}], "AllowAutoTopicCreation": False})["Topics"][0]["TopicId"]
        return self.ids[topic]

    def once(self, what, function):
        """A message is made more than once; what it needs is done once."""
        if what not in self.done:
            self.done[what] = function()
        return self.done[what]

    def member(self, group):
        """The id of the only member of that group, which is stable in generation 1."""
        def join():
            with self.broker.connect() as c:
                a = c.call("JoinGroup", 3, {"GroupId": group, "SessionTimeoutMs": SESSION, "RebalanceTimeoutMs": SESSION, "ProtocolType": "consumer",
                                            "Protocols": PROTOCOLS})
                assert (a["ErrorCode"], a["GenerationId"], a["Leader"]) == (0, 1, a["MemberId"]), a
                sync = c.call("SyncGroup", 3, {"GroupId": group, "GenerationId": 1, "MemberId": a["MemberId"], "Assignments": [
                    {"MemberId": a["MemberId"], "Assignment": b"assigned"}]})
                assert sync["ErrorCode"] == 0, sync
                return a["MemberId"]
        return self.once(("member", group), join)

    def commit(self, group, version=8):
        """Offset 7 in both partitions."""
        def send():
            with self.broker.connect() as c:
                a = c.call("OffsetCommit", version, {"GroupId": group, "Topics": [{"Name": TOPIC, "Partitions": [
                    {"PartitionIndex": i, "CommittedOffset": 7, "CommittedMetadata": "m"} for i in (0, 1)]}]})
                assert [p["ErrorCode"] for p in a["Topics"][0]["Partitions"]] == [0, 0], a
            return group
        return self.once(("commit", group, version), send)


# ---- one good message of each API -------------------------------------------------------------------------------------------------------
GOOD, VALID = {}, {}


def good(name, first=0, last=99):
    """GOOD is where mutations start; VALID is sent as it is, when that is another message (one that does something)."""
    def note(function):
        for v in wire.valid_versions(name):
            if first <= v <= last:
                GOOD[name, v] = function
        return function
    return note


def valid(name, first=0, last=99):
    def note(function):
        for v in wire.valid_versions(name):
            if first <= v <= last:
                VALID[name, v] = function
        return function
    return note


@good("Produce", 3)
def produce(p, v):
    return {"Acks": -1, "TimeoutMs": 3000, "TopicData": [{"Name": TOPIC, "PartitionData": [{"Index": 1, "Records": BATCH}]}]}


@good("Produce", 0, 2)
def produce_old(p, v):
    return {"Acks": -1, "TimeoutMs": 3000, "TopicData": [{"Name": TOPIC, "PartitionData": [
        {"Index": 1, "Records": records.messages([b"a", b"b"], 0 if v < 2 else 1)}]}]}


@good("Fetch")
def fetch(p, v):
    topic = {"TopicId": p.id()} if v >= 13 else {"Topic": TOPIC}
    return {"MaxWaitMs": 0, "MinBytes": 0, "MaxBytes": 100000, "Topics": [{**topic, "Partitions": [
        {"Partition": 0, "FetchOffset": 4, "PartitionMaxBytes": 1000}]}]}


@good("ListOffsets")
def list_offsets(p, v):
    row = {"PartitionIndex": 0, "Timestamp": -1, **({"MaxNumOffsets": 3} if v == 0 else {})}
    return {"Topics": [{"Name": TOPIC, "Partitions": [row]}]}


@good("Metadata")
def metadata(p, v):
    return {"Topics": [{"Name": TOPIC, **({"TopicId": uuid.UUID(int=0)} if v < 12 else {})}], "AllowAutoTopicCreation": v < 4}


@good("FindCoordinator")
def find_coordinator(p, v):
    return {"CoordinatorKeys": ["group"]} if v >= 4 else {"Key": "group"}


@good("ApiVersions")
def api_versions(p, v):
    return {"ClientSoftwareName": "corpus", "ClientSoftwareVersion": "1.0"}


@good("CreateTopics")
def create_topics(p, v):
    return {"Topics": [{"Name": f"corpus.made.{v}", "NumPartitions": 2, "ReplicationFactor": 1, "Configs": [{"Name": "retention.ms", "Value": "-1"}]}],
            "timeoutMs": 5000, "validateOnly": v > 0}


@good("DeleteTopics")
def delete_topics(p, v):
    if v >= 6:
        return {"Topics": [{"Name": "corpus.nobody"}], "TimeoutMs": 5000}
    return {"TopicNames": ["corpus.nobody"], "TimeoutMs": 5000}


@valid("DeleteTopics")
def delete_a_topic(p, v):
    name = f"corpus.goes.{v}"
    with p.broker.connect() as c:
        c.call("CreateTopics", 4, {"Topics": [{"Name": name, "NumPartitions": 1, "ReplicationFactor": 1}], "timeoutMs": 5000})
    return {"Topics": [{"Name": name}], "TopicNames": [name], "TimeoutMs": 5000}


@good("CreatePartitions")
def create_partitions(p, v):
    return {"Topics": [{"Name": GROWS, "Count": 3 + v, "Assignments": [{"BrokerIds": [1]}]}], "TimeoutMs": 5000, "ValidateOnly": True}


@good("DeleteRecords")
def delete_records(p, v):
    return {"Topics": [{"Name": OTHER, "Partitions": [{"PartitionIndex": 0, "Offset": 1 + v}]}], "TimeoutMs": 5000}


@good("InitProducerId")
def init_producer_id(p, v):
    return {"TransactionalId": None, "TransactionTimeoutMs": 60000}


@valid("InitProducerId")
def init_producer_id_when_ready(p, v):
    """The first ones find no block of ids yet, and say so."""
    with p.broker.connect() as c:
        wait_until(lambda: c.call("InitProducerId", 0, init_producer_id(p, 0))["ErrorCode"] == 0, 20)
    return init_producer_id(p, v)


@good("OffsetForLeaderEpoch")
def offset_for_leader_epoch(p, v):
    return {"ReplicaId": -1, "Topics": [{"Topic": TOPIC, "Partitions": [{"Partition": 0, "LeaderEpoch": 0}]}]}


ACL = {"ResourceTypeFilter": 2, "ResourceNameFilter": TOPIC, "PrincipalFilter": "User:a", "HostFilter": "*", "Operation": 3, "PermissionType": 3}


@good("DescribeAcls")
def describe_acls(p, v):
    return ACL


@good("DeleteAcls")
def delete_acls(p, v):
    return {"Filters": [ACL]}


@good("CreateAcls")
def create_acls(p, v):
    return {"Creations": [{"ResourceType": 2, "ResourceName": TOPIC, "Principal": "User:a", "Host": "*", "Operation": 3, "PermissionType": 3}]}


@good("DescribeConfigs")
def describe_configs(p, v):
    return {"Resources": [{"ResourceType": 2, "ResourceName": TOPIC, "ConfigurationKeys": ["retention.ms", "flush.ms"]}], "IncludeSynonyms": True}


@good("AlterConfigs")
def alter_configs(p, v):
    return {"Resources": [{"ResourceType": 2, "ResourceName": OTHER, "Configs": [{"Name": "retention.ms", "Value": "-1"}]}]}


@good("IncrementalAlterConfigs")
def incremental_alter_configs(p, v):
    return {"Resources": [{"ResourceType": 2, "ResourceName": OTHER, "Configs": [{"Name": "retention.ms", "ConfigOperation": 0, "Value": "-1"}]}]}


@good("AlterReplicaLogDirs")
def alter_replica_log_dirs(p, v):
    return {"Dirs": [{"Path": str(p.broker.data), "Topics": [{"Name": TOPIC, "Partitions": [0]}]}]}


@good("DescribeLogDirs")
def describe_log_dirs(p, v):
    return {"Topics": [{"Topic": TOPIC, "Partitions": [0, 1]}]}


@good("SaslHandshake")
def sasl_handshake(p, v):
    return {"Mechanism": "PLAIN"}


@good("SaslAuthenticate")
def sasl_authenticate(p, v):
    return {"AuthBytes": b"\0me\0secret"}


@good("CreateDelegationToken")
def create_delegation_token(p, v):
    return {"OwnerPrincipalType": "User", "OwnerPrincipalName": "a", "Renewers": [{"PrincipalType": "User", "PrincipalName": "b"}], "MaxLifetimeMs": 60000}


@good("RenewDelegationToken")
def renew_delegation_token(p, v):
    return {"Hmac": b"hmac", "RenewPeriodMs": 60000}


@good("ExpireDelegationToken")
def expire_delegation_token(p, v):
    return {"Hmac": b"hmac", "ExpiryTimePeriodMs": 60000}


@good("DescribeDelegationToken")
def describe_delegation_token(p, v):
    return {"Owners": [{"PrincipalType": "User", "PrincipalName": "a"}]}


@good("ElectLeaders")
def elect_leaders(p, v):
    return {"ElectionType": 0, "TopicPartitions": [{"Topic": TOPIC, "Partitions": [0, 1]}], "TimeoutMs": 5000}


@good("AlterPartitionReassignments")
def alter_partition_reassignments(p, v):
    return {"TimeoutMs": 5000, "Topics": [{"Name": GROWS, "Partitions": [{"PartitionIndex": 0, "Replicas": [1]}]}]}


@good("ListPartitionReassignments")
def list_partition_reassignments(p, v):
    return {"TimeoutMs": 5000, "Topics": [{"Name": TOPIC, "PartitionIndexes": [0]}]}


@good("DescribeClientQuotas")
def describe_client_quotas(p, v):
    return {"Components": [{"EntityType": "user", "MatchType": 0, "Match": "quota"}], "Strict": False}


@good("AlterClientQuotas")
def alter_client_quotas(p, v):
    return {"Entries": [{"Entity": [{"EntityType": "user", "EntityName": "quota"}], "Ops": [{"Key": "producer_byte_rate", "Value": 1e9, "Remove": False}]}]}


@good("DescribeUserScramCredentials")
def describe_user_scram_credentials(p, v):
    return {"Users": [{"Name": "scram"}]}


@valid("DescribeUserScramCredentials")
def describe_all_scram_credentials(p, v):
    return {"Users": None}


@good("Envelope")
def envelope(p, v):
    return {"RequestData": b"\1\2\3", "RequestPrincipal": b"x", "ClientHostAddress": b"\x7f\0\0\1"}


@good("AlterUserScramCredentials")
def alter_user_scram_credentials(p, v):
    return {"Deletions": [{"Name": "nobody", "Mechanism": 1}], "Upsertions": [
        {"Name": "scram", "Mechanism": 1, "Iterations": 4096, "Salt": b"salt", "SaltedPassword": b"\1" * 32}]}


@valid("AlterUserScramCredentials")
def upsert_scram_credential(p, v):
    return {"Upsertions": alter_user_scram_credentials(p, v)["Upsertions"]}


@good("UpdateFeatures")
def update_features(p, v):
    return {"timeoutMs": 5000, "FeatureUpdates": [{"Feature": "a", "MaxVersionLevel": 1}]}


@good("DescribeCluster")
def describe_cluster(p, v):
    return {}


@good("DescribeProducers")
def describe_producers(p, v):
    return {"Topics": [{"Name": TOPIC, "PartitionIndexes": [0, 1]}]}


@good("DescribeTransactions")
def describe_transactions(p, v):
    return {"TransactionalIds": ["nobody"]}


@good("ListTransactions")
def list_transactions(p, v):
    return {"StateFilters": ["Ongoing"], "ProducerIdFilters": [5]}


@good("Envelope")
def envelope(p, v):
    return {"RequestData": b"data", "RequestPrincipal": b"User:a", "ClientHostAddress": b"\x7f\0\0\1"}


@good("AllocateProducerIds")
def allocate_producer_ids(p, v):
    return {"BrokerId": 1, "BrokerEpoch": p.epoch}


@good("ConsumerGroupDescribe")
def consumer_group_describe(p, v):
    return {"GroupIds": ["group"]}


@good("ConsumerGroupHeartbeat")
def consumer_group_heartbeat(p, v):
    return {"GroupId": "group", "MemberId": "m", "SubscribedTopicNames": [TOPIC], "TopicPartitions": []}


# ---- groups: each API has some of its own, so that what one does is no other's business ------------------------------------------------------
def joining(group, v, **more):
    return {"GroupId": group, "SessionTimeoutMs": SESSION, "MemberId": "", "ProtocolType": "consumer", "Protocols": PROTOCOLS,
            **({"RebalanceTimeoutMs": SESSION} if v >= 1 else {}), **more}


@good("JoinGroup")
def join_group(p, v):
    """Nobody, so that no change of a field makes a member that others wait for; but for the one that empties the id."""
    return joining(f"corpus.join.nobody.{v}", v, MemberId="nobody")


@valid("JoinGroup")
def join_a_group(p, v):
    group = f"corpus.join.{v}"
    if v >= 5:
        return joining(group, v, GroupInstanceId="instance")
    if v == 4:
        def ask():
            with p.broker.connect() as c:
                return c.call("JoinGroup", 4, joining(group, 4))["MemberId"]
        return joining(group, v, MemberId=p.once(group, ask))
    return joining(group, v)


@good("SyncGroup")
def sync_group(p, v):
    return {"GroupId": "corpus.sync", "GenerationId": 1, "MemberId": p.member("corpus.sync"), "Assignments": [{"MemberId": "a", "Assignment": b"x"}],
            **({"ProtocolType": "consumer", "ProtocolName": "range"} if v >= 5 else {})}


@good("Heartbeat")
def heartbeat(p, v):
    return {"GroupId": "corpus.heartbeat", "GenerationId": 1, "MemberId": p.member("corpus.heartbeat")}


def leaving(group, member, v):
    return {"GroupId": group, **({"Members": [{"MemberId": member, "GroupInstanceId": None}]} if v >= 3 else {"MemberId": member})}


@good("LeaveGroup")
def leave_group(p, v):
    p.member("corpus.leave")
    return leaving("corpus.leave", "nobody", v)


@valid("LeaveGroup")
def leave_a_group(p, v):
    return leaving(f"corpus.leave.{v}", p.member(f"corpus.leave.{v}"), v)


@good("OffsetCommit")
def offset_commit(p, v):
    return {"GroupId": f"corpus.commit.{v}", "Topics": [{"Name": TOPIC, "Partitions": [
        {"PartitionIndex": 0, "CommittedOffset": 5, "CommittedMetadata": "m"}, {"PartitionIndex": 1, "CommittedOffset": 6, "CommittedMetadata": "m"}]}]}


@good("OffsetFetch")
def offset_fetch(p, v):
    group = p.commit("corpus.fetch", 0 if v == 0 else 8)
    if v >= 8:
        return {"Groups": [{"GroupId": "corpus.fetch.none", "Topics": None}, {"GroupId": group, "Topics": [{"Name": TOPIC, "PartitionIndexes": [0, 1]}]}]}
    return {"GroupId": group, "Topics": [{"Name": TOPIC, "PartitionIndexes": [0, 1]}]}


@good("OffsetDelete")
def offset_delete(p, v):
    return {"GroupId": p.commit("corpus.offsets"), "Topics": [{"Name": TOPIC, "Partitions": [{"PartitionIndex": 1}]}]}


@good("DescribeGroups")
def describe_groups(p, v):
    p.member("corpus.describe")
    return {"Groups": ["corpus.describe"]}


@good("ListGroups")
def list_groups(p, v):
    p.member("corpus.list")
    return {**({"StatesFilter": ["Stable"]} if v >= 4 else {}), **({"TypesFilter": ["classic"]} if v >= 5 else {})}


@good("DeleteGroups")
def delete_groups(p, v):
    return {"GroupsNames": ["corpus.doomed"]}


@valid("DeleteGroups")
def delete_a_group(p, v):
    return {"GroupsNames": [p.commit(f"corpus.doomed.{v}")]}


# ---- everything else ----------------------------------------------------------------------------------------------------------------
def ends(bits):
    return [-(1 << bits - 1), -2, -1, 0, 1, 2, (1 << bits - 1) - 1]


STRINGS = ["", "corpus nobody", "x" * 300, "\u00fc/\u0001", "..", "nobody"]
IDS = [uuid.UUID(int=0), uuid.UUID(int=1), uuid.UUID(int=9)]
DOUBLES = [0.0, -1.0, 1.5, float("nan"), float("inf")]


def values(f, kind, value):
    """(words, function of the value that was there) for one field."""
    if kind.startswith("[]"):
        yield "empty", lambda v: []
        if value:
            yield "twice the same", lambda v: v + v
            if kind[2:] in wire.INTS or kind[2:] == "string":
                for words, change in values({}, kind[2:], value[0]):
                    yield f"with {words}", lambda v, change=change: v[:-1] + [change(v[-1])]
    elif kind in wire.INTS and kind != "float64":
        unsigned = kind.startswith("u")
        for n in ends(int(kind.lstrip("uint"))):
            if n != value and not (unsigned and n < 0):
                yield str(n), lambda v, n=n: n
    elif kind == "float64":
        for n in DOUBLES:
            yield str(n), lambda v, n=n: n
    elif kind == "string":
        for s in STRINGS:
            if s != value:
                yield repr(s if len(s) < 20 else f"{s[:3]}... {len(s)}"), lambda v, s=s: s
    elif kind in ("bytes", "records"):
        yield "no bytes", lambda v: b""
        yield "zeros", lambda v: bytes(20)
        if value:
            yield "cut short", lambda v: v[:-1]
            yield "twice the same", lambda v: v + v
    elif kind == "bool":
        yield str(not value), lambda v: not v
    elif kind == "uuid":
        for n in IDS:
            yield f"id {n.int}", lambda v, n=n: n
    if "name" in f and value is not None and nullable(kind):
        yield "null", lambda v: None


def nullable(kind):
    """Has the type a way to say null on the wire at all?"""
    return kind.startswith("[]") or kind in ("string", "bytes", "records")


def there(f, version):
    return version in span(f["versions"]) or version in span(f.get("taggedVersions"))


def mutations(codec, fields, message, path=()):
    """(path, words, change, broken)"""
    for f in fields:
        if not there(f, codec.version):
            continue
        kind, at = f["type"], (*path, f["name"])
        value = message.get(f["name"], codec.default(f))
        for words, change in values(f, kind, value):
            yield at, words, change, words == "null" and codec.version not in span(f.get("nullableVersions"))
        inner = codec.structs.get(kind.removeprefix("[]"))
        if inner and value:
            yield from mutations(codec, inner, value[-1] if kind.startswith("[]") else value, (*at, -1) if kind.startswith("[]") else at)


def changed(message, path, change, default):
    """A copy of the message in which one field is another.  -1 in a path is the last of a list."""
    if not path:
        return change(message)
    if path[0] == -1:
        return [*message[:-1], changed(message[-1], path[1:], change, default)]
    return {**message, path[0]: changed(message.get(path[0], default), path[1:], change, default)}


def default_at(codec, path):
    fields, f = codec.fields, None
    for step in path:
        if step != -1:
            f = next(x for x in fields if x["name"] == step)
            fields = codec.structs.get(f["type"].removeprefix("[]"), [])
    return codec.default(f)


BODIES = [("cut short by one byte", lambda b: b[:-1]), ("cut in half", lambda b: b[:len(b) // 2]), ("nothing", lambda b: b""),
          ("one byte more", lambda b: b + b"\0")]
FLEXIBLE_BODIES = [("a tag nobody knows", lambda b: b[:-1] + b"\1\x7f\3abc"), ("two tags nobody knows", lambda b: b[:-1] + b"\2\x7d\0\x7f\3abc"),
                   ("the same tag twice", lambda b: b[:-1] + b"\2\x7f\1a\x7f\1b"), ("tags in the wrong order", lambda b: b[:-1] + b"\2\x7f\1a\x7e\1b"),
                   ("a tag longer than the frame", lambda b: b[:-1] + b"\1\x7f\x30abc"), ("tags that are missing", lambda b: b[:-1] + b"\5")]


def requests(name, version, place):
    """Every request of one API and version, in the order in which they are sent."""
    codec = wire.codec(name, "request", version)
    base = GOOD[name, version]
    message = base(place, version)
    out = [Request("as it is", "valid", VALID.get((name, version), base))]
    for path, words, change, broken in mutations(codec, codec.fields, message):
        default = default_at(codec, path)
        out.append(Request(f"{'.'.join(str(s) for s in path if s != -1)} {words}", "broken" if broken else "odd",
                           lambda p, v, a=(path, change, default): changed(base(p, v), *a)))
    # a body without fields cannot be cut
    bodies = BODIES + (FLEXIBLE_BODIES if codec.flex else [])
    raw = codec.encode(message)
    out += [Request(words, "broken", base, body) for words, body in bodies if body(raw) != raw and (len(raw) > 1 or not words.startswith("cut"))]
    out.append(Request("a client id longer than the frame", "broken", base, head=lambda h: h[:8] + b"\x75\x30" + h[10:]))
    return out


def random_requests(name, version, place, rng, n):
    """n requests with two to four fields changed at once, bytes flipped in some."""
    codec = wire.codec(name, "request", version)
    base = GOOD[name, version]
    for i in range(n):
        steps = []
        message = base(place, version)
        for _ in range(rng.randrange(2, 5)):
            found = list(mutations(codec, codec.fields, message))
            if found:
                path, words, change, _ = rng.choice(found)
                default = default_at(codec, path)
                steps.append((path, change, default, words))
                message = changed(message, path, change, default)

        def make(p, v, steps=tuple(steps), i=i):
            m = base(p, v)
            for path, change, default, _ in steps:
                m = changed(m, path, change, default)
            if name == "JoinGroup" and m["GroupId"]:       # who joins a group in which somebody is waits for him, and he never comes
                m["GroupId"] += f".{i}"
            return m

        yield Request("; ".join(f"{'.'.join(str(s) for s in path if s != -1)} {words}" for path, _, _, words in steps), "odd", make)


def frame(name, version, request, place, correlation):
    """The bytes of one request, the size in front."""
    raw = wire.codec(name, "request", version).encode(request.make(place, version))
    head = wire.request_header(name, version, correlation)
    payload = (request.head(head) if request.head else head) + (request.body(raw) if request.body else raw)
    return struct.pack(">i", len(payload)) + payload


correlations = itertools.count(1)
