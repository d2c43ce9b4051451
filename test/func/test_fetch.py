# SPDX-License-Identifier: Apache-2.0
"""Fetch by hand: how long it waits, how much it gives, its sessions, its errors."""
import threading
import time

import pytest

from harness import records
from harness.clients import confluent_produce


def fetch(c, t, offset=0, version=12, partition=0, max_wait=500, min_bytes=1, max_bytes=50 << 20, partition_max=1 << 20, **more):
    p = {"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": partition_max, **more.pop("partition_fields", {})}
    return c.call("Fetch", version, {"ReplicaId": -1, "MaxWaitMs": max_wait, "MinBytes": min_bytes, "MaxBytes": max_bytes,
                                     "Topics": [{"Topic": t, "Partitions": [p]}], **more})


def one(answer):
    return answer["Responses"][0]["Partitions"][0]


def produce(c, t, data, acks=-1, partition=0, version=7, timeout=10000):
    message = {"Acks": acks, "TimeoutMs": timeout, "TopicData": [{"Name": t, "PartitionData": [{"Index": partition, "Records": data}]}]}
    if acks == 0:
        return c.send("Produce", version, message)
    return c.call("Produce", version, message)["Responses"][0]["PartitionResponses"][0]


def test_a_fetch_at_the_end_waits_as_long_as_asked(broker, topic):
    t = topic(broker)
    with broker.connect() as c:
        for wait in (0, 300, 1200):
            began = time.monotonic()
            answer = one(fetch(c, t, max_wait=wait))
            took = time.monotonic() - began
            assert answer["ErrorCode"] == 0 and not answer["Records"]
            assert wait / 1000 - 0.05 <= took < wait / 1000 + 0.5, took


def test_a_waiting_fetch_is_answered_as_soon_as_a_record_comes(broker, topic):
    t = topic(broker)
    with broker.connect() as c, broker.connect() as p:
        fetch(c, t, max_wait=0)
        delays = []
        for i in range(10):
            sent = []

            def later():
                time.sleep(0.05)
                sent.append(time.monotonic())
                assert produce(p, t, records.batch([b"%d" % i]))["ErrorCode"] == 0

            thread = threading.Thread(target=later)
            thread.start()
            got = one(fetch(c, t, offset=i, max_wait=10000))
            delays.append(time.monotonic() - sent[0] if sent else 0)
            thread.join()
            assert records.values(got["Records"]) == [(i, b"%d" % i)]
        assert sorted(delays)[5] < 0.1, delays


def test_min_bytes_holds_the_answer_back_until_there_is_enough(broker, topic):
    t = topic(broker)
    with broker.connect() as c, broker.connect() as p:
        one_batch = records.batch([b"x" * 400])
        got = []
        thread = threading.Thread(target=lambda: got.append(one(fetch(c, t, max_wait=15000, min_bytes=3 * len(one_batch)))))
        thread.start()
        for i in range(3):
            time.sleep(0.2)
            assert not got, "answered with too little"
            assert produce(p, t, one_batch)["ErrorCode"] == 0
        thread.join(5)
        assert got and len(records.batches(got[0]["Records"])) == 3


