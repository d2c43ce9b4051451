# SPDX-License-Identifier: Apache-2.0
"""ottla group before a broker that answers as Kafka does (harness/fake.py), counts what it is asked, and is not always ready."""
import resource
import time

import pytest

from harness import env, records
from harness.fake import FakeBroker
from test_tools import ottla
from test_tools_hostile import G, T, broker, committed, rows, run

HOUR = 3_600_000


def log(*batches, start=0):
    """-> where it begins, [(last offset, bytes)]"""
    return start, [(b.base_offset + b.last_delta, b.raw) for b in records.batches(b"".join(batches))]


def batch(first, last, *offsets, age=HOUR, size=1, **more):
    """Offsets first to last, of which these are left, each as old and of that size."""
    return records.batch([b""] * len(offsets), payload=b"".join(records.record(o - first, bytes(size)) for o in offsets), base_offset=first,
                         last_delta=last - first, first_ts=int(time.time() * 1000) - age, crc=0, **more)


def fetches(logs):
    """Fetch of {(topic, partition): log}.  The first partition that has something gives a whole batch; the others as much as there is room for, or
    nothing if that is no whole batch."""
    def answer(version, request):
        left, first, topics = request["MaxBytes"], True, []
        for t in request["Topics"]:
            parts = []
            for p in t["Partitions"]:
                start, batches = logs[t["Topic"], p["Partition"]]
                wanted = [raw for last, raw in batches if last >= p["FetchOffset"]]
                room, smallest = min(left, p["PartitionMaxBytes"]), len(wanted[0]) if wanted else 0
                data = b"".join(wanted)[:max(room, smallest)] if wanted and (first or room >= smallest) else b""
                first, left = first and not data, max(0, left - len(data))
                parts.append({"PartitionIndex": p["Partition"], "Records": data} if p["FetchOffset"] >= start else
                             {"PartitionIndex": p["Partition"], "ErrorCode": 1, "Records": b""})
            topics.append({"Topic": t["Topic"], "Partitions": parts})
        return {"Responses": topics}
    return answer


def ends(logs):
    """ListOffsets of them."""
    def answer(version, request):
        return {"Topics": [{"Name": t["Name"], "Partitions": [{"PartitionIndex": p["PartitionIndex"], "Offset": (
            logs[t["Name"], p["PartitionIndex"]][0] if p["Timestamp"] == -2 else logs[t["Name"], p["PartitionIndex"]][1][-1][0] + 1)}
            for p in t["Partitions"]]} for t in request["Topics"]]}
    return answer


def shelf(logs, at, **more):
    """A broker with these logs of T, of which G has committed `at` in each partition."""
    return FakeBroker({"DescribeGroups": {"Groups": [{"GroupId": G, "GroupState": "Empty", "ProtocolType": "consumer"}]},
                       "OffsetFetch": committed(*((p, at) for _, p in logs)), "ListOffsets": ends(logs), "Fetch": fetches(logs), **more}, {T: len(logs)})


def aged(ms, age):
    return max(0, age - 1000) <= ms < age + 90_000


def asked(b, api):
    return len([1 for name, _ in b.asked if name == api])


# ---- time lag ---------------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("partitions, size, requests", [(1000, 1000, 10), (300, 1 << 20, 30), (60, 3 << 20, 70)])
def test_a_group_that_is_behind_everywhere_costs_few_requests_and_little_memory(partitions, size, requests):
    """One after the other, with every answer kept to the end, a thousand partitions were a thousand questions and a gigabyte."""
    one = log(batch(0, 0, 0, size=size))
    with shelf({(T, p): one for p in range(partitions)}, 0) as b:
        little = None if env.sanitized() else lambda: resource.setrlimit(resource.RLIMIT_DATA, (100 << 20, 100 << 20))
        found = rows(b, preexec_fn=little)
        assert len(found) == partitions and all(aged(r["time_lag_ms"], HOUR) for r in found.values())
        assert asked(b, "Fetch") <= requests, asked(b, "Fetch")


def test_of_batches_of_all_sizes_each_is_found():
    sizes = [10, 70_000, 2_000_000, 100, 1_100_000, 65_000, 17 << 20, 10]
    with shelf({(T, p): log(batch(0, 0, 0, size=n, age=p * HOUR)) for p, n in enumerate(sizes)}, 0) as b:
        assert all(aged(r["time_lag_ms"], p * HOUR) for (_, p), r in rows(b).items())


def test_where_retention_has_passed_the_commit_the_lag_is_as_old_as_the_log():
    """Fetch has no such offset; it is where the group goes on."""
    with shelf({(T, 0): log(batch(90, 99, *range(90, 100)), batch(100, 109, *range(100, 110), age=0), start=90)}, 5) as b:
        r = rows(b)[T, 0]
        assert r["lag"] == 105 and aged(r["time_lag_ms"], HOUR)
    with shelf({(T, 0): log(batch(90, 99, *range(90, 100)), start=100)}, 5) as b:
        assert rows(b)[T, 0]["time_lag_ms"] == 0        # nothing is left


