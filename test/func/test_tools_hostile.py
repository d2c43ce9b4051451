# SPDX-License-Identifier: Apache-2.0
"""ottla group, topic and config before a broker that lies: garbage for assignments, answers that leave out, add and contradict.  They say so, change
nothing that was not asked for, and claim nothing that they were not told."""
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


def tool(b, *args, status=0, **options):
    return ottla(*args, "--bootstrap-server", b.address, "--timeout", 3000, status=status, **options)


def run(b, *args, status=0, **options):
    done = tool(b, "group", *args, status=status, **options)
    return done.stdout + done.stderr


def rows(b, status=0, **options):
    text = tool(b, "group", "describe", G, "--json", status=status, **options).stdout
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


@pytest.mark.parametrize("answer", [{}, {"Topics": [{"Name": T, "Partitions": []}]}, {"Topics": [{"Name": "other", "Partitions": [{"PartitionIndex": 0}]}]},
                                    {"Topics": [{"Name": T, "Partitions": [{"PartitionIndex": 1}]}]}])
def test_a_deletion_of_offsets_that_nobody_confirms_is_not_called_done(answer):
    with broker(OffsetDelete=answer) as b:
        assert "not known" in run(b, "delete", G, "--topic", T, status=3)


def test_a_deletion_of_another_group_is_not_called_done():
    with broker(DeleteGroups={"Results": [{"GroupId": "other", "ErrorCode": 0}]}) as b:
        assert G in run(b, "delete", G, status=3)


def fetched(data, topic=T, partition=0, **more):
    return {"Responses": [{"Topic": topic, "Partitions": [{"PartitionIndex": partition, "Records": data, **more}]}]}


AT_50 = records.batch([b"x"], base_offset=50, first_ts=1)


STRANGE = [{"base_offset": 49}, {"base_offset": -2**63}, {"first_ts": -5}, {"count": 2**31 - 1, "payload": b""}, {"count": -1}, {"attributes": 7}, {"attributes": 4},
           {"payload": b"\xff" * 9}]


@pytest.mark.parametrize("data", [b"", b"\xff" * 100, bytes(100), AT_50[:-1], *(records.batch([b"x"], **{"base_offset": 50, "first_ts": 1, **strange})
                                                                               for strange in STRANGE)], ids=itertools.count())
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


# ---- topics and settings ------------------------------------------------------------------------------------------------------------------
CHANGES = {"CreateTopics": ("Topics", ("topic", "create", "a", "b", "--partitions", 2), "created"),
           "CreatePartitions": ("Results", ("topic", "alter", "a", "b", "--partitions", 5), "altered"),
           "DeleteTopics": ("Responses", ("topic", "delete", "a", "b"), "deleted")}
NOTHING_OF_A, NOTHING_OF_B = ("%s: the broker says nothing of it; whether it was {} is not known" % t for t in "ab")


@pytest.mark.parametrize("api", CHANGES)
@pytest.mark.parametrize("said, done, words", [
    ("a b", "a b", []), ("b a", "a b", []), ("", "", [NOTHING_OF_A, NOTHING_OF_B]), ("a", "a", [NOTHING_OF_B]), ("b c", "b", [NOTHING_OF_A]),
    ("c A ab", "", [NOTHING_OF_A, NOTHING_OF_B]), ("c a b", "a b", []), ("a c! b", "a b", ["c: refused (NOT_CONTROLLER)"]), ("a a b a", "a b", []),
    ("a a! b", "b", ["a: refused (NOT_CONTROLLER)"]), ("a! a b", "b", ["a: refused (NOT_CONTROLLER)"]), ("b " * 9999 + "a", "a b", [])], ids=itertools.count())
def test_of_topics_only_what_is_told_of_those_asked_for_is_called_done(api, said, done, words):
    field, verb, what = CHANGES[api]
    answer = {field: [{"Name": t[0] if len(t) < 3 and t[-1] == "!" else t, **({"ErrorCode": 41, "ErrorMessage": "refused"} if t[-1] == "!" else {})} for t in said.split()]}
    with FakeBroker({api: answer}, {"a": 3, "b": 3}) as b:
        told = tool(b, *verb, status=3 if words else 0)
        assert told.stdout.splitlines() == [f"{t}: {what}" for t in done.split()]
        assert len(told.stderr.splitlines()) == len(words) and all(w.format(what) in told.stderr for w in words)
        told = tool(b, *verb, "--json", status=3 if words else 0)
        assert [(r["topic"], r["result"]) for r in map(json.loads, told.stdout.splitlines())] == [(t, what) for t in done.split()]


