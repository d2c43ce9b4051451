# SPDX-License-Identifier: Apache-2.0
"""Topics, partitions and configurations through Java's tools and the clients' admin interfaces; offsets; metadata."""
import re
import time
import uuid

import pytest

from harness import env, java, records
from harness.clients import confluent_consume, confluent_produce, run
from harness.proc import wait_until


def topics(broker, *args, **kwargs):
    return java.tool("kafka-topics", "--bootstrap-server", broker.address, *args, **kwargs)


def configs(broker, *args, **kwargs):
    return java.tool("kafka-configs", "--bootstrap-server", broker.address, *args, **kwargs)


def admin(broker):
    from confluent_kafka.admin import AdminClient
    return AdminClient({"bootstrap.servers": broker.address, "broker.address.family": "v4"})


def metadata(broker, name, version=12, auto=False):
    with broker.connect() as c:
        return c.call("Metadata", version, {"Topics": [{"Name": name}], "AllowAutoTopicCreation": auto})["Topics"][0]


def all_topics(broker):
    with broker.connect() as c:
        return [t["Name"] for t in c.call("Metadata", 12, {"Topics": None})["Topics"]]


# ---- kafka-topics -----------------------------------------------------------------------------------------------------------------------
def test_kafka_topics_creates_lists_describes_alters_and_deletes(broker, topic):
    t = topic()
    topics(broker, "--create", "--topic", t, "--partitions", 3, "--replication-factor", 1, "--config", "retention.ms=12345678")
    assert t in topics(broker, "--list").stdout.split()
    text = topics(broker, "--describe", "--topic", t).stdout
    assert re.search(rf"Topic: {t}\s+TopicId: \S{{22}}\s+PartitionCount: 3\s+ReplicationFactor: 1\s+Configs: .*retention.ms=12345678", text), text
    assert len(re.findall(rf"Leader: {broker.id}\s+Replicas: {broker.id}\s+Isr: {broker.id}\b", text)) == 3, text
    topics(broker, "--alter", "--topic", t, "--partitions", 5)
    assert "PartitionCount: 5" in topics(broker, "--describe", "--topic", t).stdout
    assert wait_until(lambda: broker.partition_dir(t, 4).is_dir(), 10)
    topics(broker, "--delete", "--topic", t)
    wait_until(lambda: t not in topics(broker, "--list").stdout.split(), 20)
    assert not broker.partition_dir(t, 0).exists()


def test_kafka_topics_says_why_it_cannot(broker, topic):
    t = topic(broker)
    for args, error in [
            (("--create", "--topic", t, "--partitions", 1), "TopicExistsException"),
            (("--create", "--topic", topic(), "--partitions", 1, "--replication-factor", 2), "InvalidReplicationFactorException"),
            (("--create", "--topic", "bad/name"), "InvalidTopicException"),
            (("--alter", "--topic", t, "--partitions", 1), "InvalidPartitionsException")]:
        done = topics(broker, *args, check=False)
        assert done.returncode != 0 and error in done.stdout + done.stderr, (args, done.stdout, done.stderr)


def test_the_same_topic_created_again_after_deletion_is_empty_and_has_a_new_id(broker, topic):
    t = topic(broker)
    confluent_produce(broker, t, [b"old"] * 10)
    first = metadata(broker, t)["TopicId"]
    a = admin(broker)
    a.delete_topics([t])[t].result(20)
    wait_until(lambda: metadata(broker, t)["ErrorCode"] == 3, 20, "the topic to be gone")
    wait_until(lambda: topic(broker, name=t), 20, "to create it again")
    second = wait_until(lambda: (m := metadata(broker, t))["ErrorCode"] == 0 and m["TopicId"], 20)
    assert second != first
    wait_until(lambda: (confluent_produce(broker, t, [b"new"]), True)[1], 20)
    assert confluent_consume(broker, t, 1) == [b"new"]