@pytest.mark.parametrize("committed_at, age", [(3, HOUR), (4, 2 * HOUR), (25, 2 * HOUR), (49, 2 * HOUR), (50, 3 * HOUR), (51, 0)])
def test_what_compaction_took_is_stepped_over(committed_at, age):
    """A batch that holds nothing behind the offset, an empty one, a marker: on to the next."""
    marker = records.batch([b"\0\0\0\1\0\0\0\0"], attributes=0x30, producer=7, epoch=0, base_offset=40, first_ts=1)
    logs = {(T, 0): log(batch(0, 9, 1, 3), batch(10, 19), batch(20, 29), marker, batch(41, 49, 49, age=2 * HOUR), batch(50, 59, 50, age=3 * HOUR),
                        batch(60, 69))}
    with shelf(logs, committed_at) as b:
        r = rows(b)[T, 0]
        assert r["lag"] == 70 - committed_at and aged(r["time_lag_ms"], age), r


def test_holes_larger_than_an_answer_are_stepped_over():
    holes = [batch(n, n) for n in range(9000)]
    with shelf({(T, 0): log(*holes, batch(9000, 9000, 9000))}, 1) as b:
        assert aged(rows(b)[T, 0]["time_lag_ms"], HOUR) and 1 < asked(b, "Fetch") < 20


def test_the_stable_lag_goes_as_far_as_readers_of_committed_records():
    def answer(version, request):
        end = 60 if request["IsolationLevel"] else 100
        return {"Topics": [{"Name": t["Name"], "Partitions": [{"PartitionIndex": p["PartitionIndex"], "Offset": 0 if p["Timestamp"] == -2 else end}
                                                              for p in t["Partitions"]]} for t in request["Topics"]]}
    for at, lags in ((50, (50, 10)), (70, (30, 0))):
        with broker(OffsetFetch=committed((0, at)), ListOffsets=answer) as b:
            r = rows(b)[T, 0]
            assert (r["high_watermark"], r["last_stable"], r["lag"], r["stable_lag"]) == (100, 60, *lags)
            words = run(b, "describe", G)
            assert words.splitlines()[-1].split()[2:6] == [str(at), "100", *map(str, lags)], words


# ---- coordinators that load or move -------------------------------------------------------------------------------------------------------
def refusal(api, error):
    if api == "OffsetCommit":
        return {"Topics": [{"Name": T, "Partitions": [{"PartitionIndex": 0, "ErrorCode": error}]}]}
    if api in ("DescribeGroups", "DeleteGroups"):
        return {{"DescribeGroups": "Groups", "DeleteGroups": "Results"}[api]: [{"GroupId": G, "ErrorCode": error}]}
    return {"ErrorCode": error}


def refuses(b, api, error, times):
    """`times` times, then as before."""
    good = b.answers[api]
    b.answers[api] = lambda version, request: refusal(api, error) if asked(b, api) <= times else good(version, request) if callable(good) else good


VERBS = [("FindCoordinator", ("delete", G)), ("DescribeGroups", ("describe", G)), ("OffsetFetch", ("describe", G)), ("ListGroups", ("list",)),
         ("OffsetCommit", ("reset", G, "--latest", "--apply")), ("DeleteGroups", ("delete", G)), ("OffsetDelete", ("delete", G, "--topic", T))]
GOOD = {"DeleteGroups": {"Results": [{"GroupId": G}]}, "OffsetDelete": {"Topics": [{"Name": T, "Partitions": [{"PartitionIndex": 0}]}]}}


@pytest.mark.parametrize("error", [14, 15, 16])
@pytest.mark.parametrize("api, verb", VERBS)
def test_a_coordinator_that_loads_or_moves_is_asked_again(api, verb, error):
    """All in one way: of groups, commits and deletions some were once given up at the first try, as just after a broker's start."""
    with broker(**GOOD) as b:
        refuses(b, api, error, 2)
        run(b, *verb)
        assert asked(b, api) == 3


@pytest.mark.parametrize("api, verb", VERBS[::2])
def test_one_that_does_so_for_good_is_given_up_in_time(api, verb):
    with broker(**GOOD) as b:
        refuses(b, api, 14, 1000)
        assert "COORDINATOR_LOAD_IN_PROGRESS" in ottla("group", *verb, "--bootstrap-server", b.address, "--timeout", 1000, status=3).stderr
        assert asked(b, api) > 1


def test_other_errors_are_told_at_once():
    for api, verb in VERBS:
        with broker(**GOOD) as b:
            refuses(b, api, 41, 1)
            assert "NOT_CONTROLLER" in run(b, *verb, status=3) and asked(b, api) == 1


def test_whoever_coordinates_the_group_by_now_is_asked():
    with broker(**GOOD) as old, broker(**GOOD) as new:
        old.answers["DeleteGroups"] = refusal("DeleteGroups", 16)
        old.answers["FindCoordinator"] = lambda version, request: {"Host": "127.0.0.1", **(
            {"NodeId": 1, "Port": old.port} if asked(old, "FindCoordinator") == 1 else {"NodeId": 2, "Port": new.port})}
        run(old, "delete", G)
        assert (asked(old, "DeleteGroups"), asked(new, "DeleteGroups")) == (1, 1)
