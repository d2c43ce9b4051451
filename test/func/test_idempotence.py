# SPDX-License-Identifier: Apache-2.0
"""An idempotent producer leaves each record once and in order, whatever becomes of answers and brokers; it may hang on for ever, so nothing is lost."""
import subprocess
import threading
import time

import pytest

from harness import java, records
from harness.proc import wait_until


def stored_values(b, t, partition=0):
    return [v for _, v in records.values(b"".join(x.raw for x in records.stored(b.partition_dir(t, partition))))]


class Librdkafka(threading.Thread):
    """Five batches on the way at once, each retried until it is acknowledged."""

    def __init__(self, address, topic, n, partitions=1, **options):
        from confluent_kafka import Producer
        super().__init__()
        self.failed, self.acked, self.n, self.topic, self.partitions = [], 0, n, topic, partitions
        self.p = Producer({"bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 1, "batch.num.messages": 7, "broker.address.family": "v4",
                           "retry.backoff.ms": 10, "retry.backoff.max.ms": 100, "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 100,
                           "message.timeout.ms": 120000, "log_level": 0, "queue.buffering.max.messages": 400, **options})
        self.start()

    def values(self, partition=0):
        return [b"%d" % i for i in range(partition, self.n, self.partitions)]

    def run(self):
        for i in range(self.n):
            while True:
                try:
                    self.p.produce(self.topic, b"%d" % i, partition=i % self.partitions, on_delivery=self.delivered)
                    break
                except BufferError:
                    self.p.poll(0.01)
            self.p.poll(0)
        self.left = self.p.flush(120)

    def delivered(self, error, message):
        if error is None:
            self.acked += 1
        else:
            self.failed.append(error)

    def end(self, seconds=120):
        self.join(seconds)
        assert not self.failed and self.left == 0 and self.acked == self.n, (self.failed[:3], self.acked)


