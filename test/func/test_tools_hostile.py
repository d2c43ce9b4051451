# SPDX-License-Identifier: Apache-2.0
"""ottla group before a broker that lies: garbage for assignments, answers that leave out, add and contradict.  It says so, changes nothing that was
not asked for, and claims nothing that it was not told."""
import itertools
import json
import resource
import struct

import pytest

from harness import env, records
from harness.fake import FakeBroker
from test_tools import ottla

G, T = "g", "t"


def string(s):
    return struct.pack(">h", len(s)) + s


def assignment(*topics):
    """(name, partitions)..."""
    out = struct.pack(">hi", 1, len(topics))
    for name, partitions in topics:
        out += string(name) + struct.pack(f">i{len(partitions)}i", len(partitions), *partitions)
    return out + struct.pack(">i", -1)


def group(state="Stable", members=()):
    return {"Groups": [{"GroupId": G, "GroupState": state, "ProtocolType": "consumer", "ProtocolData": "range", "Members": [
        {"MemberId": f"m{i}", "ClientId": "c", "ClientHost": "/h", "MemberMetadata": b"", "MemberAssignment": a} for i, a in enumerate(members)]}]}


def committed(*partitions, topic=T):
    return {"Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": p, "CommittedOffset": o, "Metadata": ""} for p, o in partitions]}]}


def offsets(start=0, end=100, leave_out=(), error=None):
    """ListOffsets of a log from start to end; `error` by partition."""
    def answer(version, request):
        return {"Topics": [{"Name": t["Name"], "Partitions": [
            {"PartitionIndex": p["PartitionIndex"], "ErrorCode": (error or {}).get(p["PartitionIndex"], 0), "Offset": start if p["Timestamp"] == -2 else end}
            for p in t["Partitions"] if p["PartitionIndex"] not in leave_out]} for t in request["Topics"]]}
    return answer


def commit_all(version, request):
    return {"Topics": [{"Name": t["Name"], "Partitions": [{"PartitionIndex": p["PartitionIndex"], "ErrorCode": 0} for p in t["Partitions"]]} for t in request["Topics"]]}


def broker(**answers):
    return FakeBroker({"DescribeGroups": group("Empty"), "OffsetFetch": committed((0, 50)), "ListOffsets": offsets(), "OffsetCommit": commit_all,
                       "Fetch": {}, "ListGroups": {}, **answers}, {T: 3})


def run(b, *args, status=0, **options):
    done = ottla("group", *args, "--bootstrap-server", b.address, "--timeout", 3000, status=status, **options)
    return done.stdout + done.stderr


def rows(b, status=0, **options):
    text = ottla("group", "describe", G, "--json", "--bootstrap-server", b.address, "--timeout", 3000, status=status, **options).stdout
    return {(r["topic"], r["partition"]): r for r in map(json.loads, text.splitlines()) if r["type"] == "partition"}


ONE = assignment((T.encode(), [0, 1]))


# ---- what members are said to have --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name,data", [
    ("nothing", b""), ("one byte", b"\0"), ("zeros", bytes(200)), ("ones", b"\xff" * 200), ("text", b"not an assignment at all, but words"),
    ("two thousand million topics", struct.pack(">hi", 0, 2**31 - 1)), ("fewer than no topics", struct.pack(">hi", 0, -2**31)),
    ("a topic without a name", struct.pack(">hihi", 0, 1, -1, 0)), ("a name longer than the rest", struct.pack(">hih", 0, 1, 32767) + b"t"),
    ("two thousand million partitions", struct.pack(">hi", 0, 1) + string(b"t") + struct.pack(">ii", 2**31 - 1, 0)),
    ("fewer than no partitions", struct.pack(">hi", 0, 1) + string(b"t") + struct.pack(">i", -1)),
    *((f"cut after {n} of {len(ONE)} bytes", ONE[:n]) for n in range(1, len(ONE) - 4)),
])
def test_garbage_for_an_assignment_gives_no_partitions_and_harms_no_other_member(name, data):
    with broker(DescribeGroups=group(members=[data, assignment((T.encode(), [2]))])) as b:
        assert {k: r["member"] for k, r in rows(b).items()} == {(T, 0): None, (T, 2): "m1"}     # 0 is committed