def test_deleted_topics_leave_no_directory(brokers, kind, topic):
    b = brokers(kind, config={"file.delete.delay.ms": 500, "log.segment.delete.delay.ms": 500}).start()
    t = topic(b, partitions=3)
    confluent_produce(b, t, [b"x"] * 10)
    with b.connect() as c:
        assert c.call("DeleteTopics", 5, {"TopicNames": [t], "TimeoutMs": 30000})["Responses"][0]["ErrorCode"] == 0
    # log.segment.delete.delay.ms is what the directory waits for
    wait_until(lambda: not [p for p in b.data.iterdir() if p.name.startswith(t)], 90, "the directories to go")


# ---- AdminClient ------------------------------------------------------------------------------------------------------------------------
def test_confluent_admin_client_creates_grows_and_deletes(broker, topic):
    from confluent_kafka.admin import NewPartitions, NewTopic
    a, t = admin(broker), topic()
    assert a.create_topics([NewTopic(t, num_partitions=2, replication_factor=1)], validate_only=True)[t].result(20) is None
    assert t not in a.list_topics(timeout=10).topics
    a.create_topics([NewTopic(t, num_partitions=2, replication_factor=1)])[t].result(20)
    wait_until(lambda: len(a.list_topics(t, timeout=10).topics[t].partitions) == 2, 10)
    a.create_partitions([NewPartitions(t, 4)])[t].result(20)
    wait_until(lambda: len(a.list_topics(t, timeout=10).topics[t].partitions) == 4, 10)
    a.delete_topics([t])[t].result(20)
    wait_until(lambda: t not in a.list_topics(timeout=10).topics, 20)


def test_kafka_python_admin_client_creates_and_describes(broker, topic):
    from kafka import KafkaAdminClient
    from kafka.admin import NewTopic
    t = topic()
    a = KafkaAdminClient(bootstrap_servers=broker.address)
    try:
        a.create_topics([NewTopic(t, 2, 1)])
        wait_until(lambda: len(a.describe_topics([t])[0]["partitions"]) == 2, 10)
        a.delete_topics([t])
    finally:
        a.close()


def test_aiokafka_admin_client_creates_and_deletes(broker, topic):
    import asyncio

    from aiokafka.admin import AIOKafkaAdminClient, NewTopic
    t = topic()

    async def go():
        a = AIOKafkaAdminClient(bootstrap_servers=broker.address)
        await a.start()
        try:
            await a.create_topics([NewTopic(t, 2, 1)])
            assert t in await a.list_topics()
            await a.delete_topics([t])
        finally:
            await a.close()

    asyncio.run(asyncio.wait_for(go(), 60))


def test_kafka_cluster_tool_sees_the_cluster_id_of_meta_properties(broker):
    said = java.tool("kafka-cluster", "cluster-id", "--bootstrap-server", broker.address).stdout
    kept = re.search(r"^cluster.id=(\S+)$", (broker.data / "meta.properties").read_text(), re.M).group(1)
    assert said.strip() == f"Cluster ID: {kept}"


def test_kafka_broker_api_versions_reads_our_table(broker):
    text = java.tool("kafka-broker-api-versions", "--bootstrap-server", broker.address).stdout
    for api in ("Produce(0)", "Fetch(1)", "ListOffsets(2)", "Metadata(3)", "ApiVersions(18)", "CreateTopics(19)", "DeleteTopics(20)",
                "DescribeConfigs(32)", "AlterConfigs(33)", "CreatePartitions(37)", "IncrementalAlterConfigs(44)", "DescribeCluster(60)"):
        assert re.search(re.escape(api) + r": \d", text), (api, text)


