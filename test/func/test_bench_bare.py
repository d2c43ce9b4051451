# SPDX-License-Identifier: Apache-2.0
"""The bare programs of `make bench ROWS=data` are what real clients take for a broker, and do the work that they are named after."""
import itertools
import pathlib
import struct

import pytest

from harness import bare, records
from harness.bare import Bare
from harness.clients import confluent_consume, confluent_produce
from harness.groupload import GroupLoad

CORRUPT_MESSAGE, INVALID_RECORD = 2, 87


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "bare"


def produced(b, data, partition=0):
    with b.connect() as c:
        answer = c.call("Produce", 7, {"Acks": 1, "TimeoutMs": 30000, "TopicData": [{"Name": "t", "PartitionData": [{"Index": partition, "Records": data}]}]})
        return answer["Responses"][0]["PartitionResponses"][0]


@pytest.mark.parametrize("work", ["walk", "inflate"])
@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
def test_a_clients_records_come_out_as_they_went_in(directory, work, codec):
    values = [b"%d %s" % (i, b"text " * (i % 300)) for i in range(3000)]
    with Bare(work, directory, 2) as b:
        confluent_produce(b, "t", values, codec, partition=1)
        assert confluent_consume(b, "t", len(values), partition=1) == values
        stored = list(records.batches(b.log(1).read_bytes()))
        assert not b.log(0).read_bytes() and {x.attributes & 7 for x in stored} == {records.CODECS.index(codec)}
        assert [x.base_offset for x in stored] == list(itertools.accumulate([x.count for x in stored], initial=0))[:-1]


def test_a_consumer_that_waits_is_woken_by_a_producer(directory):
    with Bare("walk", directory, 1) as b, b.connect() as waiting:
        question = {"ReplicaId": -1, "MaxWaitMs": 20000, "MinBytes": 1, "MaxBytes": 1 << 20, "SessionEpoch": -1, "Topics": [
            {"Topic": "t", "Partitions": [{"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1 << 20}]}]}
        waiting.send("Fetch", 10, question)
        assert produced(b, records.batch([b"x", b"y"]))["BaseOffset"] == 0
        assert produced(b, records.batch([b"z"]))["BaseOffset"] == 2
        assert waiting.receive("Fetch", 10)["Responses"][0]["Partitions"][0]["HighWatermark"] == 2
        assert waiting.call("Fetch", 10, dict(question, MaxWaitMs=1, Topics=[{"Topic": "t", "Partitions": [
            {"Partition": 0, "FetchOffset": 3, "PartitionMaxBytes": 1 << 20}]}]))["Responses"][0]["Partitions"][0]["HighWatermark"] == 3


def test_what_is_named_is_done_checksum_walk_decompression(directory):
    good = records.batch([b"good"])
    lame = records.batch([b"x"], count=2)                      # the checksum is right, the records do not add up
    torn = records.batch([b"x"], payload=b"no frame of zstd", attributes=records.CODECS.index("zstd"))
    for work, of_torn in (("walk", 0), ("inflate", INVALID_RECORD)):
        with Bare(work, directory / work, 1) as b:
            assert produced(b, good[:-1] + b"?")["ErrorCode"] == CORRUPT_MESSAGE
            assert produced(b, lame)["ErrorCode"] == INVALID_RECORD
            assert produced(b, torn)["ErrorCode"] == of_torn
            assert produced(b, good)["BaseOffset"] == (0 if of_torn else 1)
            assert len(b.log(0).read_bytes()) == len(good) + (0 if of_torn else len(torn))


def test_the_echo_stores_each_frame_and_answers_with_its_correlation_id(directory):
    with Bare("echo", directory, 3) as b:
        with GroupLoad(b, topic="t", partitions=3, pid=b.pid) as load:
            ran = load.ask("records", 0.3, 200, 100, 0)
        assert ran["acknowledged"]["n"] == 60 and ran["broker_cpu"] > 0, ran
        for p in range(3):
            stored = b.log(p).read_bytes()
            # the first of each connection is stored as a broker would, the others as they came
            first = struct.unpack_from(">i", stored, 8)[0] + 12
            length = struct.unpack_from(">i", stored, first)[0] + 4
            assert (len(stored) - first) / length == 19 and struct.unpack_from(">hh", stored, first + 4) == (0, 11)


def test_the_cost_of_pages_is_that_of_all_the_bytes_and_leaves_nothing(directory):
    one, twenty = bare.pages(directory, 1, 1), bare.pages(directory, 40, 3)
    assert 0 < one < twenty and not list(pathlib.Path(directory).iterdir())