class Java(threading.Thread):
    """VerifiableProducer with the retries that a Java producer has by default."""

    def __init__(self, address, topic, n, directory, throughput=-1):
        super().__init__()
        conf = directory / "producer.properties"
        conf.write_text("retries=2147483647\nretry.backoff.ms=10\nreconnect.backoff.ms=10\nreconnect.backoff.max.ms=100\nbatch.size=200\nrequest.timeout.ms=3000\n")
        self.n, self.acked, self.said = n, 0, []
        self.process = subprocess.Popen([str(a) for a in (*java.command(), java.TOOLS["kafka-verifiable-producer"], "--bootstrap-server", address, "--topic", topic,
                                                          "--max-messages", n, "--throughput", throughput, "--producer.config", conf)],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.start()

    def values(self, partition=0):
        return [b"%d" % i for i in range(self.n)]

    def run(self):
        for line in self.process.stdout:
            self.acked += b'"name":"producer_send_success"' in line
            self.said = [*self.said[-20:], line]

    def end(self, seconds=120):
        try:
            assert self.process.wait(seconds) == 0, self.said
            self.join(10)
            assert self.acked == self.n, self.said
        finally:
            self.process.kill()


def client(name, address, topic, n, tmp_path):
    return Librdkafka(address, topic, n) if name == "librdkafka" else Java(address, topic, n, tmp_path)


@pytest.mark.parametrize("name,n", [("librdkafka", 1500), ("java", 1500)])
def test_each_record_is_there_once_though_answers_are_lost(brokers, kind, topic, proxies, tmp_path, name, n):
    b = brokers(kind)
    proxy = proxies(b.port)
    b.config["advertised.listeners"] = f"PLAINTEXT://{proxy.address}"
    b.start()
    t = topic(b)
    proxy.lose_answers(9)
    load = client(name, proxy.address, t, n, tmp_path)
    load.end()
    assert proxy.lost >= 5, f"{proxy.lost} answers of {proxy.answers} were lost"
    assert stored_values(b, t) == load.values()


def test_a_silent_producer_is_forgotten_when_the_setting_says_so_while_the_broker_runs(brokers, kind, topic):
    b = brokers(kind, config={"producer.id.expiration.check.interval.ms": 200}).start()
    t = topic(b)

    def send(sequence):
        batch = records.batch([b"x"], producer=5, epoch=0, sequence=sequence, first_ts=int(time.time() * 1000))
        answer = c.call("Produce", 9, {"Acks": -1, "TimeoutMs": 3000, "TopicData": [{"Name": t, "PartitionData": [{"Index": 0, "Records": batch}]}]})
        return answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"]

    def known():
        rows = c.call("DescribeProducers", 0, {"Topics": [{"Name": t, "PartitionIndexes": [0]}]})["Topics"][0]["Partitions"]
        return rows[0]["ErrorCode"] == 0 and [p["ProducerId"] for p in rows[0]["ActiveProducers"]] or None

    def expire_after(ms):
        answer = c.call("IncrementalAlterConfigs", 1, {"Resources": [{"ResourceType": 4, "ResourceName": "", "Configs": [
            {"Name": "producer.id.expiration.ms", "ConfigOperation": 0, "Value": str(ms)}]}], "ValidateOnly": False})
        assert answer["Responses"][0]["ErrorCode"] == 0, answer

    with b.connect() as c:
        wait_until(lambda: send(0) == 0, 20, "the partition")
        assert known() == [5] and send(7) == 45
        expire_after(300)
        wait_until(lambda: known() is None, 20, "the producer to be forgotten")
        assert send(7) == 0 and send(8) == 0 and send(7) == 0
        expire_after(86400000)
        assert send(9) == 0


def kill_under(b, load, kills, share):
    """At that share of the records at the latest; every third end is a clean one."""
    for i in range(kills):
        wait_until(lambda: load.acked >= load.n * share * (i + 1) / (kills + 1) or not load.is_alive(), 120, "records")
        print(f"end {i}: {load.acked} acknowledged")
        if i % 3 == 1:
            b.stop()        # a clean end, for once: of what was on the way it keeps snapshots only
        else:
            b.kill9()
        b.start()


# Java's broker forgets all but the last batch when it is killed (test_producers_against_java), so there it holds by luck only.
@pytest.mark.only("ottla")
@pytest.mark.parametrize("name,n", [("librdkafka", 4000), ("java", 4000)])
def test_each_record_is_there_once_though_the_broker_is_killed(brokers, kind, topic, tmp_path, name, n):
    b = brokers(kind, config={"zookeeper.session.timeout.ms": 4000}).start()
    t = topic(b, config={"segment.bytes": 20000, "segment.index.bytes": 4096})
    load = client(name, b.address, t, n, tmp_path)
    kill_under(b, load, 3, 0.8)
    load.end()
    assert stored_values(b, t) == load.values()
    assert len(list(b.partition_dir(t).glob("*.log"))) > 2


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.only("ottla")
@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_each_record_is_there_once_after_many_kills_and_lost_answers(brokers, kind, topic, proxies, rng, codec):
    from harness.clients import confluent_consume
    b = brokers(kind, config={"zookeeper.session.timeout.ms": 4000})
    proxy = proxies(b.port)
    b.config["advertised.listeners"] = f"PLAINTEXT://{proxy.address}"
    b.start()
    t = topic(b, partitions=3, config={"segment.bytes": 50000, "segment.index.bytes": 4096})
    proxy.lose_answers(rng.randrange(11, 30))
    load = Librdkafka(proxy.address, t, 60_000, 3, **{"compression.type": codec})
    kill_under(b, load, 15, 0.95)
    load.end(600)
    proxy.lose_answers(0)
    for n in range(3):
        values = load.values(n)
        assert confluent_consume(b, t, len(values), partition=n) == values
        assert sum(x.count for x in records.stored(b.partition_dir(t, n))) == len(values)
