# SPDX-License-Identifier: Apache-2.0
"""The rest of the single-broker APIs as in test_records_against_java: flows of requests, sent to Java and to the broker under test."""
import base64
import json
import os
import re

import pytest

from harness import java, records, wire, znodes
from harness.proc import wait_until
from test_admin_against_java import create, delete, ends, look, put
from test_against_java import ask, difference
from test_records_against_java import check, make_topic, play

pytestmark = pytest.mark.zookeeper

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


def settled(leader_epochs):
    """Metadata, once it has these leader epochs: the answer to a change comes before the broker has heard of it from the controller."""
    def step(v, t):
        wanted = {"Topics": [{"Name": t}], "AllowAutoTopicCreation": False}

        def wait(b, raw):
            def seen():
                with b.connect() as c:
                    return {p["PartitionIndex"]: p["LeaderEpoch"] for p in c.call("Metadata", 12, wanted)["Topics"][0]["Partitions"]}

            wait_until(lambda: seen() == leader_epochs, 20, f"{b.kind}: leader epochs {leader_epochs} of {t}")
            return wanted

        return "Metadata", 12, wait

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


def quotas(*changes, only=False):
    """AlterClientQuotas: changes are ({type: name}, {key: value or None to remove})."""
    return lambda v, t: ("AlterClientQuotas", v, {"ValidateOnly": only, "Entries": [
        {"Entity": [{"EntityType": k, "EntityName": n} for k, n in (who.items() if isinstance(who, dict) else who)],
         "Ops": [{"Key": k, "Value": 0.0 if x is None else x, "Remove": x is None} for k, x in (ops.items() if isinstance(ops, dict) else ops)]}
        for who, ops in changes]})


def whose(*filters, strict=False):
    """DescribeClientQuotas: filters are (type, match, name)."""
    return lambda v, t: ("DescribeClientQuotas", v, {"Strict": strict, "Components": [{"EntityType": k, "MatchType": m, "Match": n} for k, m, n in filters]})


def user(name):
    return {"user": name}


def client(name):
    return {"client-id": name}


def both(name, client_id):
    return {"user": name, "client-id": client_id}


def ip(name):
    return {"ip": name}


# Java enforces quotas: those that hold for this client are wide.
EVERYBODY = [whose(), whose(strict=True), *[whose(*f, strict=s) for s in (False, True) for f in (
    [("user", 2, None)], [("client-id", 2, None)], [("ip", 2, None)], [("user", 1, None)], [("client-id", 1, None)], [("ip", 1, None)],
    [("user", 2, None), ("client-id", 2, None)], [("user", 1, None), ("client-id", 2, None)], [("user", 0, "alice"), ("client-id", 2, None)],
    [("user", 2, None), ("client-id", 0, "c 1")], [("user", 0, "alice"), ("client-id", 0, "c 1")], [("user", 1, None), ("client-id", 1, None)],
    [("user", 0, "alice")], [("client-id", 0, "c/2")], [("ip", 0, "10.1.1.1")], [("user", 0, "nobody")], [("user", 0, "")], [("ip", 0, "no such host")])]]