def test_a_topic_that_is_named_twice_is_asked_for_and_told_once():
    for api, (field, verb, what) in CHANGES.items():
        with FakeBroker({api: {field: [{"Name": "a"}, {"Name": "b"}]}}, {"a": 3, "b": 3}) as b:
            assert tool(b, *verb[:3], "a", *verb[3:]).stdout.splitlines() == [f"a: {what}", f"b: {what}"]
            (request,) = (r for name, r in b.asked if name == api)
            assert len(request["Topics"]) == 2


def test_what_may_be_refused_is_not_taken_for_silence():
    with FakeBroker({"CreateTopics": {"Topics": [{"Name": "a", "ErrorCode": 36}]},
                     "DeleteTopics": {"Responses": [{"Name": None, "ErrorCode": 3}, {"Name": "a", "ErrorCode": 3}]}}) as b:
        told = tool(b, "topic", "create", "--if-not-exists", "a", "b", status=3)
        assert told.stdout == "a: there already\n" and NOTHING_OF_B.format("created") in told.stderr
        told = tool(b, "topic", "delete", "--if-exists", "a", "b", status=3)
        assert told.stdout == "a: not there\n" and NOTHING_OF_B.format("deleted") in told.stderr


GARBAGE = [b"", b"\xff" * 50, struct.pack(">ii", 0, 2**31 - 1), b"\0\0\0\0\xff\xff\xff\xff\x07" + bytes(90)]


def described(name=T, kind=2, configs=()):
    return {"ResourceType": kind, "ResourceName": name, "Configs": [{"Value": "x", "ConfigSource": 1, **c} for c in configs]}


@pytest.mark.parametrize("data", GARBAGE, ids=itertools.count())
@pytest.mark.parametrize("api, verb", [*((api, verb) for api, (_, verb, _) in CHANGES.items()), ("Metadata", ("topic", "list")), ("Metadata", ("topic", "describe")),
                                       ("DescribeConfigs", ("topic", "describe", "a")), ("Metadata", ("config", "list", "topic")),
                                       ("DescribeConfigs", ("config", "list", "broker")), ("DescribeConfigs", ("config", "describe", "topic", "a")),
                                       ("IncrementalAlterConfigs", ("config", "alter", "topic", "a", "k=v")),
                                       ("IncrementalAlterConfigs", ("config", "delete", "topic", "a", "k"))])
def test_an_answer_about_topics_and_settings_that_is_none_ends_with_words(api, verb, data):
    with FakeBroker({api: data}, {"a": 3, "b": 3}) as b:
        told = tool(b, *verb, status=3)
        assert api in told.stderr and told.stdout == ""


@pytest.mark.parametrize("results", [[], [described("other")], [described(kind=4)], [described(""), described()], [described(), described()]], ids=itertools.count())
def test_settings_of_something_else_are_not_shown_nor_called_changed(results):
    with FakeBroker({"DescribeConfigs": {"Results": results}, "IncrementalAlterConfigs": {"Responses": [
            {k: v for k, v in r.items() if k != "Configs"} for r in results]}}, {T: 1}) as b:
        for verb in (("config", "describe", "topic", T), ("config", "list", "topic"), ("topic", "describe", T), ("topic", "describe")):
            told = tool(b, *verb, status=3)
            assert f"{T}: the broker says nothing of its settings" in told.stderr and told.stdout == ""
        for verb in (("alter", "topic", T, "k=v"), ("delete", "topic", T, "k"), ("alter", "topic", T, "k+=v", "--dry-run")):
            told = tool(b, "config", *verb, status=3)
            assert f"topic {T}: the broker says nothing of it; whether it was changed is not known" in told.stderr and told.stdout == ""


