# SPDX-License-Identifier: Apache-2.0
"""Every API, version and field (harness/corpus.py) sent to Java and to the broker under test, which are in the same state and stay so: the answers,
then ZooKeeper's tree, then the logs must be the same.

KNOWN lists what differs, NO_ANSWER what Java never answers, NO_SUCCESS the APIs that one broker alone cannot serve, WAITING those we do not have;
an entry that no longer applies fails."""
import re

import pytest

from harness import corpus, env, wire, znodes
from harness.corpus import TOPICS
from harness.pair import difference, fill, normalise
from harness.proc import wait_until

pytestmark = pytest.mark.zookeeper

# (API, first words of the request) -> why we differ.
UNKNOWN_NAME = "a name that cannot be a znode's is an UNKNOWN_SERVER_ERROR in Java, a topic that is not there in ours"
IMPOSSIBLE_NAME = "a name that cannot be a znode's is an INVALID_CONFIG in Java, a topic that is not there in ours"
KNOWN = {
    ("Fetch", "SessionId 2147483647"): "Java looks for the session beyond its eight shards: UNKNOWN_SERVER_ERROR",
    ("Fetch", "SessionId -2147483648"): "Java looks for the session beyond its eight shards: UNKNOWN_SERVER_ERROR",
    ("CreatePartitions", "Topics.Name ''"): UNKNOWN_NAME,
    ("CreatePartitions", "Topics.Name '..'"): UNKNOWN_NAME,
    ("CreatePartitions", "Topics.Name '\u00fc/\\x01'"): UNKNOWN_NAME,
    ("CreatePartitions", "Topics.Count -2147483648"): "Java subtracts until it wraps, and blames the assignment",
    ("IncrementalAlterConfigs", "Resources.ResourceName '..'"): IMPOSSIBLE_NAME,
    ("IncrementalAlterConfigs", "Resources.ResourceName '\u00fc/\\x01'"): IMPOSSIBLE_NAME,
}
# (API, words) that Java leaves without any answer and without closing.
NO_ANSWER = {
    ("Produce", "TopicData.PartitionData.Records null"): "the handler throws and the connection stays muted",
    ("AlterConfigs", "Resources twice the same"): "the handler throws and the connection stays muted",
    ("OffsetFetch", "Groups empty"): "counting the errors of no group throws",
    ("CreateTopics", "Topics.NumPartitions 2147483647"): "it makes them all in memory, which ends",
    ("CreatePartitions", "Topics.Count 2147483647"): "it makes them all in memory, which ends",
}
# APIs whose good message is an error all the same, or is never more than one
NO_SUCCESS = {
    "Envelope": "closes the connection without a migration to KRaft",
    "SaslHandshake": "ILLEGAL_SASL_STATE without SASL", "SaslAuthenticate": "ILLEGAL_SASL_STATE without SASL",
    "CreateDelegationToken": "only over authenticated connections", "RenewDelegationToken": "only over authenticated connections",
    "ExpireDelegationToken": "only over authenticated connections", "DescribeDelegationToken": "only over authenticated connections",
    "CreateAcls": "SECURITY_DISABLED", "DescribeAcls": "SECURITY_DISABLED", "DeleteAcls": "SECURITY_DISABLED",
    "ElectLeaders": "ELECTION_NOT_NEEDED", "UpdateFeatures": "there are no features", "ConsumerGroupDescribe": "UNSUPPORTED_VERSION in ZooKeeper mode",
    "ConsumerGroupHeartbeat": "UNSUPPORTED_VERSION in ZooKeeper mode", "DescribeTransactions": "NOT_COORDINATOR",
}
TRANSACTIONS, CLUSTER = "transactions, a later issue", "more than one broker, a later issue"
# APIs that Java advertises and we do not.
WAITING = {
    **dict.fromkeys(["AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn", "WriteTxnMarkers", "TxnOffsetCommit", "DescribeTransactions",
                     "ListTransactions"], TRANSACTIONS),
    **dict.fromkeys(["LeaderAndIsr", "StopReplica", "UpdateMetadata", "ControlledShutdown", "AlterPartition"], CLUSTER),
}


def advertised(b):
    with b.connect() as c:
        return {wire.api_name(k["ApiKey"]): (k["MinVersion"], k["MaxVersion"]) for k in c.call("ApiVersions", 0)["ApiKeys"]}


def table():
    """The names and keys of src/wire/apis.def."""
    text = (env.TOP / "src/wire/apis.def").read_text()
    return {m[2]: int(m[1]) for m in re.finditer(r'^API\(\s*(\d+),.*?"(\w+)"', text, re.M)}


