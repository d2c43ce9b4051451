# SPDX-License-Identifier: Apache-2.0
"""The rest of the single-broker APIs as in test_records_against_java: flows of requests, sent to Java and to the broker under test."""
import pytest

from harness import records, wire
from test_admin_against_java import create, ends, put
from test_against_java import ask, difference
from test_records_against_java import check, make_topic, play

LARGE = records.batch([b"x" * 120])


# A step is a function of the flow's version and topic -> (api, version, message), as in test_admin_against_java.
def purge(*rows, at=None, timeout=10000, name=""):
    """DeleteRecords of (partition, offset)."""
    return lambda v, t: ("DeleteRecords", v if at is None else at, {
        "Topics": [{"Name": t + name, "Partitions": [{"PartitionIndex": p, "Offset": o} for p, o in rows]}], "TimeoutMs": timeout})


def starts(*partitions, when=-2):
    return lambda v, t: ("ListOffsets", 7, {"Topics": [{"Name": t, "Partitions": [{"PartitionIndex": p, "Timestamp": when} for p in partitions]}]})


def read(offset, partition=0):
    return lambda v, t: ("Fetch", 11, {"MaxWaitMs": 0, "MinBytes": 0, "Topics": [{"Topic": t, "Partitions": [
        {"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": 100000}]}]})


def epochs(*rows, replica=-1):
    """OffsetForLeaderEpoch of (partition, epoch) or (partition, epoch, current epoch)."""
    def step(v, t):
        asked = [{"Partition": r[0], "LeaderEpoch": r[1], **({"CurrentLeaderEpoch": r[2]} if len(r) > 2 else {})} for r in rows]
        return "OffsetForLeaderEpoch", v, {"ReplicaId": replica, "Topics": [{"Topic": t, "Partitions": asked}]}

    return step


def at(api, **message):
    return lambda v, t: (api, v, message)


FIVE = [create(4), *[put()] * 5]
FLOWS = {
    "records deleted": ("DeleteRecords", 0, 2, [*FIVE, purge((0, 3)), starts(0), read(0), read(2), read(3), ends(0), purge((0, 1)), purge((0, 3)), starts(0), put(), ends(0)]),
    "all records deleted": ("DeleteRecords", 0, 2, [*FIVE, purge((0, -1)), starts(0, 1), read(4), read(5), purge((0, -1)), put(), read(5), purge((0, 5))]),
    "no such offset": ("DeleteRecords", 0, 2, [*FIVE, purge((0, 6)), purge((0, -2)), purge((0, 1 << 62)), purge((0, -1 << 63)), purge((1, 1)), purge((1, 0)), starts(0, 1)]),
    "one right beside the wrong": ("DeleteRecords", 0, 2, [*FIVE, purge((0, 9), (1, 0), (2, 0), (-1, 0)), purge((0, 2), (1, 7)), purge((0, 4), (0, 2)), starts(0, 1)]),
    "nobody's records": ("DeleteRecords", 0, 2, [purge((0, 0), name="nobody"), purge((0, 0), name="b a d"), at("DeleteRecords", Topics=[], TimeoutMs=5), purge()]),
    "of two topics twice": ("DeleteRecords", 0, 2, [*FIVE, lambda v, t: ("DeleteRecords", v, {"TimeoutMs": 5000, "Topics": [
        {"Name": n, "Partitions": [{"PartitionIndex": 0, "Offset": o}]} for n, o in ((t, 1), ("nobody", 0), (t, 2), ("nobody", 3))]}), starts(0)]),
    "no time to delete": ("DeleteRecords", 0, 2, [*FIVE, purge((0, 2), timeout=0), purge((0, 3), timeout=-5), starts(0)]),
    "compacted": ("DeleteRecords", 0, 2, [create(4, Configs=[{"Name": "cleanup.policy", "Value": "compact"}]), purge((0, 0)), purge((0, 9)), purge((0, -2)), purge((2, 0))]),
    "compacted and deleted": ("DeleteRecords", 0, 2, [create(4, Configs=[{"Name": "cleanup.policy", "Value": "compact,delete"}]), purge((0, 0)), purge((0, 9))]),
    "epochs": ("OffsetForLeaderEpoch", 0, 4, [*FIVE, epochs((0, 0)), epochs((0, 1)), epochs((0, -1)), epochs((0, -5)), epochs((0, 1 << 30)), epochs((1, 0), (2, 0), (-1, 0))]),
    "current epochs": ("OffsetForLeaderEpoch", 2, 4, [*FIVE, epochs((0, 0, 0)), epochs((0, 0, 1)), epochs((0, 0, -1)), epochs((0, 0, -2)), epochs((9, 0, 4))]),
    "epochs for whom": ("OffsetForLeaderEpoch", 3, 4, [*FIVE, *[epochs((0, 0), replica=n) for n in (-2, -1, 0, 1, 7)]]),
    "epochs of nobody": ("OffsetForLeaderEpoch", 0, 4, [at("OffsetForLeaderEpoch", ReplicaId=-1, Topics=[{"Topic": "nobody", "Partitions": [{"Partition": 0, "LeaderEpoch": 0}]}]),
                                                        at("OffsetForLeaderEpoch", ReplicaId=-1, Topics=[])]),
    "epochs twice": ("OffsetForLeaderEpoch", 0, 4, [*FIVE, epochs((0, 0), (0, 0)), lambda v, t: ("OffsetForLeaderEpoch", v, {"ReplicaId": -1, "Topics": [
        {"Topic": t, "Partitions": [{"Partition": n, "LeaderEpoch": 0}]} for n in (0, 1)]})]),
    "epochs after deletion": ("OffsetForLeaderEpoch", 0, 4, [*FIVE, purge((0, 3), at=2), epochs((0, 0)), epochs((0, 1)), epochs((0, -7))]),
}