# ---- kafka-configs ----------------------------------------------------------------------------------------------------------------------
def test_kafka_configs_alters_and_describes_a_topic(broker, topic):
    t = topic(broker)
    configs(broker, "--alter", "--entity-type", "topics", "--entity-name", t, "--add-config", "retention.ms=3600000,segment.bytes=1048576")
    text = configs(broker, "--describe", "--entity-type", "topics", "--entity-name", t).stdout
    assert re.search(r"retention.ms=3600000 sensitive=false synonyms=\{DYNAMIC_TOPIC_CONFIG:retention.ms=3600000\}", text), text
    assert "segment.bytes=1048576" in text
    configs(broker, "--alter", "--entity-type", "topics", "--entity-name", t, "--delete-config", "retention.ms")
    text = configs(broker, "--describe", "--entity-type", "topics", "--entity-name", t).stdout
    assert "retention.ms" not in text and "segment.bytes=1048576" in text
    text = configs(broker, "--describe", "--all", "--entity-type", "topics", "--entity-name", t).stdout
    assert re.search(r"retention.ms=604800000 sensitive=false synonyms=\{\}", text), text


def test_kafka_configs_alters_and_describes_broker_and_cluster_defaults(brokers, kind, topic):
    b = brokers(kind).start()
    t = topic(b)
    configs(b, "--alter", "--entity-type", "brokers", "--entity-default", "--add-config", "log.retention.ms=7200000")
    assert re.search(r"log.retention.ms=7200000 sensitive=false synonyms=\{DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=7200000",
                     configs(b, "--describe", "--entity-type", "brokers", "--entity-default").stdout)
    configs(b, "--alter", "--entity-type", "brokers", "--entity-name", b.id, "--add-config", "log.retention.ms=3600000")

    def seen():
        return configs(b, "--describe", "--all", "--entity-type", "brokers", "--entity-name", b.id).stdout

    text = wait_until(lambda: (x := seen()) and "DYNAMIC_BROKER_CONFIG:log.retention.ms=3600000" in x and x, 20)
    assert re.search(r"log.retention.ms=3600000 sensitive=false synonyms=\{DYNAMIC_BROKER_CONFIG:log.retention.ms=3600000, "
                     r"DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=7200000", text), text
    # and the topic, which says nothing of its own, follows
    text = configs(b, "--describe", "--all", "--entity-type", "topics", "--entity-name", t).stdout
    assert re.search(r"\n\s+retention.ms=3600000 ", text), text


def test_a_topic_config_takes_effect_at_once(broker, topic):
    from confluent_kafka import KafkaError, Producer
    t = topic(broker)
    configs(broker, "--alter", "--entity-type", "topics", "--entity-name", t, "--add-config", "max.message.bytes=1000")
    p = Producer({"bootstrap.servers": broker.address, "broker.address.family": "v4"})

    def refused():
        got = []
        p.produce(t, b"x" * 2000, partition=0, on_delivery=lambda e, m: got.append(e.code() if e else None))
        p.flush(20)
        return got == [KafkaError.MSG_SIZE_TOO_LARGE]

    wait_until(refused, 10)


def test_settings_survive_a_restart(brokers, kind, topic):
    b = brokers(kind).start()
    t = topic(b, partitions=2, config={"cleanup.policy": "delete", "max.message.bytes": 5555})
    b.restart()
    text = configs(b, "--describe", "--entity-type", "topics", "--entity-name", t).stdout
    assert "max.message.bytes=5555" in text
    assert "PartitionCount: 2" in topics(b, "--describe", "--topic", t).stdout


# ---- offsets ----------------------------------------------------------------------------------------------------------------------------
def offsets(broker, t, when):
    text = java.tool("kafka-get-offsets", "--bootstrap-server", broker.address, "--topic", t, "--time", when).stdout
    return [tuple(int(x) if x else None for x in line.split(":")[1:]) for line in sorted(text.splitlines())]