@pytest.fixture(scope="module")
def places(pair, zk):
    out = []
    for b in pair:
        with zk.session("/" + b.zk_connect.partition("/")[2]) as k:
            epoch = k.exists("/brokers/ids/1").czxid
        with b.connect() as c:
            answer = c.call("CreateTopics", 4, {"Topics": [{"Name": n, "NumPartitions": 2, "ReplicationFactor": 1, "Configs": [
                {"Name": "retention.ms", "Value": "-1"}]} for n in TOPICS], "timeoutMs": 20000})
            assert not any(t["ErrorCode"] for t in answer["Topics"]), answer
            for n in TOPICS:
                fill(b, n)
            # Java answers the first who ask that it is fetching ids; we have them before we are ready
            wait_until(lambda: c.call("InitProducerId", 0, {"TransactionalId": None, "TransactionTimeoutMs": 1})["ErrorCode"] == 0, 20, "producer ids")
        out.append(corpus.Place(b, epoch))
    return out


class Line:
    """A connection that is made again when the broker has closed it."""

    def __init__(self, place):
        self.place, self.c = place, None

    def ask(self, name, version, request):
        if self.c is None:
            self.c = self.place.broker.connect(timeout=8)
        n = next(corpus.correlations)
        try:
            self.c.send_bytes(corpus.frame(name, version, request, self.place, n))
            message = request.make(self.place, version)
            if name == "Produce" and message.get("Acks") == 0:     # no answer, or the end; the next answer tells
                n = self.c.send("ApiVersions", 0, {})
                self.c.receive("ApiVersions", 0, n)
                return "none"
            return tidy(normalise(self.place.broker, without_waiting(name, self.c.receive(name, version, n))))
        except (wire.Closed, BrokenPipeError, ConnectionResetError):
            self.close()
            return "closed"
        except TimeoutError:
            self.close()
            return "nothing"

    def close(self):
        if self.c:
            self.c.close()
        self.c = None


def without_waiting(name, answer):
    """ApiVersions without what we do not have yet: that is compared by name."""
    if name != "ApiVersions":
        return answer
    return {**answer, "ApiKeys": [k for k in answer["ApiKeys"] if wire.api_name(k["ApiKey"]) not in WAITING]}


