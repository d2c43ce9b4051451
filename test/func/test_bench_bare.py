# SPDX-License-Identifier: Apache-2.0
"""The bare programs of `make bench ROWS=data` are what real clients take for a broker, and do the work that they are named after."""
import argparse
import itertools
import pathlib
import struct
import subprocess
import sys

import pytest

from harness import bare, env, records
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
    values = [b"%d %s" % (i, b"text " * (40 + i % 300)) for i in range(3000)]     # each alone is worth compressing
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


# ---- pairs.py, data_rows.py, report.py --------------------------------------------------------------------------------------------------------

@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(env.TOP / "test/bench"))
    import pairs
    import report
    yield pairs, report
    for name in ("pairs", "report", "data_rows"):
        sys.modules.pop(name, None)


class Side:
    def __init__(self, kind):
        self.kind = kind


class Work:
    """Whose page cache costs what it is told, block by block."""
    name, writes, settles_by = "work", True, "gross"

    def __init__(self, costs, gross=itertools.repeat(10)):
        self.costs, self.gross, self.order = iter(costs), iter(gross), []

    def pages(self):
        return next(self.costs)

    def block(self, side):
        self.order.append(side.kind)
        return {"gross": next(self.gross)}

    def subtract(self, figures):
        figures["net"] = figures["gross"] - figures["w"]


SIDES = [Side("java"), Side("bare"), Side("ottla")]


def test_sides_take_turns_and_a_block_whose_pages_change_their_cost_is_thrown_away(tools):
    pairs, _ = tools
    work = Work([1.0, 1.1, 1.0, 1.1] + [1.0, 2.0, 2.0, 2.0] * 1 + [2.0] * 4)
    kept, all_pairs, thrown = pairs.run(work, SIDES, 2)
    # the first pair is good (W 1.0 to 1.1), in the second the first block sees 1.1 become 1.0 and the second 1.0 become 2.0
    assert work.order == ["java", "bare", "ottla", "ottla", "bare", "java"] + ["java", "bare", "ottla"]
    assert (len(kept), len(all_pairs), thrown) == (2, 3, 1)
    assert kept[0]["java"]["net"] == pytest.approx(10 - 1.05) and kept[1]["ottla"]["net"] == pytest.approx(8)


def test_a_machine_that_never_is_steady_ends_the_pairs_without_one(tools):
    pairs, _ = tools
    kept, all_pairs, thrown = pairs.run(Work(itertools.cycle([1, 2])), SIDES, 2)
    assert (kept, len(all_pairs), thrown) == ([], 4, 12)


def test_warming_up_ends_when_two_blocks_are_alike(tools):
    pairs, _ = tools
    work = Work([], [100, 80, 60, 58, 1])
    assert pairs.warm_up(SIDES[0], work) == (4, pytest.approx(2 / 60))
    never = Work([], itertools.cycle([1, 2]))
    assert pairs.warm_up(SIDES[0], never, 5) == (5, 0.5)
    assert pairs.warm_up(SIDES[0], Work([], [1, 1, 5, 5.1]))[0] == 4      # alike too early


def test_a_limit_is_held_by_the_median_of_the_pairs(tools):
    pairs, _ = tools
    kept = [{"ottla": {"x": a}, "java": {"x": b}} for a, b in ((1, 10), (2, 10), (9, 10))]
    assert pairs.limit("o / j", lambda p: p["ottla"]["x"] / p["java"]["x"], 0.2, kept).endswith("0.200 [0.150 0.550]      of <= 0.2: met")
    assert pairs.limit("o / j", lambda p: p["ottla"]["x"] / p["java"]["x"], 0.19, kept).endswith(": MISSED")


def test_cpu_is_that_of_everything_a_process_has_started(tools):
    pairs, _ = tools
    spin = "import time; e = time.process_time() + 0.2\nwhile time.process_time() < e: pass\n"
    code = f"import subprocess, sys\nc = subprocess.Popen([sys.executable, '-c', {spin + 'print(1, flush=True); input()'!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n" \
           "c.stdout.readline(); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as p:
        p.stdout.readline()
        assert pairs.cpu_seconds(p.pid) >= 0.2
        p.stdin.close()


def test_a_section_of_the_results_is_replaced_and_the_others_stay(tools, tmp_path):
    _, report = tools
    path = tmp_path / "RESULTS"
    path.write_text("What this is.\n\n")
    report.write(path, "data", "ROWS=data\none\n")
    report.write(path, "latency", "ROWS=latency\ntwo\n\nthree\n")
    report.write(path, "data", "ROWS=data\nfour\n")
    assert path.read_text() == "What this is.\n\nROWS=data\nfour\n\n\nROWS=latency\ntwo\n\nthree\n"


def test_raw_figures_are_one_line_for_each_pair(tools, tmp_path):
    _, report = tools
    report.Raw(tmp_path / "raw")("w", ("java", "ottla"), [{"java": {"x": 1.5}, "ottla": {"x": 2}}, {"java": {"x": 3}, "ottla": {"x": 4}}])
    assert (tmp_path / "raw/w-java.tsv").read_text() == "pair\tx\n1\t1.5\n2\t3\n"
    assert (tmp_path / "raw/w-ottla.tsv").read_text() == "pair\tx\n1\t2\n2\t4\n"


def test_bytes_and_requests_are_measured_on_a_broker_and_on_the_bare_program(kind, brokers, tools, tmp_path, monkeypatch):
    import data_rows
    monkeypatch.setattr(data_rows, "LINGER_MS", 5)
    args = argparse.Namespace(megabytes=3, rate=300, request_seconds=0.4, only="plain,lz4,single")
    broker = brokers(kind, dict(data_rows.CONFIG, **{"log.segment.delete.delay.ms": 1}))
    broker.start()
    for work in data_rows.works(args, tmp_path / "pages"):
        for side in (data_rows.BrokerSide(broker), data_rows.BareSide(tmp_path / "bare")):
            figures = work.block(side)
            keys = {"plain": {"gross", "consume"}, "lz4": {"gross"}, "single": {"single"}}
            assert keys[work.name] <= set(figures) and all(v >= 0 for v in figures.values()), (work.name, side.kind, figures)
            if work.writes:
                assert 0.97 < work.share < 1.1 if work.codec == "none" else 0.1 < work.share < 0.7, (work.name, side.kind, work.share)
                assert work.pages() > 0
        lines = work.table([{k: dict(figures, produce=1, w=1) for k in work.kinds}] * 2)
        assert lines and any(": met" in line or ": MISSED" in line for line in lines)
