# SPDX-License-Identifier: Apache-2.0
"""Producers that speak the versions of old brokers (Produce 0 to 2, messages of formats 0 and 1); what they sent is read by a client of today."""
import pytest

from harness import records
from harness.clients import confluent_consume, confluent_produce

VALUES = [b"%d " % i + b"some words " * (i % 7) for i in range(300)] + [b""]
CODECS = ("none", "gzip", "snappy", "lz4")


def stored(broker, topic, codec):
    """Every batch has magic 2 and, but for small ones that a client sends as they are, the codec."""
    with broker.connect() as c:
        answer = c.call("Fetch", 4, {"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 0, "MaxBytes": 1 << 24, "Topics": [{"Topic": topic, "Partitions": [
            {"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1 << 24}]}]})
    found = records.batches(answer["Responses"][0]["Partitions"][0]["Records"])
    attributes = {b.attributes for b in found}
    assert {b.magic for b in found} == {2} and records.CODECS.index(codec) in attributes <= {0, records.CODECS.index(codec)}
    assert {b.producer for b in found} == {-1}
    return found


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("speaks", ["0.8.2.0", "0.9.0.0", "0.10.0.0"])
def test_librdkafka_as_of_an_old_broker(broker, topic, speaks, codec):
    t = topic(partitions=1)
    confluent_produce(broker, t, VALUES, codec, **{"api.version.request": False, "broker.version.fallback": speaks})
    assert confluent_consume(broker, t, len(VALUES)) == VALUES
    stored(broker, t, codec)


# kafka-python 2.2 fails by itself when it writes lz4 for brokers before 0.10
@pytest.mark.parametrize("speaks,codec", [pytest.param(v, c, id=".".join(map(str, v)) + "-" + c) for v in ((0, 8, 2), (0, 9), (0, 10, 0), (0, 10, 1))
                                          for c in CODECS if c != "lz4" or v >= (0, 10)])
def test_kafka_python_as_of_an_old_broker(broker, topic, speaks, codec):
    from kafka import KafkaProducer
    t = topic(partitions=1)
    p = KafkaProducer(bootstrap_servers=broker.address, api_version=speaks, compression_type=None if codec == "none" else codec, linger_ms=20,
                      enable_idempotence=False)
    try:
        sent = [p.send(t, v, key=b"k" if i % 2 else None, partition=0, timestamp_ms=1_600_000_000_000 + i) for i, v in enumerate(VALUES)]
        p.flush(30)
        assert [f.get(30).offset for f in sent] == list(range(len(VALUES)))
    finally:
        p.close(5)
    assert confluent_consume(broker, t, len(VALUES)) == VALUES
    got = stored(broker, t, codec)
    assert {b.max_ts for b in got} == {-1} if speaks < (0, 10) else got[-1].max_ts == 1_600_000_000_000 + len(VALUES) - 1