def test_what_two_members_claim_and_what_does_not_exist_is_shown_once():
    many = assignment((T.encode(), [0] * 1000), (b"", [7]), (b"\xff\x00x", [-5]), (b"gone", [0]))
    with broker(DescribeGroups=group(members=[many, many])) as b:
        found = rows(b, status=1)
        assert found[T, 0]["member"] in ("m0", "m1") and found[T, 0]["error"] is None
        assert {k: r["error"] for k, r in found.items() if k != (T, 0)} == dict.fromkeys(
            [("", 7), ("??x", -5), ("gone", 0)], "UNKNOWN_TOPIC_OR_PARTITION")


def test_more_partitions_than_can_be_looked_at_are_refused_in_words():
    huge = struct.pack(">hi", 1, 1) + string(T.encode()) + struct.pack(">i", 1_000_001) + bytes(4 * 1_000_001)
    with broker(DescribeGroups=group(members=[huge])) as b:
        assert "more than 1000000 partitions" in run(b, "describe", G, status=3)


def test_a_group_that_is_not_the_one_asked_for_or_none_at_all_is_refused():
    for groups in ([], group()["Groups"] * 2, [{**group()["Groups"][0], "GroupId": "other"}], [{"GroupId": G, "ErrorCode": 9999}]):
        with broker(DescribeGroups={"Groups": groups}) as b:
            assert G in run(b, "describe", G, status=3)


@pytest.mark.parametrize("api", ["DescribeGroups", "OffsetFetch", "ListOffsets", "Metadata", "Fetch"])
@pytest.mark.parametrize("data", [b"", b"\xff" * 50, bytes(3), struct.pack(">ii", 0, 2**31 - 1), b"\0\0\0\0\xff\xff\xff\xff\x0f"])
def test_an_answer_that_is_none_ends_with_words(api, data):
    with broker(**{api: data}) as b:
        assert api in run(b, "describe", G, status=3)


# ---- offsets ------------------------------------------------------------------------------------------------------------------------------------
def test_strange_committed_offsets_never_overflow_a_lag():
    with broker(OffsetFetch=committed((0, 2**63 - 1), (1, -2**63), (2, -1), (0, 5), (-7, 3)), ListOffsets=offsets(-2**63, 2**63 - 1)) as b:
        found = rows(b, status=1)
        assert (found[T, 0]["committed"], found[T, 0]["lag"]) == (2**63 - 1, 0)
        assert {k for k in found} == {(T, 0), (T, -7)} and found[T, -7]["error"] == "UNKNOWN_TOPIC_OR_PARTITION"
    with broker(OffsetFetch=committed((0, 0)), ListOffsets=offsets(0, 2**63 - 1)) as b:
        assert rows(b)[T, 0]["lag"] == 2**63 - 1


def test_offsets_nobody_asked_for_and_those_left_out_change_nothing():
    def more(version, request):
        answer = offsets()(version, request)
        answer["Topics"] += [{"Name": "other", "Partitions": [{"PartitionIndex": 0, "Offset": 7}]},
                             {"Name": T, "Partitions": [{"PartitionIndex": 2, "Offset": 7}]}]
        return answer
    with broker(ListOffsets=more) as b:
        assert [(k, r["lag"]) for k, r in rows(b).items()] == [((T, 0), 50)]
    with broker(ListOffsets=offsets(leave_out=[0])) as b:
        assert [(k, r["lag"], r["high_watermark"]) for k, r in rows(b).items()] == [((T, 0), -1, -1)]


@pytest.mark.parametrize("answer", [offsets(leave_out=[0]), offsets(10, 5), offsets(-1, -1), offsets(0, -5), offsets(-9, 100)])
@pytest.mark.parametrize("way", [["--latest"], ["--earliest"], ["--offset", 20], ["--shift", 1], ["--time", "2020-01-01T00:00:00Z"]])
def test_a_reset_to_where_the_log_cannot_be_is_not_committed(answer, way):
    with broker(ListOffsets=answer) as b:
        assert f"{T}-0" in run(b, "reset", G, *way, "--apply", status=3)
        assert "OffsetCommit" not in [name for name, _ in b.asked]