RATES = {"producer_byte_rate": 1024.0, "consumer_byte_rate": 2048.0, "request_percentage": 12.5, "controller_mutation_rate": 1e7}
FLOWS |= {
    "quotas": ("AlterClientQuotas", 0, 1, [
        quotas((user("alice"), RATES), (user(None), {"producer_byte_rate": 1e15}), (client("c/2"), RATES), (client(None), {"request_percentage": 1.5e7}),
               (both("alice", "c 1"), RATES), (both(None, "c 1"), RATES), (both("bob*", None), {"request_percentage": 0.1}), (both(None, None), {k: 1e12 for k in RATES}),
               (ip("10.1.1.1"), {"connection_creation_rate": 7.0}), (ip(None), {"connection_creation_rate": 1e6}), (ip("localhost"), {"connection_creation_rate": 2147483647.0})),
        *EVERYBODY,
        quotas((user("alice"), {"producer_byte_rate": None, "consumer_byte_rate": 5.0}), (both("alice", "c 1"), dict.fromkeys(RATES)),
               (both("bob*", None), {"request_percentage": None}), (ip("10.1.1.1"), {"connection_creation_rate": None}), (client(None), {"request_percentage": None})),
        *EVERYBODY,
        quotas((user("alice"), dict.fromkeys(RATES)), (both(None, "c 1"), dict.fromkeys(RATES)), (user(None), dict.fromkeys(RATES))), *EVERYBODY,
        quotas((both(None, None), dict.fromkeys(RATES)), (client("c/2"), dict.fromkeys(RATES)), (ip(None), {"connection_creation_rate": None})), whose()]),
    "quotas only looked at": ("AlterClientQuotas", 0, 1, [quotas((user("carol"), RATES), (ip("nowhere.invalid"), {"connection_creation_rate": 7.0}),
                                                                  (ip("10.1.1.9"), {"connection_creation_rate": -1.0}), only=True), whose(("user", 0, "carol"))]),
    "bad quotas": ("AlterClientQuotas", 0, 1, [quotas(*[(who, ops) for who in (user("dave"), client("d"), both("dave", "d")) for ops in (
        {"producer_byte_rate": 1.5}, {"no.such": 1.0}, {"no.such": None}, {"connection_creation_rate": 1.0}, {"SCRAM-SHA-256": 1.0}, {"SCRAM-SHA-256": None}, {},
        {"producer_byte_rate": -5.0}, {"producer_byte_rate": 1e19}, {"producer_byte_rate": 1.0000001}, {"producer_byte_rate": float("inf")}, {"request_percentage": -1.0},
        {"request_percentage": float("inf")}, [("producer_byte_rate", 1.0), ("producer_byte_rate", 2.0)])]), whose(("user", 0, "dave")),
        *[quotas((who, {"producer_byte_rate": 3.0})) for who in ({}, user(""), client(""), {"": "x"}, {"group": "g"}, {"user": "a", "ip": "10.1.1.1"}, {"client-id": "a", "ip": None},
                                                                 [("user", "x"), ("user", "dave")], {"user": "a", "group": "g"}, ip("10.1.1.1"))],
        *[quotas((ip(name), {"connection_creation_rate": rate})) for name in ("10.1.1.1", "10.1.1", "::1", "1.2.3.4.5", "", "nowhere.invalid", "a b") for rate in (1.0, 1.5, -1.0, 3e9)],
        quotas((user("dave"), {"producer_byte_rate": 1.0}), (user("dave"), {"no.such": 1.0})), quotas((user("dave"), {"no.such": 1.0}), (user("dave"), {"producer_byte_rate": 1.0})),
        quotas(), whose(), quotas((user("dave"), dict.fromkeys(RATES)), (client("d"), dict.fromkeys(RATES)), (both("dave", "d"), dict.fromkeys(RATES)),
                                  (ip("10.1.1.1"), {"connection_creation_rate": None}), (ip("10.1.1"), {"connection_creation_rate": None})), whose()]),
    "bad filters": ("DescribeClientQuotas", 0, 1, [whose(*f) for f in ([("user", 0, None)], [("user", 3, None)], [("user", -1, "x")], [("", 2, None)], [("group", 2, None)],
        [("user", 2, None), ("user", 0, "x")], [("ip", 2, None), ("ip", 2, None)], [("user", 2, None), ("ip", 2, None)], [("client-id", 1, None), ("ip", 1, None)],
        [("group", 2, None), ("", 2, None)], [("", 2, None), ("group", 9, None)], [("user", 1, "ignored")], [("user", 2, "ignored")])]),
}


def scram(*puts, without=()):
    """AlterUserScramCredentials: puts are (user, mechanism, iterations), without (user, mechanism)."""
    return at("AlterUserScramCredentials", Deletions=[{"Name": n, "Mechanism": m} for n, m in without], Upsertions=[
        {"Name": p[0], "Mechanism": p[1], "Iterations": p[2], "Salt": b"salt of " + p[0].encode(), "SaltedPassword": p[3] if len(p) > 3 else b"\1\2\3" * 10} for p in puts])


def scrams(*names):
    return at("DescribeUserScramCredentials", Users=[{"Name": n} for n in names])