def test_kafka_get_offsets_finds_ends_and_times(broker, topic):
    from confluent_kafka import Producer
    t = topic(broker, partitions=2)
    p = Producer({"bootstrap.servers": broker.address, "broker.address.family": "v4"})
    base = 1_700_000_000_000
    for i in range(10):
        p.produce(t, b"x", partition=0, timestamp=base + (i if i != 5 else 500))
        assert p.flush(20) == 0
    assert offsets(broker, t, -1) == [(0, 10), (1, 0)]
    assert offsets(broker, t, -2) == [(0, 0), (1, 0)]
    assert offsets(broker, t, -3)[0] == (0, 5)              # the record with the largest timestamp
    assert offsets(broker, t, base)[0] == (0, 0)
    assert offsets(broker, t, base + 3)[0] == (0, 3)
    assert offsets(broker, t, base + 100)[0] == (0, 5)
    # later than all: the tool leaves the partition out or shows nothing behind the colon
    assert [o for o in offsets(broker, t, base + 501) if o[-1] is not None] == []


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_offsets_by_time_look_inside_batches(broker, topic, codec):
    from confluent_kafka import Consumer, Producer, TopicPartition
    t = topic(broker)
    p = Producer({"bootstrap.servers": broker.address, "linger.ms": 200, "compression.type": codec, "broker.address.family": "v4"})
    base = 1_700_000_000_000
    for i in range(300):
        p.produce(t, b"x" * 50, partition=0, timestamp=base + 10 * i)
    assert p.flush(20) == 0
    c = Consumer({"bootstrap.servers": broker.address, "group.id": "none", "broker.address.family": "v4"})
    try:
        for i in (0, 1, 149, 299):
            (found,) = c.offsets_for_times([TopicPartition(t, 0, base + 10 * i - 5)], timeout=10)
            assert found.offset == i
        assert c.get_watermark_offsets(TopicPartition(t, 0), timeout=10) == (0, 300)
    finally:
        c.close()


# ---- metadata and automatic creation ----------------------------------------------------------------------------------------------------
def test_metadata_of_an_unknown_topic_is_unknown_and_creates_nothing(broker, topic):
    t = topic()
    assert metadata(broker, t)["ErrorCode"] == 3
    assert t not in topics(broker, "--list").stdout.split()
    with broker.connect() as c:
        answer = c.call("Metadata", 12, {"Topics": [{"TopicId": uuid.UUID(int=77), "Name": None}]})
        assert answer["Topics"][0]["ErrorCode"] == 100       # UNKNOWN_TOPIC_ID


def test_a_producer_creates_its_topic_when_that_is_allowed(brokers, kind, topic):
    b = brokers(kind, config={"num.partitions": 3}).start()
    t = topic()
    run([env.need_command("kcat", "kafkacat"), "-q", "-P", "-b", b.address, "-t", t, "-p", "0", "-X", "broker.address.family=v4"], b"hello\n")
    assert confluent_consume(b, t, 1) == [b"hello"]
    assert len(metadata(b, t)["Partitions"]) == 3


def test_a_producer_creates_nothing_when_that_is_forbidden(brokers, kind, topic):
    b = brokers(kind, config={"auto.create.topics.enable": "false"}).start()
    t = topic()
    assert metadata(b, t, auto=True)["ErrorCode"] == 3
    time.sleep(0.5)     # what must not happen has no condition to wait for
    assert t not in topics(b, "--list").stdout.split()


def coordinator(b, version, keys, key_type=0):
    """-> {key: (error, node)}"""
    with b.connect() as c:
        if version >= 4:
            rows = c.call("FindCoordinator", version, {"CoordinatorKeys": keys, "KeyType": key_type})["Coordinators"]
            return {r["Key"]: (r["ErrorCode"], r["NodeId"], r["Port"]) for r in rows}
        rows = {k: c.call("FindCoordinator", version, {"Key": k, **({"KeyType": key_type} if version else {})}) for k in keys}
        return {k: (r["ErrorCode"], r["NodeId"], r["Port"]) for k, r in rows.items()}


