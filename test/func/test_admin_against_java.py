# SPDX-License-Identifier: Apache-2.0
"""Topics and settings as in test_records_against_java: flows of requests that do change something, sent to Java and to the broker under test."""
import uuid

import pytest

from harness import records
from harness.proc import wait_until
from test_against_java import alter_row, config_row, incremental_row, topic_id
from test_records_against_java import check

pytestmark = pytest.mark.zookeeper

ONE = records.batch([b"x"])
TOPIC = 2


# A step is a function of the flow's version and topic -> (api, version, message); `at` fixes the version of the steps that only look.
def create(at=None, name="", timeout=20000, **fields):
    def step(v, t):
        row = {"Name": t + name, "NumPartitions": 2, "ReplicationFactor": 1, **fields}
        return "CreateTopics", v if at is None else at, {"Topics": [row], "timeoutMs": timeout}

    return step


def delete(at=None, by="name", timeout=20000):
    def step(v, t):
        version = v if at is None else at

        def message(b, raw):
            if version < 6:
                return {"TopicNames": [t], "TimeoutMs": timeout}
            row = {"Name": t} if by == "name" else {"Name": None, "TopicId": topic_id(b, t)}
            return {"Topics": [row], "TimeoutMs": timeout}

        return "DeleteTopics", version, message

    return step


def gone_and_made_again():
    """When Delete answers, the topic's znodes may still be there, in both; then Create says so."""
    def step(v, t):
        def message(b, raw):
            def made():
                with b.connect() as c:
                    return c.call(*create(4)(v, t))["Topics"][0]["ErrorCode"] == 0

            wait_until(made, 20)
            return {"Topics": [{"Name": t}], "AllowAutoTopicCreation": False}

        return "Metadata", 12, message

    return step


def look(at=12, auto=False, name=""):
    return lambda v, t: ("Metadata", v if at is None else at, {"Topics": [{"Name": t + name}], "AllowAutoTopicCreation": auto})


def grow(count, assignments=None, at=None, timeout=20000, **fields):
    return lambda v, t: ("CreatePartitions", v if at is None else at, {"Topics": [{"Name": t, "Count": count, "Assignments": assignments}],
                                                                        "TimeoutMs": timeout, "ValidateOnly": False, **fields})


def settings(at=4, keys=None):
    return lambda v, t: ("DescribeConfigs", v if at is None else at, config_row(TOPIC, t, keys, IncludeSynonyms=True))


def alter(*pairs, at=None):
    return lambda v, t: ("AlterConfigs", v if at is None else at, {**alter_row(TOPIC, t, pairs), "ValidateOnly": False})


def change(*rows, at=None):
    return lambda v, t: ("IncrementalAlterConfigs", v if at is None else at, {**incremental_row(TOPIC, t, rows), "ValidateOnly": False})


def put(partition=0):
    return lambda v, t: ("Produce", 9, {"Acks": -1, "TimeoutMs": 5000, "TopicData": [{"Name": t, "PartitionData": [
        {"Index": partition, "Records": ONE}]}]})


def ends(*partitions):
    return lambda v, t: ("ListOffsets", 7, {"Topics": [{"Name": t, "Partitions": [{"PartitionIndex": p, "Timestamp": -1} for p in partitions]}]})


def config(**pairs):
    return [{"Name": k.replace("_", "."), "Value": v} for k, v in pairs.items()]


FLOWS = {
    "created": (0, 7, [create(), look(), settings(), put(1), ends(0, 1, 2), create()]),
    "created with settings": (0, 7, [create(Configs=config(retention_ms="-1", cleanup_policy="compact,delete", max_message_bytes="100")), settings(),
                                     put(), look()]),
    "created by hand": (0, 7, [create(NumPartitions=-1, ReplicationFactor=-1, Assignments=[{"PartitionIndex": n, "BrokerIds": [1]} for n in (1, 0, 2)]), look()]),
    "created by default": (4, 7, [create(NumPartitions=-1, ReplicationFactor=-1), look()]),
    "not made": (0, 7, [create(ReplicationFactor=2), create(NumPartitions=0), create(Configs=config(no_such="1")), look(), settings()]),
    "deleted": (0, 6, [create(4), put(), delete(), look(), delete(5), gone_and_made_again(), ends(0), put(), ends(0)]),
    "deleted by id": (6, 6, [create(4), put(), delete(by="id"), look()]),
    "settings go with the topic": (1, 6, [create(4, Configs=config(retention_ms="77")), delete(), gone_and_made_again(), settings()]),
    "grown": (0, 3, [create(4), grow(5), look(), put(4), ends(*range(6)), grow(5), grow(3), look()]),
    "grown by hand": (0, 3, [create(4), grow(4, [{"BrokerIds": [1]}, {"BrokerIds": [1]}]), look(), grow(5, [{"BrokerIds": [1, 2]}]), look()]),
    "only looked at": (0, 3, [create(4), grow(5, ValidateOnly=True), look()]),
    "altered": (0, 2, [create(4), alter(("retention.ms", "5555"), ("max.message.bytes", "70")), settings(), put(), alter(("retention.ms", "-1")), settings(), put(),
                       alter(), settings()]),
    "altered badly": (0, 2, [create(4, Configs=config(retention_ms="7")), alter(("flush.ms", "5"), ("no.such", "x")), settings(),
                             alter(("flush.ms", "many")), alter(("compression.type", "zip")), alter(("min.insync.replicas", "0")), settings()]),
    "changed": (0, 1, [create(4), change(("retention.ms", 0, "5555"), ("max.message.bytes", 0, "70")), settings(), put(), change(("max.message.bytes", 1, None)),
                       settings(), put(), change(("retention.ms", 1, None)), settings(), change(("cleanup.policy", 2, "compact")), settings(),
                       change(("cleanup.policy", 3, "delete")), settings(), change(("cleanup.policy", 2, "compact"), ("flush.ms", 0, "99")), settings()]),
    "changed badly": (0, 1, [create(4), change(("retention.ms", 0, "5"), ("no.such", 0, "x")), change(("retention.ms", 0, "many")),
                             change(("cleanup.policy", 0, "melt")), change(("retention.ms", 2, "7")), settings()]),
    "settings in each version": (0, 4, [create(4, Configs=config(retention_ms="-1")), settings(None), settings(None, ["retention.ms"]), settings(None, [])]),
    "made by asking": (0, 12, [look(None, True)]),
    "not made by asking": (4, 12, [look(None, False), look()]),
    "made by asking, bad name": (0, 12, [look(None, True, name=" !"), look(None, True, name="x" * 250)]),
}


def cases():
    return [pytest.param(words, v, id=f"{words.replace(' ', '_')}-{v}") for words, (first, last, _) in FLOWS.items() for v in range(first, last + 1)]


@pytest.mark.parametrize("words,version", cases())
def test_admin_answers_as_java(pair, kind, words, version):
    name = f"a-{words.replace(' ', '-').replace(',', '')}-{version}"
    check(pair, kind, ("Admin", words), [s(version, name) for s in FLOWS[words][2]])


def test_what_does_not_exist_by_id(pair, kind):
    check(pair, kind, ("Admin", "ids"), [("DeleteTopics", 6, {"Topics": [{"Name": None, "TopicId": uuid.UUID(int=n)}], "TimeoutMs": 1000}) for n in (0, 1, 99)])