FLOWS |= {
    "credentials": ("AlterUserScramCredentials", 0, 0, [
        scram(("s 1", 1, 4096), ("s 1", 2, 16384), ("s2", 1, 8192), ("sö/3", 2, 5000)), at("DescribeUserScramCredentials", Users=None), scrams(), scrams("s2", "s 1"),
        scrams("s 1", "nobody", "s2", "nobody", ""), scrams("", "", "sö/3"), scrams("alice"), scram(("s2", 1, 4097), without=[("s2", 2)]), scram(("s2", 2, 4097), without=[("s2", 1)]), scrams("s2"),
        quotas((user("s2"), {"producer_byte_rate": 5.0})), scrams("s2"), scram(without=[("s2", 2), ("s 1", 1)]), scrams("s2", "s 1"), whose(("user", 0, "s2")),
        scram(without=[("s2", 1)]), scrams("s2"), scram(without=[("s 1", 2), ("sö/3", 2)]), scrams(), quotas((user("s2"), {"producer_byte_rate": None}))]),
    "bad credentials": ("AlterUserScramCredentials", 0, 0, [
        scram(*[(f"b{m}-{n}", m, n) for m in (0, 1, 2, 3, -1) for n in (4095, 4096, 16384, 16385, -1)]), scram(("", 1, 4096), ("b", 1, 4096), without=[("", 1), ("", 7)]),
        scram(("b", 1, 4096), ("b", 1, 4096)), scram(("b", 1, 4096), without=[("b", 1)]), scram(without=[("b", 1), ("b", 1)]), scram(("b", 9, 4096), ("b", 1, 1), ("c", 1, 1), ("c", 9, 1)),
        scram(without=[("nobody", 1), ("nobody", 2)]), scram(("nobody", 1, 4096), without=[("nobody", 2)]), scram(), scram(without=[("b", 9)]), scrams(),
        scram(("c", 1, 4096, b""), ("d", 1, 4096)), scram(("c", 1, 4096, b""), ("e", 7, 4096), ("nobody", 1, 5)), scrams(),
        scram(without=[(n, m) for n, m in (("b1-4096", 1), ("b1-16384", 1), ("b2-4096", 2), ("b2-16384", 2), ("b", 1))]), scrams()]),
}


def elect(*partitions, kind=0, timeout=5000):
    """ElectLeaders of these partitions of the flow's topic, or ((topic, partition), ...), or None."""
    def step(v, t):
        rows = None if partitions == (None,) else [{"Topic": p[0], "Partitions": [p[1]]} if isinstance(p, tuple) else {"Topic": t, "Partitions": [p]} for p in partitions]
        return "ElectLeaders", v, {"TopicPartitions": rows, "TimeoutMs": timeout, **({"ElectionType": kind} if v else {})}

    return step


def move(*rows, name=None):
    """AlterPartitionReassignments of (partition, replicas) or (topic, partition, replicas)."""
    def step(v, t):
        asked = [(t, *r) if len(r) == 2 else r for r in rows]
        return "AlterPartitionReassignments", 0, {"TimeoutMs": 5000, "Topics": [{"Name": n, "Partitions": [{"PartitionIndex": p, "Replicas": r}]} for n, p, r in asked]}

    return step


def moving(v, t):
    return "ListPartitionReassignments", 0, {"TimeoutMs": 5000, "Topics": None}