def test_the_topic_of_the_groups_is_made_when_a_group_asks_for_its_coordinator(brokers, kind):
    """With auto.create.topics.enable=false too; with Kafka's settings; and once it is there every version names the broker."""
    b = brokers(kind, config={"auto.create.topics.enable": "false", "offsets.topic.segment.bytes": 12345678}).start()
    assert coordinator(b, 2, ["g"])["g"][0] == 15
    wait_until(lambda: all_topics(b) == ["__consumer_offsets"], 20, "the topic, and only that")
    for version in range(7):
        wait_until(lambda: coordinator(b, version, ["g", "h"]) == {k: (0, b.id, b.port) for k in ("g", "h")}, 20, "a coordinator")
    row = metadata(b, "__consumer_offsets")
    assert row["IsInternal"] and len(row["Partitions"]) == 5
    with b.connect() as c:
        rows = c.call("DescribeConfigs", 4, {"Resources": [{"ResourceType": 2, "ResourceName": "__consumer_offsets"}]})["Results"][0]["Configs"]
        assert {r["Name"]: r["Value"] for r in rows if r["ConfigSource"] == 1} == {
            "cleanup.policy": "compact", "compression.type": "producer", "segment.bytes": "12345678"}


def test_the_topic_of_the_groups_can_be_made_by_asking_for_its_metadata(brokers, kind):
    b = brokers(kind).start()
    wait_until(lambda: len(metadata(b, "__consumer_offsets", auto=True)["Partitions"]) == 5, 20, "the topic")
    assert coordinator(b, 3, ["g"])["g"] == (0, b.id, b.port)
    with b.connect() as c:
        rows = c.call("DescribeConfigs", 4, {"Resources": [{"ResourceType": 2, "ResourceName": "__consumer_offsets"}]})["Results"][0]["Configs"]
        assert {r["Name"] for r in rows if r["ConfigSource"] == 1} == {"cleanup.policy", "compression.type", "segment.bytes"}


@pytest.mark.only("ottla")
def test_nothing_is_made_for_transactional_ids_yet_and_without_enough_brokers(brokers, kind):
    """Java makes __transaction_state: a listed difference until there are transactions."""
    b = brokers(kind, config={"offsets.topic.replication.factor": 2}).start()
    assert coordinator(b, 6, ["t"], 1)["t"] == (15, -1, -1)
    assert [coordinator(b, 6, ["g"])["g"] for _ in range(20)] == [(15, -1, -1)] * 20
    assert all_topics(b) == []
    assert b.text().count("offsets.topic.replication.factor asks for 2 brokers, 1 are alive") == 1


def test_nobody_but_the_admin_client_writes_to_the_topic_of_the_groups_or_deletes_its_records(brokers, kind):
    b = brokers(kind).start()
    wait_until(lambda: coordinator(b, 3, ["g"])["g"][0] == 0, 20, "a coordinator")
    with b.connect() as c:
        answer = c.call("Produce", 7, {"Acks": -1, "TimeoutMs": 5000, "TopicData": [{"Name": "__consumer_offsets", "PartitionData": [
            {"Index": 0, "Records": records.batch([b"v"])}]}]})
        assert answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"] == 17
        answer = c.call("DeleteRecords", 1, {"Topics": [{"Name": "__consumer_offsets", "Partitions": [{"PartitionIndex": 0, "Offset": -1}]}], "TimeoutMs": 5000})
        assert answer["Topics"][0]["Partitions"][0]["ErrorCode"] == 17


def test_more_partitions_than_the_usual_soft_limit_of_descriptors(brokers):
    """Java raises the soft limit to the hard one, so an operator sets only that."""
    import resource
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < 600:
        pytest.skip(f"the hard limit of descriptors is {hard}")
    b = brokers("ottla").launch(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard)))
    b.wait_ready()
    t = "many-" + uuid.uuid4().hex
    from confluent_kafka.admin import NewTopic
    client = admin(b)
    client.create_topics([NewTopic(t, 60, 1)])[t].result(30)
    wait_until(lambda: all(p["ErrorCode"] == 0 for p in metadata(b, t)["Partitions"]), 30, "60 leaders")
    wait_until(lambda: len(list(b.data.glob(f"{t}-*/*.index"))) == 60, 30, "the files, which are made behind the answer")
    assert b.alive()
