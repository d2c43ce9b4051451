# SPDX-License-Identifier: Apache-2.0
"""Java and the broker under test, side by side, after the same history; and what two answers of theirs may differ in."""
import re
import uuid

from . import records
from .broker import make_broker
from .proc import wait_until

NAME = "topic.of.both"
UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def fill(b, topic, partition=0):
    """Ten records in one batch."""
    def filled():
        with b.connect() as c:
            answer = c.call("Produce", 7, {"Acks": -1, "TimeoutMs": 5000, "TopicData": [{"Name": topic, "PartitionData": [
                {"Index": partition, "Records": records.batch([b"%d" % i for i in range(10)])}]}]})
            return answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"] == 0

    wait_until(filled, 20)


def start(made, kinds, directories, address, config=None, name="pair"):
    """Appends one broker of each kind to `made`: the same id, each with its own chroot, and a topic with records.  The caller ends them."""
    for n, k in enumerate(kinds):
        b = make_broker(k, directories(f"{name}-{k}"), f"{address}/{name}-{kinds[1]}-{n}", 1, config)
        made.append(b)
        b.launch()
    for b in made:
        b.wait_ready()
        with b.connect() as c:
            c.call("CreateTopics", 4, {"Topics": [{"Name": NAME, "NumPartitions": 3, "ReplicationFactor": 1, "Configs": [
                {"Name": "max.message.bytes", "Value": "2000"},
                {"Name": "retention.ms", "Value": "-1"}]}], "timeoutMs": 20000})        # the records are old, and Java looks after 30 s
        fill(b, NAME)
        wait_until(lambda: coordinated(b), 30, "the topic of the groups")


def coordinated(b):
    """Asks for the coordinator of any group, which makes its topic: from here on both have it."""
    with b.connect() as c:
        return c.call("FindCoordinator", 0, {"Key": "any"})["ErrorCode"] == 0


def topic_id(b, name=NAME):
    with b.connect() as c:
        return c.call("Metadata", 12, {"Topics": [{"Name": name}]})["Topics"][0]["TopicId"]


def normalise(b, value, key=""):
    """Names for what belongs to the run."""
    if isinstance(value, dict):
        return {k: normalise(b, v, k) for k, v in value.items()}
    if isinstance(value, list):
        rows = [normalise(b, v, key) for v in value]
        # the order of these is that of a hash table in Java
        return sorted(rows, key=str) if key in ("Topics", "Responses", "Results", "Configs", "ApiKeys", "Synonyms", "Brokers", "Partitions",
                                                "PartitionResponses", "topics", "results", "Entity", "Entries", "Values",
                                                "ReplicaElectionResults", "PartitionResult", "Groups") else rows
    if isinstance(value, uuid.UUID):
        return "some id" if value.int else "no id"
    if key == "ClusterId" and value:
        return "some cluster"
    if key == "ErrorMessage" and value:
        return "some words"     # ours, as long as Java has some and none where it has none
    if isinstance(value, str):
        value = UUID.sub("UUID", value)     # ids of group members
        return re.sub(rf"(?<!\d){b.port}(?!\d)", "PORT", value).replace(str(b.directory), "DIR").replace(b.zk_connect, "ZK")
    if key == "UsableBytes" and value > 0:
        return "some room"      # others write meanwhile
    if key == "SessionId" and value:
        return "some session"
    if key == "Port" and value == b.port:
        return "PORT"
    return value


def difference(ours, java, path=""):
    if type(ours) is type(java) and isinstance(java, dict):
        return "\n".join(difference(ours.get(k), java.get(k), f"{path}.{k}") for k in {**java, **ours} if ours.get(k) != java.get(k))
    if type(ours) is type(java) and isinstance(java, list) and len(ours) == len(java):
        return "\n".join(difference(a, b, f"{path}[{i}]") for i, (a, b) in enumerate(zip(ours, java)) if a != b)
    return f"{path}: ours {ours!r}, Java's {java!r}"