NOWHERE = ([], [-1], [1, -1], [1, 1], [9], [1, 9], [9, 9], [9, -1])
FLOWS |= {
    "to nowhere": ("AlterPartitionReassignments", 0, 0, [create(4), *[move((0, r)) for r in NOWHERE], moving]),
    "to the same": ("AlterPartitionReassignments", 0, 0, [create(4), put(), move((0, [1])), move((0, [1]), (1, [1])), settled({0: 2, 1: 1}), put(), moving,
                                                            epochs((0, 0), (0, 2))]),
    "no such move": ("AlterPartitionReassignments", 0, 0, [create(4), move((0, None)), move((2, None)), move((2, [1])), move((2, [9])), move((-1, [1])), move(),
                                                           *[move((n, 0, r)) for n in ("nobody", "b a d", "") for r in ([1], [9], [], None)]]),
    "moves beside each other": ("AlterPartitionReassignments", 0, 0, [create(4), move((0, [1]), (1, [9]), (2, [1]), ("nobody", 0, [1])), move((0, [9]), (0, [1])),
                                                                      move((0, [1]), (0, [9])), move((0, None), (0, [1]), (0, None)), moving]),
    "a move of what goes": ("AlterPartitionReassignments", 0, 0, [create(4), delete(4), move((0, [1])), move((0, [9])), move((0, None))]),
    "no reassignment": ("ListPartitionReassignments", 0, 0, [create(4), *[at("ListPartitionReassignments", Topics=t) for t in (
        None, [], [{"Name": "o-no-reassignment-0", "PartitionIndexes": [0, 1, 7, 0]}], [{"Name": "nobody", "PartitionIndexes": [0]}] * 2)]]),
    "nothing in an envelope": ("Envelope", 0, 0, [at("Envelope", RequestData=b"x", RequestPrincipal=None, ClientHostAddress=b"\x7f\0\0\1")]),
    "elections": ("ElectLeaders", 0, 2, [create(4), put(), *[elect(*p, kind=k) for k in (0, 1) for p in ((0,), (0, 1), (0, 0), (), (None,), (2,), (-1,), (("nobody", 0),),
                                                                                                        (("a b", 0), 1, ("", 3)), (("nobody", 0), ("nobody", 0)))],
                                         elect(0, timeout=0), elect(0, timeout=-1), look()]),
    "no such election": ("ElectLeaders", 1, 2, [create(4), put(), *[elect(*p, kind=k) for k in (2, -1, 127) for p in ((0, 1), (None,), ())]]),
}


def cases(flows):
    return [pytest.param(words, v, id=f"{words.replace(' ', '_')}-{v}") for words, (_, first, last, _) in flows.items() for v in range(first, last + 1)]


@pytest.mark.parametrize("words,version", cases(FLOWS))
def test_the_answers_are_javas(pair, kind, words, version):
    api, _, _, steps = FLOWS[words]
    name = f"o-{words.replace(' ', '-').replace(chr(39), '')}-{version}"
    check(pair, kind, (api, words), [s(version, name) for s in steps])


def config_nodes(zk, b):
    """{path: what it says} of the quotas and credentials of a broker's chroot, and whom the last changes were about."""
    with zk.session(b.zk_connect[b.zk_connect.index("/"):]) as k:
        out, todo = {}, ["/config/clients", "/config/users", "/config/ips"]
        while todo:
            path = todo.pop()
            if not k.exists(path):
                continue
            data = k.get(path)[0]
            out[path] = json.loads(data) if data else None
            todo += [f"{path}/{name}" for name in k.get_children(path)]
        changes = [json.loads(k.get(f"/config/changes/{name}")[0]) for name in sorted(k.get_children("/config/changes"))]
    # those of one request come in the order of a hash table
    return out, sorted([c for c in changes if not c["entity_path"].startswith("topics/")], key=str)


def test_quotas_and_credentials_leave_javas_nodes_and_changes(pair, kind, zk):
    for b in pair:
        with b.connect() as c:
            for step in FLOWS["quotas"][3]:
                c.call(*step(1, "x"))
    java, ours = (config_nodes(zk, b) for b in pair)
    assert ours[0] == java[0] and ours[1] == java[1], difference(ours[0], java[0])
    for b in pair:
        with b.connect() as c:
            for step in FLOWS["quotas"][3][:1]:
                c.call(*step(1, "x"))
            c.call(*FLOWS["credentials"][3][0](0, "x"))
    java, ours = (config_nodes(zk, b) for b in pair)
    assert ours == java and len(java[0]) > 10, difference(ours[0], java[0])


# Java's own programs: (name, arguments, file for {file}); {t} is a topic of each.
def plan(**row):
    """What kafka-reassign-partitions reads."""
    return {"version": 1, "partitions": [{"topic": "{t}", "partition": 0, "replicas": [1], **row}]}