def acl(**fields):
    return {"ResourceTypeFilter": 2, "ResourceNameFilter": "t", "PatternTypeFilter": 3, "PrincipalFilter": "User:a", "HostFilter": "*", "Operation": 3, "PermissionType": 3, **fields}


def new_acl(**fields):
    return {"ResourceType": 2, "ResourceName": "t", "ResourcePatternType": 3, "Principal": "User:a", "Host": "*", "Operation": 3, "PermissionType": 3, **fields}


def each(api, field, row, **changes):
    """Requests of one row, which is changed in one place each time, and closes the connection or does not."""
    return [at(api, **(row(**{k: v}) if field is None else {field: [row(**{k: v}), row()]})) for k, values in changes.items() for v in values]


def token_owner(kind, name):
    return lambda v, t: ("CreateDelegationToken", v, {"Renewers": [], "MaxLifetimeMs": -1, **({"OwnerPrincipalType": kind, "OwnerPrincipalName": name} if v >= 3 else {})})


def feature(name, level, kind=0, **fields):
    """kind: 0 as the version says by default, else 1 upgrade, 2 and 3 downgrades."""
    def step(v, t):
        how = {"UpgradeType": kind} if v >= 1 else {"AllowDowngrade": kind > 1}
        return "UpdateFeatures", v, {"FeatureUpdates": [{"Feature": n, "MaxVersionLevel": level, **how} for n in ([name] if isinstance(name, str) else name)], **fields}

    return step