def test_settings_told_twice_without_value_or_in_secret_are_shown_as_such():
    configs = [{"Name": "k"}, {"Name": "k", "Value": "y"}, {"Name": "", "Value": ""}, {"Name": "null", "Value": None},
               {"Name": "secret", "Value": "hunter2", "IsSensitive": True}, {"Name": "source", "ConfigSource": 99}]
    with FakeBroker({"DescribeConfigs": {"Results": [described(configs=configs)]}}, {T: 1}) as b:
        for verb in (("config", "describe", "topic", T), ("config", "describe", "topic", T, "k", "null", "secret"), ("config", "list", "topic"), ("topic", "describe", T)):
            for form in ((), ("--json",)):
                text = tool(b, *verb, *form).stdout
                assert "k" in text and "secret" in text and "hunter2" not in text
        found = [json.loads(line) for line in tool(b, "config", "describe", "--all", "topic", T, "--json").stdout.splitlines()]
        assert sorted((r["key"], r["value"] or "") for r in found) == [("", ""), ("k", "x"), ("k", "y"), ("null", ""), ("secret", ""), ("source", "x")]


def test_strange_topics_and_partitions_are_listed_as_they_are_told():
    strange = [{"PartitionIndex": p, "LeaderId": leader, "ReplicaNodes": nodes, "IsrNodes": nodes[1:]} for p, leader, nodes in (
        (0, 1, [1]), (0, -7, []), (-1, 1, [2**31 - 1, -2**31]), (2**31 - 1, 5, [1] * 1000))]
    topics = [{"Name": n, "Partitions": strange} for n in ("", "a", "a")] + [{"Name": "b", "ErrorCode": 29}]
    with FakeBroker({"Metadata": {"Brokers": [], "ControllerId": -1, "Topics": topics},
                     "DescribeConfigs": lambda version, request: {"Results": [described(r["ResourceName"]) for r in request["Resources"]]}}) as b:
        assert [(r["topic"], r["partitions"]) for r in map(json.loads, tool(b, "topic", "list", "--json").stdout.splitlines())] == [("", 4), ("a", 4), ("a", 4), ("b", 0)]
        assert len(tool(b, "topic", "describe", "--json", status=1).stdout.splitlines()) == 12
        assert "TOPIC_AUTHORIZATION_FAILED" in tool(b, "topic", "describe", "b", status=3).stderr
        assert "no controller" in ottla("topic", "create", "x", "--bootstrap-server", b.address, "--timeout", 500, status=3).stderr


def test_nothing_that_a_broker_says_reaches_the_terminal_but_as_text():
    evil = "e\x1b]0;title\x07\x1b[2J\r\x7f"
    with FakeBroker({"Metadata": lambda version, request: {**b.metadata(version, request), "Topics": [
                        {"Name": n, "Partitions": [{"PartitionIndex": 0, "LeaderId": 1}]} for n in (evil, T)]},
                     "CreateTopics": {"Topics": [{"Name": evil, "ErrorCode": 41, "ErrorMessage": evil}, {"Name": "x", "ErrorCode": 41, "ErrorMessage": evil}]},
                     "DescribeConfigs": {"Results": [described(configs=[{"Name": evil, "Value": evil}])]},
                     "IncrementalAlterConfigs": {"Responses": [{"ErrorCode": 40, "ErrorMessage": evil, "ResourceType": 2, "ResourceName": T}]},
                     "ListGroups": {"Groups": [{"GroupId": evil, "ProtocolType": evil, "GroupState": evil}]},
                     "DescribeGroups": {"Groups": [{"GroupId": G, "GroupState": evil, "ProtocolType": evil, "ProtocolData": evil, "Members": [
                         {"MemberId": evil, "GroupInstanceId": evil, "ClientId": evil, "ClientHost": evil}]}]},
                     "OffsetFetch": committed((0, 1), topic=evil), "ListOffsets": offsets(), "Fetch": {}}) as b:
        for status, *verb in ((0, "topic", "list"), (3, "topic", "create", "x"), (0, "topic", "describe", T), (0, "config", "describe", "topic", T),
                              (3, "config", "alter", "topic", T, "k=v"), (0, "group", "list"), (0, "group", "describe", G)):
            told = tool(b, *verb, status=status)
            assert "e?" in told.stdout + told.stderr, verb
            assert not {*told.stdout + told.stderr} & {*"\x1b\x07\r\x7f"}, verb
            assert not {*tool(b, *verb, "--json", status=status).stdout} & {*"\x1b\x07\r\x7f"}, verb