def tidy(value, key=""):
    """What may differ from run to run and is not of the broker's choosing."""
    if isinstance(value, dict):
        return {k: tidy(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [tidy(v, key) for v in value]
    if key == "BatchIndexErrorMessage" and value:
        return "some words"
    if key in ("ThrottleTimeMs", "TotalBytes", "UsableBytes", "Documentation"):
        return 0
    if key == "ProducerId" and value > 0:
        return "some producer"
    return "some time" if key in ("LogAppendTimeMs", "LastTimestamp") and value > 0 else value


def errors(value):
    """Every error code of an answer but 0."""
    if isinstance(value, dict):
        return [v for k, v in value.items() if k.endswith("ErrorCode") and v] + [e for v in value.values() for e in errors(v)]
    return [e for v in value for e in errors(v)] if isinstance(value, list) else []


LEADER_NOT_AVAILABLE, REQUEST_TIMED_OUT = 5, 7


def underway(answer, rows="Topics"):
    """The topics that an answer says are being made, or are going."""
    return [t["Name"] for t in answer[rows] if t["ErrorCode"] in (LEADER_NOT_AVAILABLE, REQUEST_TIMED_OUT)] if isinstance(answer, dict) else []


def known(name, words):
    return next((k for k in KNOWN if k[0] == name and words.startswith(k[1])), None)


def settle(places, asked_for=(), gone=()):
    """Topics that were asked for in passing are made in the background, and deleted ones go there."""
    def names():
        out = []
        for p in places:
            with p.broker.connect() as c:
                topics = c.call("Metadata", 5, {"Topics": None})["Topics"]
                out.append(sorted(t["Name"] for t in topics) if not errors(topics) else None)
        return out

    wait_until(lambda: (n := names())[0] == n[1] and n[0] and {*asked_for} <= {*n[0]} and not {*gone} & {*n[0]}, 20, "both to have the same topics")


seen, done, unanswered = set(), set(), set()


def compare(places, kind, name, version, requests):
    """-> (what differs and is not known, {kind of request: what Java said of them})"""
    lines = [Line(p) for p in places]
    bad, said = [], {}
    for r in requests:
        if (name, r.words) in NO_ANSWER:
            unanswered.add((name, r.words))
            assert kind == "java" or lines[1].ask(name, version, r) != "nothing"      # some end a Java broker
            continue
        java, ours = (line.ask(name, version, r) for line in lines)
        assert java != "nothing", f"{r.words}: Java never answers: NO_ANSWER?"
        said.setdefault(r.kind, []).append(java)
        if ours != java:
            row = known(name, r.words)
            if row and kind == "ottla":
                seen.add(row)
            else:
                bad.append(f"{r.words}: {difference(ours, java)}")
        # who lists all topics next, or makes one again, must not see it here only
        if name in ("Metadata", "CreateTopics") and underway(java):
            settle(places, underway(java))
        if name == "DeleteTopics" and underway(java, "Responses"):
            settle(places, gone=underway(java, "Responses"))
    for line in lines:
        line.close()
    if name in ("Metadata", "CreateTopics", "DeleteTopics"):
        settle(places, ["nobody"] if name == "Metadata" and version < 4 else [])      # older ones make what they ask for
    return bad, said


CASES = [(name, v) for name, v in corpus.GOOD]


@pytest.mark.parametrize("name,version", [pytest.param(*c, id=f"{c[0]}-{c[1]}") for c in sorted(CASES)])
def test_every_field_of_every_version_is_answered_as_java_does(pair, places, kind, name, version):
    span = advertised(pair[1]).get(name)
    if kind == "ottla" and name in WAITING:
        assert span is None, "it is advertised now: remove it from WAITING"
        pytest.xfail(f"not advertised: {WAITING[name]}")
    assert span, f"neither advertised nor in WAITING: {name}"
    if not span[0] <= version <= span[1]:
        java = advertised(pair[0])[name]
        assert not java[0] <= version <= java[1], "Java has this version"
        return
    bad, said = compare(places, kind, name, version, corpus.requests(name, version, places[0]))
    done.add((name, version))
    (plain,) = said["valid"]
    assert bool(plain == "closed" or errors(plain)) == (name in NO_SUCCESS), f"the good message: {plain}"
    assert said.get("odd") or not any(corpus.there(f, version) for f in wire.codec(name, "request", version).fields) or name == "ApiVersions"
    assert any(a == "closed" or errors(a) for k in ("odd", "broken") for a in said.get(k, [])), "nothing is refused"
    assert not bad, f"{len(bad)} differ\n" + "\n".join(bad)


# (API, words) that the random requests leave out
HEAVY = {
    ("Fetch", "Topics.TopicId id 0"): "with the id 0 and anything else wrong Java's handler throws",
    ("Fetch", "MaxWaitMs 2147483647"): "with bytes asked for that never come it waits for weeks, as it was told to",
    ("DeleteTopics", "TimeoutMs 1"): "in a millisecond some are gone and some are not",
    ("DeleteTopics", "TimeoutMs 2"): "in two milliseconds some are gone and some are not",
    ("CreateTopics", "timeoutMs 1"): "in a millisecond some are there and some are not",
    ("CreateTopics", "timeoutMs 2"): "in two milliseconds some are there and some are not",
    ("JoinGroup", "Protocols twice the same"): "a member counts once for each mention, no protocol is everybody's then, and nobody of that group is answered",
    ("Produce", "twice the same"): "of records for the same partition Java appends one and may answer what it said of another",
}
def test_every_advertised_api_and_version_has_requests(pair, kind):
    java, ours = map(advertised, pair)
    assert set(java) == set(table()), "src/wire/apis.def has what Java advertises"
    without = [(n, v) for n, (first, last) in ours.items() for v in range(first, last + 1) if (n, v) not in corpus.GOOD]
    if kind == "ottla":
        assert not without, f"write a good message for them in harness/corpus.py: {without}"
        assert set(WAITING) == set(java) - set(ours), "WAITING is stale"


def test_afterwards_zookeeper_holds_the_same(pair, places, zk, kind):
    """Everything that was asked for above, by whoever asked."""
    znodes.same(zk, *pair)


def test_afterwards_the_logs_are_the_same_byte_for_byte(pair, places, kind):
    seen = 0
    for path in sorted(pair[0].data.glob("corpus*/*.log")):
        name = path.parent.name
        if name.endswith("-delete"):
            continue
        ours = [p.read_bytes() for p in sorted((pair[1].data / name).glob("*.log"))]
        assert [p.read_bytes() for p in sorted(path.parent.glob("*.log"))] == ours, name
        seen += sum(len(d) for d in ours)
    assert seen > 0


@pytest.mark.long
def test_random_requests_are_answered_as_java_does(pair, places, kind, rng, seed):
    """Several fields at once.  The values are the same as above; the combinations are not."""
    print(f"seed {seed}")
    spans, bad = advertised(pair[1]), []
    for name, version in CASES:
        if name in spans and spans[name][0] <= version <= spans[name][1]:
            bad += [f"{name} {version} {b}" for b in compare(places, kind, name, version, [
                r for r in corpus.random_requests(name, version, places[0], rng, 100)
                if not any(k[0] == name and k[1] in r.words for k in [*KNOWN, *NO_ANSWER, *HEAVY])])[0]]
    assert not bad, f"seed {seed}: {len(bad)} differ\n" + "\n".join(bad)


def test_the_lists_of_exceptions_are_not_stale(kind):
    if kind == "ottla" and len(done) + len([c for c in CASES if c[0] in WAITING]) >= len([c for c in CASES]) - 10:
        assert set(KNOWN) == seen, f"no longer differ: {set(KNOWN) - seen}"
        assert set(NO_ANSWER) == unanswered