FLOWS |= {
    "no SASL to shake hands for": ("SaslHandshake", 0, 1, [at("SaslHandshake", Mechanism=m) for m in ("PLAIN", "GSSAPI", "no such", "")]),
    "no SASL to authenticate by": ("SaslAuthenticate", 0, 2, [at("SaslAuthenticate", AuthBytes=b) for b in (b"", b"\0user\0secret")]),
    "no authorizer to describe": ("DescribeAcls", 1, 3, [at("DescribeAcls", **acl()), at("DescribeAcls", **acl(ResourceNameFilter=None, PrincipalFilter=None, HostFilter=None)),
        *each("DescribeAcls", None, acl, PatternTypeFilter=(0, 1, 2, 4, 5, -1), ResourceTypeFilter=(0, 1, 99, -1), Operation=(0, 1, 99), PermissionType=(0, 1, 99))]),
    "no authorizer to describe, v0": ("DescribeAcls", 0, 0, [at("DescribeAcls", **acl()), *each("DescribeAcls", None, acl, ResourceTypeFilter=(0, 1, 99), Operation=(0, 1), PermissionType=(0,))]),
    "no authorizer to create": ("CreateAcls", 1, 3, [at("CreateAcls", Creations=[]), at("CreateAcls", Creations=[new_acl()] * 3), *each("CreateAcls", "Creations", new_acl,
        ResourcePatternType=(0, 1, 4, 7), ResourceType=(0, 1, 4, 99), ResourceName=("",), Principal=("", "nobody"), Operation=(0, 99), PermissionType=(0, 99))]),
    "no authorizer to create, v0": ("CreateAcls", 0, 0, [at("CreateAcls", Creations=[new_acl()] * 2), *each("CreateAcls", "Creations", new_acl, ResourceType=(0, 4), Operation=(0,))]),
    "no authorizer to delete": ("DeleteAcls", 1, 3, [at("DeleteAcls", Filters=[]), at("DeleteAcls", Filters=[acl()] * 3), *each("DeleteAcls", "Filters", acl,
        PatternTypeFilter=(0, 1, 2, 4, 7), ResourceTypeFilter=(0, 1, 99), Operation=(0, 99), PermissionType=(0, 99))]),
    "no authorizer to delete, v0": ("DeleteAcls", 0, 0, [at("DeleteAcls", Filters=[acl()] * 2), *each("DeleteAcls", "Filters", acl, ResourceTypeFilter=(0, 1), PermissionType=(0,))]),
    "no token made": ("CreateDelegationToken", 0, 3, [at("CreateDelegationToken", Renewers=[], MaxLifetimeMs=-1), at("CreateDelegationToken", MaxLifetimeMs=5, Renewers=[
        {"PrincipalType": "User", "PrincipalName": "a"}, {"PrincipalType": "Group", "PrincipalName": ""}]), *[token_owner(*o) for o in (
            ("User", "a"), ("Group", "a"), ("", "a"), (None, "a"), ("User", None), (None, None), ("User", ""))]]),
    "no token renewed": ("RenewDelegationToken", 0, 2, [at("RenewDelegationToken", Hmac=h, RenewPeriodMs=p) for h in (b"", b"x") for p in (-1, 5)]),
    "no token expired": ("ExpireDelegationToken", 0, 2, [at("ExpireDelegationToken", Hmac=h, ExpiryTimePeriodMs=p) for h in (b"", b"x") for p in (-1, 5)]),
    "no token described": ("DescribeDelegationToken", 0, 3, [at("DescribeDelegationToken", Owners=o) for o in (None, [], [{"PrincipalType": "User", "PrincipalName": "a"}])]),
    "no heartbeat without KRaft": ("ConsumerGroupHeartbeat", 0, 0, [at("ConsumerGroupHeartbeat", GroupId=g, MemberEpoch=e) for g in ("", "g") for e in (0, -1, 5)]),
    "no description without KRaft": ("ConsumerGroupDescribe", 0, 0, [at("ConsumerGroupDescribe", GroupIds=g, IncludeAuthorizedOperations=o) for g in ([], ["g"], ["a", "b", "a"], [""])
                                                                    for o in (False, True)]),
    "no features": ("UpdateFeatures", 0, 1, [feature([], 1), *[feature(n, level, kind) for n in ("metadata.version", "no.such", "") for level in (-1, 0, 1, 9) for kind in (0, 1, 2, 3, 4)],
                                             feature(["a", "b", "a"], 1, 1), feature("a", 1, 1, timeoutMs=-1)]),
}


def cases(flows):
    return [pytest.param(words, v, id=f"{words.replace(' ', '_')}-{v}") for words, (_, first, last, _) in flows.items() for v in range(first, last + 1)]


@pytest.mark.parametrize("words,version", cases(FLOWS))
def test_the_answers_are_javas(pair, kind, words, version):
    api, _, _, steps = FLOWS[words]
    name = f"o-{words.replace(' ', '-').replace(chr(39), '')}-{version}"
    check(pair, kind, (api, words), [s(version, name) for s in steps])


def test_deleted_records_take_their_segments_along(pair, kind):
    """Only what retention may remove: the segments below the new start, in both."""
    make_topic(pair, "purged", {"segment.bytes": "300", "file.delete.delay.ms": "0"}, 1)
    steps = [s(2, "purged") for s in (*[lambda v, t: ("Produce", 9, {"Acks": -1, "TimeoutMs": 5000, "TopicData": [
        {"Name": t, "PartitionData": [{"Index": 0, "Records": LARGE}]}]})] * 8, purge((0, 5)), starts(0), read(4), read(5), starts(0, when=-4))]
    java, ours = (play(b, steps) for b in pair)
    assert ours == java, difference(ours, java)


# Served as Java serves them, in all its versions.
SERVED = sorted({api for api, _, _, _ in FLOWS.values()})


def test_every_version_is_advertised(pair, kind):
    java, ours = ({k["ApiKey"]: k for k in ask(b, "ApiVersions", 0, {})["ApiKeys"]} for b in pair)
    for name in SERVED:
        assert ours[wire.api_key(name)] == java[wire.api_key(name)], name