@pytest.mark.parametrize("answer", [{}, {"Topics": [{"Name": T, "Partitions": []}]}, {"Topics": [{"Name": "other", "Partitions": [{"PartitionIndex": 0}]}]},
                                    {"Topics": [{"Name": T, "Partitions": [{"PartitionIndex": 2}]}]}])
def test_a_commit_that_nobody_confirms_is_not_called_done(answer):
    with broker(OffsetCommit=answer) as b:
        words = run(b, "reset", G, "--latest", "--apply", status=3)
        assert f"{T}-0" in words and "not known" in words


@pytest.mark.parametrize("answer", [{}, {"Topics": [{"Name": T, "Partitions": []}]}, {"Topics": [{"Name": "other", "Partitions": [{"PartitionIndex": 0}]}]}])
def test_a_deletion_of_offsets_that_nobody_confirms_is_not_called_done(answer):
    with broker(OffsetDelete=answer) as b:
        assert "not known" in run(b, "delete", G, "--topic", T, status=3)


def test_a_deletion_of_another_group_is_not_called_done():
    with broker(DeleteGroups={"Results": [{"GroupId": "other", "ErrorCode": 0}]}) as b:
        assert G in run(b, "delete", G, status=3)


def fetched(data, topic=T, partition=0, **more):
    return {"Responses": [{"Topic": topic, "Partitions": [{"PartitionIndex": partition, "Records": data, **more}]}]}


AT_50 = records.batch([b"x"], base_offset=50, first_ts=1)


@pytest.mark.parametrize("data", [b"", b"\xff" * 100, bytes(100), AT_50[:-1], *(records.batch([b"x"], **{"base_offset": 50, "first_ts": 1, **strange}) for strange in (
    {"base_offset": 49}, {"base_offset": -2**63}, {"first_ts": -5}, {"count": 2**31 - 1, "payload": b""}, {"count": -1}, {"attributes": 7}, {"attributes": 4}, {"payload": b"\xff" * 9}))],
    ids=itertools.count())
def test_what_is_no_batch_or_not_the_one_asked_for_gives_no_time_lag(data):
    with broker(Fetch=fetched(data)) as b:
        assert rows(b)[T, 0]["time_lag_ms"] == -1 and [name for name, _ in b.asked].count("Fetch") <= 3


@pytest.mark.parametrize("answer", [fetched(AT_50, "other"), fetched(AT_50, partition=1), fetched(AT_50, ErrorCode=1), fetched(AT_50, ErrorCode=9999), {}])
def test_records_of_what_was_not_asked_for_give_no_time_lag(answer):
    with broker(Fetch=answer) as b:
        assert rows(b)[T, 0]["time_lag_ms"] == -1 and [name for name, _ in b.asked].count("Fetch") <= 3


def test_the_first_of_two_answers_about_a_partition_counts():
    two = {"Responses": fetched(records.batch([], base_offset=50, last_delta=9))["Responses"] + fetched(AT_50)["Responses"]}
    with broker(Fetch=two) as b:
        assert rows(b)[T, 0]["time_lag_ms"] == -1


def test_a_log_of_holes_without_end_is_given_up():
    def hole(version, request):
        at = request["Topics"][0]["Partitions"][0]["FetchOffset"]
        return fetched(records.batch([], base_offset=at, last_delta=0))
    with broker(Fetch=hole, ListOffsets=offsets(0, 2**63 - 1)) as b:
        assert rows(b)[T, 0]["time_lag_ms"] == -1 and [name for name, _ in b.asked].count("Fetch") < 100


def test_brokers_that_lead_nothing_are_not_asked_and_cost_nothing():
    """Room for a question about all partitions was once made for each of them."""
    def metadata(version, request):
        return {"Brokers": [{"NodeId": i, "Host": "127.0.0.1", "Port": b.port} for i in range(1, 3001)], "ControllerId": 1, "Topics": [
            {"Name": T, "Partitions": [{"PartitionIndex": i, "LeaderId": 1} for i in range(10000)]}]}
    with broker(OffsetFetch=committed(*((i, 50) for i in range(10000))), Metadata=metadata) as b:
        words = run(b, "reset", G, "--latest", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (500 << 20, 500 << 20)) if not env.sanitized() else None)
        assert f"{T} " in words and len([1 for name, _ in b.asked if name == "ListOffsets"]) == 2