def test_max_bytes_cuts_but_the_first_batch_always_comes(broker, topic):
    t = topic(broker, partitions=2)
    with broker.connect() as c:
        for n in (0, 1):
            for i in range(20):
                assert produce(c, t, records.batch([b"x" * 1000]), partition=n)["ErrorCode"] == 0
        size = len(records.batch([b"x" * 1000]))
        for limit in (1, size - 1, size, size + 1, 5 * size):
            data = one(fetch(c, t, partition_max=limit))["Records"]
            assert len(records.batches(data)) == max(1, limit // size)
        # the same for the whole answer: the second partition gives nothing when the first has used it up
        answer = c.call("Fetch", 12, {"ReplicaId": -1, "MaxWaitMs": 100, "MinBytes": 1, "MaxBytes": 1, "Topics": [{"Topic": t, "Partitions": [
            {"Partition": n, "FetchOffset": 0, "PartitionMaxBytes": 1 << 20} for n in (0, 1)]}]})
        assert sorted(len(records.batches(p["Records"] or b"")) for p in answer["Responses"][0]["Partitions"]) == [0, 1]


@pytest.mark.parametrize("version", range(4, 13))
def test_every_version_by_name_gives_the_same_records(broker, topic, version):
    t = topic(broker)
    sent = [b"%d" % i for i in range(10)]
    with broker.connect() as c:
        assert produce(c, t, records.batch(sent))["ErrorCode"] == 0
        got = one(fetch(c, t, version=version))
        assert records.values(got["Records"]) == list(enumerate(sent)) and got["HighWatermark"] == 10


@pytest.mark.parametrize("version", range(13, 18))
def test_every_version_by_topic_id_gives_the_same_records(broker, topic, version):
    t = topic(broker)
    with broker.connect() as c:
        topic_id = c.call("Metadata", 12, {"Topics": [{"Name": t}]})["Topics"][0]["TopicId"]
        assert produce(c, t, records.batch([b"a", b"b"]))["ErrorCode"] == 0
        answer = c.call("Fetch", version, {"MaxWaitMs": 100, "MinBytes": 1, "Topics": [
            {"TopicId": topic_id, "Partitions": [{"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1000}]}],
            **({"ReplicaId": -1} if version < 15 else {})})
        assert records.values(one(answer)["Records"]) == [(0, b"a"), (1, b"b")]


@pytest.mark.parametrize("offset,error", [(0, 0), (5, 0), (6, 1), (-1, 1), (1 << 60, 1)])
def test_offsets_outside_the_log_are_out_of_range(broker, topic, offset, error):
    t = topic(broker)
    with broker.connect() as c:
        assert produce(c, t, records.batch([b"x"] * 5))["ErrorCode"] == 0
        assert one(fetch(c, t, offset=offset, max_wait=0))["ErrorCode"] == error


def test_unknown_topics_partitions_and_epochs_get_their_errors(broker, topic):
    t = topic(broker)
    with broker.connect() as c:
        assert one(fetch(c, topic(), max_wait=0))["ErrorCode"] == 3
        assert one(fetch(c, t, partition=9, max_wait=0))["ErrorCode"] == 3
        assert one(fetch(c, t, max_wait=0, partition_fields={"CurrentLeaderEpoch": 99}))["ErrorCode"] == 75     # UNKNOWN_LEADER_EPOCH
        assert one(fetch(c, t, max_wait=0, partition_fields={"CurrentLeaderEpoch": 0}))["ErrorCode"] == 0


def test_a_fetch_session_sends_only_what_changed(broker, topic):
    t = topic(broker, partitions=3)
    with broker.connect() as c:
        full = c.call("Fetch", 12, {"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 0, "SessionId": 0, "SessionEpoch": 0, "Topics": [
            {"Topic": t, "Partitions": [{"Partition": n, "FetchOffset": 0, "PartitionMaxBytes": 1 << 20} for n in range(3)]}]})
        session = full["SessionId"]
        assert session != 0 and len(full["Responses"][0]["Partitions"]) == 3

        def again(epoch, wait=0, **fields):
            return c.call("Fetch", 12, {"ReplicaId": -1, "MaxWaitMs": wait, "MinBytes": 1, "SessionId": session, "SessionEpoch": epoch, **fields})

        assert again(1)["Responses"] == []
        assert produce(c, t, records.batch([b"new"]), partition=1)["ErrorCode"] == 0
        answer = again(2, 1000)
        assert [p["PartitionIndex"] for p in answer["Responses"][0]["Partitions"]] == [1]
        answer = again(3, Topics=[{"Topic": t, "Partitions": [{"Partition": 1, "FetchOffset": 1, "PartitionMaxBytes": 1 << 20}]}])
        assert not any(p["Records"] for r in answer["Responses"] for p in r["Partitions"])
        assert again(9)["ErrorCode"] == 71                      # INVALID_FETCH_SESSION_EPOCH
        answer = again(4, ForgottenTopicsData=[{"Topic": t, "Partitions": [0, 1, 2]}])
        assert answer["ErrorCode"] == 0 and answer["Responses"] == []
        assert c.call("Fetch", 12, {"ReplicaId": -1, "SessionId": 12345, "SessionEpoch": 1})["ErrorCode"] == 70     # FETCH_SESSION_ID_NOT_FOUND


def test_pipelined_requests_are_answered_in_order(broker, topic):
    t = topic(broker)
    with broker.connect() as c:
        ids = []
        for i in range(200):
            ids.append(("Produce", c.send("Produce", 7, {"Acks": -1, "TimeoutMs": 10000, "TopicData": [
                {"Name": t, "PartitionData": [{"Index": 0, "Records": records.batch([b"%d" % i])}]}]})))
            if i % 10 == 0:
                ids.append(("ListOffsets", c.send("ListOffsets", 7, {"ReplicaId": -1, "Topics": [
                    {"Name": t, "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}]})))
        ends = []
        bases = []
        for name, correlation in ids:
            answer = c.receive(name, 7, correlation)
            if name == "Produce":
                bases.append(answer["Responses"][0]["PartitionResponses"][0]["BaseOffset"])
            else:
                ends.append((len(bases), answer["Topics"][0]["Partitions"][0]["Offset"]))
        assert bases == list(range(200))
        assert all(n == end for n, end in ends), ends           # what was asked after the n-th batch sees n batches


def test_acks_0_gets_no_answer_and_the_next_request_does(broker, topic):
    t = topic(broker)
    with broker.connect() as c:
        produce(c, t, records.batch([b"silent"]), acks=0)
        assert produce(c, t, records.batch([b"loud"]))["BaseOffset"] == 1
        assert [v for _, v in records.values(one(fetch(c, t))["Records"])] == [b"silent", b"loud"]


def test_the_bytes_fetched_are_the_bytes_sent(broker, topic):
    """Only base offset and leader epoch are the broker's; with gzip too."""
    t = topic(broker)
    with broker.connect() as c:
        for i, codec in enumerate(("none", "gzip")):
            sent = records.batch([b"payload"], codec)
            assert produce(c, t, sent)["ErrorCode"] == 0
            got = records.batches(one(fetch(c, t, offset=i))["Records"])[0]
            assert got.base_offset == i and got.leader_epoch == 0
            assert got.raw[8:12] == sent[8:12] and got.raw[16:] == sent[16:]
    confluent_produce(broker, t, [b"and others still can"])