TOOLS = [
    ("kafka-delete-records", ["--offset-json-file", "{file}"], {"version": 1, "partitions": [{"topic": "{t}", "partition": 0, "offset": 2}, {"topic": "{t}", "partition": 1, "offset": 9}]}),
    ("kafka-leader-election", ["--election-type", "preferred", "--topic", "{t}", "--partition", "0"], None),
    ("kafka-leader-election", ["--election-type", "unclean", "--all-topic-partitions"], None),
    ("kafka-acls", ["--list"], None),
    ("kafka-acls", ["--add", "--allow-principal", "User:a", "--operation", "read", "--topic", "{t}"], None),
    ("kafka-configs", ["--alter", "--entity-type", "users", "--entity-name", "tool", "--add-config", "producer_byte_rate=1024,SCRAM-SHA-256=[iterations=4096,password=secret]"], None),
    ("kafka-configs", ["--describe", "--entity-type", "users"], None),
    ("kafka-configs", ["--alter", "--entity-type", "clients", "--entity-name", "tool", "--add-config", "request_percentage=250"], None),
    ("kafka-configs", ["--alter", "--entity-type", "ips", "--entity-name", "10.2.3.4", "--add-config", "connection_creation_rate=7"], None),
    ("kafka-configs", ["--describe", "--entity-type", "ips"], None),
    ("kafka-configs", ["--alter", "--entity-type", "users", "--entity-name", "tool", "--delete-config", "producer_byte_rate,SCRAM-SHA-256"], None),
    ("kafka-configs", ["--alter", "--entity-type", "ips", "--entity-name", "10.2.3.4", "--add-config", "no.such=7"], None),
    ("kafka-features", ["describe"], None),
    ("kafka-reassign-partitions", ["--generate", "--topics-to-move-json-file", "{file}", "--broker-list", "1"], {"version": 1, "topics": [{"topic": "{t}"}]}),
    *[("kafka-reassign-partitions", [how, *more, "--reassignment-json-file", "{file}"], plan(**row)) for how, more, row in (
        ("--execute", [], {}), ("--verify", [], {}), ("--cancel", [], {}), ("--execute", [], {"replicas": [1, 9]}), ("--execute", [], {"log_dirs": ["any"]}),
        ("--execute", [], {"log_dirs": ["{dir}"]}), ("--execute", ["--throttle", "5000"], {"log_dirs": ["/nowhere"]}), ("--verify", [], {"log_dirs": ["{dir}"]}))],
    ("kafka-reassign-partitions", ["--list"], None),
    ("kafka-features", ["upgrade", "--feature", "no.such=1"], None),
]


def log_dir(b):
    with b.connect() as c:
        return c.call("DescribeLogDirs", 1, {"Topics": None})["Results"][0]["LogDir"]


def said_by(b, name, args, file, tmp_path):
    """What a tool said and how it ended, without what belongs to the run: addresses, stacks, salts."""
    if file:
        path = tmp_path / f"{b.kind}-{b.port}.json"
        path.write_text(json.dumps(file).replace("{t}", "tooled").replace("{dir}", str(log_dir(b))))
        args = [a.replace("{file}", str(path)) for a in args]
    done = java.tool(name, "--bootstrap-server", b.address, *[a.replace("{t}", "tooled") for a in args], check=False)
    lines = [re.sub(r"\(version=.*?\)|" + re.escape(b.address) + "|brokerId=\\d+", "", line) for line in done.stdout.splitlines()]
    lines = [line.replace(str(b.directory), "DIR") for line in lines]
    lines = [re.sub(r"(Could not upgrade \S+ to \d+\.).*", r"\1", line) for line in lines]        # then come our own words
    errors = sorted(set(re.findall(r"org\.apache\.kafka\.common\.errors\.\w+", done.stdout + done.stderr)))
    return done.returncode, [line for line in lines if "Exception" not in line and not line.startswith("\tat ")] if not errors else [], errors


@pytest.mark.long
@pytest.mark.parametrize("name,args,file", [pytest.param(*t, id="_".join([t[0], *t[1][:4]])) for t in TOOLS])
def test_javas_tools_hear_the_same(pair, kind, tmp_path, name, args, file):
    for b in pair:
        with b.connect() as c:
            if c.call(*create(4)(4, "tooled"))["Topics"][0]["ErrorCode"] == 0:
                for _ in range(3):
                    wait_until(lambda: c.call(*put()(9, "tooled"))["Responses"][0]["PartitionResponses"][0]["ErrorCode"] == 0, 20)
    java_said, ours = (said_by(b, name, args, file, tmp_path) for b in pair)
    assert ours == java_said, f"ours {ours}\nJava's {java_said}"


def controller_epoch(k):
    return int(k.get("/controller_epoch")[0])


def rule_anew(zk, b):
    """The controller goes, and comes back."""
    with zk.session("/" + b.zk_connect.partition("/")[2]) as k:
        epoch = controller_epoch(k)
        k.delete("/controller")
        wait_until(lambda: controller_epoch(k) > epoch and k.exists("/controller"), 20)


def leave(zk, b, topic, replicas, adding=(), removing=(), state=None):
    """A topic as a cluster of more brokers left it, its first partition at least; the state is that of its leader and ISR."""
    with zk.session("/" + b.zk_connect.partition("/")[2]) as k:
        if state:
            data = {"controller_epoch": 1, "leader": state[0], "version": 1, "leader_epoch": 3, "isr": state[1]}
            k.create(f"/brokers/topics/{topic}/partitions/0/state", json.dumps(data).encode(), makepath=True)
        said = {"removing_replicas": {"0": list(removing)} if removing else {}, "partitions": {"0": list(replicas)}, "topic_id": base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("="),
                "adding_replicas": {"0": list(adding)} if adding else {}, "version": 3}
        (k.set if state else k.create)(f"/brokers/topics/{topic}", json.dumps(said).encode())


def served(b, topic):
    def led():
        with b.connect() as c:
            t = c.call("Metadata", 9, {"Topics": [{"Name": topic}], "AllowAutoTopicCreation": False})["Topics"][0]
            return t["ErrorCode"] == 0 and t["Partitions"][0]["LeaderId"] == 1

    wait_until(led, 20)


def nodes_of(zk, b, *topics):
    return {p: n for p, n in znodes.tree(zk, b).items() if p.startswith("/brokers/topics/") and p.split("/")[3] in topics}


def settled(zk, pair, *topics):
    """Both trees say the same of these topics; what it is."""
    wait_until(lambda: nodes_of(zk, pair[0], *topics) == nodes_of(zk, pair[1], *topics), 15, every=0.2)
    return nodes_of(zk, pair[1], *topics)


@pytest.fixture(scope="module")
def left(pair, zk):
    for b in pair:
        for topic, replicas in (("left.shrinks", [7, 1, 8]), ("left.turns", [1, 7]), ("left.waits", [1, 7])):
            leave(zk, b, topic, replicas)
            served(b, topic)


MOVES = {
    "dead brokers leave": ("left.shrinks", [[1], [1]], [1]),
    "the order alone": ("left.turns", [[7, 1]], [7, 1]),
    "to a dead replica and back": ("left.waits", [[7], None, None, [7], [1, 7], [7], [1]], [1]),
}


@pytest.mark.parametrize("words", MOVES, ids=lambda w: w.replace(" ", "_"))
def test_replicas_of_dead_brokers_move_as_with_java(pair, zk, left, words):
    """The same answers and, after each, the same znodes, down to how often each was written."""
    topic, moves, last = MOVES[words]
    for replicas in moves:
        java, ours = (play(b, [s(0, topic) for s in (move((0, replicas)), moving)]) for b in pair)
        assert ours == java, difference(ours, java)
        nodes = settled(zk, pair, topic)
    assert nodes[f"/brokers/topics/{topic}"]["data"]["partitions"]["0"] == last
    java, ours = (play(b, [s(9, topic) for s in (put(), look(9))]) for b in pair)
    assert ours == java, difference(ours, java)
    assert ours[0]["Responses"][0]["PartitionResponses"][0]["ErrorCode"] == 0


def test_a_reassignment_that_a_controller_left_half_way_is_finished_as_by_java(pair, zk):
    topics = ("half.shrinks", "half.comes", "half.waits")
    for b in pair:
        leave(zk, b, "half.shrinks", [1, 7], removing=[7], state=(7, [1, 7]))
        leave(zk, b, "half.comes", [1, 7], adding=[1], removing=[7], state=(7, [7, 1]))
        leave(zk, b, "half.waits", [7, 1], removing=[1], state=(1, [1]))
        rule_anew(zk, b)
        for t in topics:
            served(b, t)
    nodes = settled(zk, pair, *topics)
    assert [nodes[f"/brokers/topics/{t}"]["data"]["partitions"]["0"] for t in topics] == [[1], [1], [7, 1]]
    java, ours = (play(b, [s(0, "half.waits") for s in (moving, move((0, None)), moving)]) for b in pair)
    assert ours == java, difference(ours, java)
    settled(zk, pair, *topics)


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
