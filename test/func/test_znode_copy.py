# SPDX-License-Identifier: Apache-2.0
"""ottla znode copy, export, import: a broker moves with its topics, settings and offsets, and nothing that is there is written over unasked."""
import json
import os
import stat
import subprocess

import pytest

from harness import env
from harness.broker import OttlaBroker, embedded_port
from harness.clients import confluent_consume, confluent_produce
from harness.proc import wait_until
from kazoo.client import KazooClient
from kazoo.security import ACL, OPEN_ACL_UNSAFE, Id, make_digest_acl
from test_tools import ottla, rows

pytestmark = pytest.mark.zookeeper


class Owner:
    """A kazoo session that is ann's, at a broker's embedded server or anywhere else."""

    def __init__(self, address):
        self.k = KazooClient(hosts=address, timeout=10.0, auth_data=[("digest", "ann:secret")])

    def __enter__(self):
        self.k.start(timeout=15)
        return self.k

    def __exit__(self, *exc):
        self.k.stop()
        self.k.close()


def embedded_address(b):
    return f"127.0.0.1:{embedded_port(b)}"


MINE = [make_digest_acl("ann", "secret", all=True), ACL(1, Id("world", "anyone"))]
GUARDED = ["/kafka-acl", "/kafka-acl/Topic", "/kafka-acl/Topic/orders"]


def commit(b, group, topic, offset):
    def done():
        with b.connect() as c:
            assert c.call("FindCoordinator", 0, {"Key": group})["ErrorCode"] == 0
            a = c.call("OffsetCommit", 8, {"GroupId": group, "Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": offset}]}]})
            return a["Topics"][0]["Partitions"][0]["ErrorCode"] == 0

    wait_until(done, 30, "an offset to be committed")


def committed(b, group, topic):
    def asked():
        with b.connect() as c:
            a = c.call("OffsetFetch", 7, {"GroupId": group, "RequireStable": False, "Topics": [{"Name": topic, "PartitionIndexes": [0]}]})
            return a if a["ErrorCode"] == 0 else None

    return wait_until(asked, 30, "the coordinator")["Topics"][0]["Partitions"][0]["CommittedOffset"]


def topic_ids(b):
    with b.connect() as c:
        return {t["Name"]: t["TopicId"] for t in c.call("Metadata", 12, {"Topics": None})["Topics"] if not t["Name"].startswith("__")}


@pytest.mark.only("ottla")
def test_a_broker_moves_to_an_ensemble_and_back_and_loses_nothing(kind, brokers, ensemble, tmp_path):
    def broker_at(connect):
        b = brokers.adopt(OttlaBroker(tmp_path / "broker", connect, 3, {"ottla.embedded.zookeeper.listener": "127.0.0.1:0"}))
        b.may_wait_for_session = False
        return b

    root, store = f"/moved-{os.getpid()}/kafka", f"embedded:{tmp_path}/broker/data"
    there = ensemble.address + root                     # all three, for who writes
    leader = ensemble.leader()                          # for who looks: another server may be a moment behind
    seen = leader.address + root
    auth = tmp_path / "auth"
    auth.write_text("# who we are\ndigest ann:secret\n")
    b = broker_at("embedded").start()
    for name in ("orders", "gone"):
        b.create_topic(name, 2)
    ottla("config", "alter", "--bootstrap-server", b.address, "topic", "orders", "retention.ms=86400000")
    confluent_produce(b, "orders", [b"1", b"2", b"3"])
    commit(b, "billing", "orders", 2)
    with Owner(embedded_address(b)) as k:
        for path in GUARDED:            # who is not ann may make nothing below them
            k.create(path, b'{"version":1,"acls":[]}' if path == GUARDED[-1] else b"", acl=MINE)
        for _ in range(3):
            k.set("/brokers/seqid", b"")
        k.create("/of_others", b"none of Kafka's")
    before, ids = {r["path"]: r["data"] for r in rows("znode", "dump", embedded_address(b))}, topic_ids(b)

    # It lives: nobody may have the store; then through its own server, which is an ensemble like another.
    assert "ottlad running" in ottla("znode", "copy", store, there, status=3).stderr
    assert "brokers are live there: 3" in ottla("znode", "copy", embedded_address(b), there, status=3).stderr
    assert "brokers are live there: 3" in ottla("znode", "export", embedded_address(b), tmp_path / "f", status=3).stderr
    assert not (tmp_path / "f").exists()
    b.kill9()

    # What may not be seen as it is, is not copied as something else.
    refused = ottla("znode", "copy", store, there, status=3).stderr
    assert "/kafka-acl/Topic/orders: its ACL" in refused and "--auth-file" in refused
    preview = rows("znode", "copy", "--dry-run", "--auth-file", auth, store, there)
    with leader.session() as k:
        assert not k.exists(f"/moved-{os.getpid()}"), "a dry run made something"
    assert {r["path"] for r in preview if r.get("action") == "create,version"} == {"/brokers/seqid"}
    assert [r["reason"] for r in preview if r.get("path") == "/of_others"] == ["not Kafka's"]
    done = ottla("znode", "copy", "--auth-file", auth, store, there)
    assert f"zookeeper.connect={there}" in done.stdout
    with Owner(leader.address) as k:
        for path in GUARDED:
            assert k.get_acls(f"{root}{path}")[0] == MINE, path
        assert k.get_acls(f"{root}/brokers")[0] == OPEN_ACL_UNSAFE
        assert k.exists(f"{root}/brokers/seqid").version == 3
        assert not k.exists(f"{root}/of_others") and not k.exists(f"{root}/controller") and not k.get_children(f"{root}/config/changes")
    after = {r["path"]: r["data"] for r in rows("znode", "dump", seen)}
    assert {p: d for p, d in before.items() if p in after} == {**after, "/": before["/"]}

    # There it lives on.
    b = broker_at(there).start()
    wait_until(lambda: topic_ids(b) == ids, 30, "the same topics")
    assert confluent_consume(b, "orders", 3) == [b"1", b"2", b"3"] and committed(b, "billing", "orders") == 2
    assert [r["value"] for r in rows("config", "describe", "--bootstrap-server", b.address, "topic", "orders", key="retention.ms")] == ["86400000"]
    confluent_produce(b, "orders", [b"4"])
    commit(b, "billing", "orders", 4)
    b.create_topic("later")
    ottla("topic", "delete", "--bootstrap-server", b.address, "gone")
    wait_until(lambda: "gone" not in topic_ids(b), 30, "the topic to be gone")
    ottla("config", "alter", "--bootstrap-server", b.address, "topic", "orders", "retention.ms=777")         # a notification; its number is free
    ids = topic_ids(b)
    wait_until(lambda: not rows("znode", "dump", "--path", "/admin/delete_topics", seen)[1:], 30, "the deletion to be done")
    assert b.stop() == 0

    # Back: the store is of before, and says so.
    refused = ottla("znode", "copy", "--auth-file", auth, seen, store, status=1)
    assert "the target has something else" in refused.stdout and "--overwrite" in refused.stderr
    found = {r["path"]: r["action"] for r in rows("znode", "copy", "--auth-file", auth, "--dry-run", "--overwrite", seen, store, conflict=True)}
    assert found["/brokers/topics/gone"] == "delete" and found["/config/topics/orders"] == "write"
    ottla("znode", "copy", "--overwrite", "--auth-file", auth, seen, store)
    assert ottla("znode", "diff", "--auth-file", auth, "--path", "/brokers", seen, store).stdout == "the same\n"
    b = broker_at("embedded").start()
    assert set(ids) == {"orders", "later"}
    wait_until(lambda: topic_ids(b) == ids, 30, "the topics as they are")
    assert confluent_consume(b, "orders", 4) == [b"1", b"2", b"3", b"4"] and committed(b, "billing", "orders") == 4
    assert [r["value"] for r in rows("config", "describe", "--bootstrap-server", b.address, "topic", "orders", key="retention.ms")] == ["777"]
    with Owner(embedded_address(b)) as k:
        assert k.get_acls(GUARDED[0])[0] == MINE and k.exists("/of_others"), "what is of others stays"
    assert b.stop() == 0


# ---- files, chroots, what goes wrong ---------------------------------------------------------------------------------------------------

@pytest.fixture
def cluster(zk, tmp_path):
    """(connect string of nodes as a small cluster has them, a session on the root)"""
    root = f"/cluster-{os.getpid()}-{tmp_path.name}"
    with zk.session() as k:
        k.ensure_path(f"{root}/brokers/ids")
        k.ensure_path(f"{root}/config/topics")
        k.ensure_path(f"{root}/config/changes")
        for i in range(100):
            k.create(f"{root}/config/topics/t{i}", os.urandom(18000) if i % 2 else b"")
        k.create(f"{root}/config/changes/config_change_", b"x", sequence=True)
        k.create(f"{root}/consumers", ephemeral=True)
        yield zk.address + root, k
        k.delete(root, recursive=True)


@pytest.mark.only("ottla")
def test_a_file_is_the_tree_and_only_its_owners(kind, cluster, tmp_path):
    where, k = cluster
    file, store = tmp_path / "tree", f"embedded:{tmp_path}/store"
    said = ottla("znode", "export", where, file).stdout
    assert "105 nodes; left out: 1 ephemeral, 1 notifications" in said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "--overwrite" in ottla("znode", "export", where, file, status=3).stderr
    head, *nodes, end = [json.loads(line) for line in file.read_text().splitlines()]
    assert head["type"] == "znodes" and head["format"] == 1 and end == {"type": "end", "nodes": 105}
    assert [n["path"] for n in nodes] == sorted(n["path"] for n in nodes)
    assert rows("znode", "import", "--dry-run", file, store, type="summary")[0]["created"] == 105
    assert not (tmp_path / "store").exists()
    ottla("znode", "import", file, store)
    assert rows("znode", "import", file, store, type="summary")[0]["same"] == 105       # again: nothing to do
    again = tmp_path / "again"
    ottla("znode", "export", store, again)
    strip = lambda line: {k: v for k, v in json.loads(line).items() if k not in ("ctime", "mtime", "from", "exported_ms", "cversion")}
    assert [strip(x) for x in again.read_text().splitlines()] == [strip(x) for x in file.read_text().splitlines()]
    # From one chroot to another, and over what is there.
    ottla("znode", "copy", where, f"{where}/copy/deep")
    k.set(where.partition("/")[2].join(["/", "/copy/deep/config/topics/t7"]), b"other")
    refused = ottla("znode", "import", file, f"{where}/copy/deep", status=1)
    assert "t7" in refused.stdout and "1 nodes" in refused.stderr
    ottla("znode", "import", "--overwrite", file, f"{where}/copy/deep")
    assert ottla("znode", "diff", store, f"{where}/copy/deep").stdout == "the same\n"


@pytest.mark.only("ottla")
def test_an_interrupted_import_is_finished_by_the_next(kind, cluster, zk, proxies, tmp_path):
    """It dies when so many bytes have reached ZooKeeper.  (What lost answers do: test/unit/zk/test_copy.)"""
    where, k = cluster
    file = tmp_path / "tree"
    ottla("znode", "export", where, file)
    missing = []
    for n in (500, 300_000, 700_000):
        proxy, root = proxies(zk.port), f"/{where.partition('/')[2]}/killed-{n}"
        proxy.let_through(n)
        p = subprocess.Popen([env.ottla(), "znode", "import", file, proxy.address + root], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: proxy.spent or p.poll() is not None, 20, "so many bytes")
        assert p.poll() is None, "it was done already"
        p.kill()
        p.wait()
        missing += [r["created"] for r in rows("znode", "copy", "--dry-run", where, zk.address + root, type="summary")]
        ottla("znode", "import", file, zk.address + root)
        assert ottla("znode", "diff", "--path", "/config/topics", where, zk.address + root).stdout == "the same\n"
    assert missing[0] == 105 and any(0 < m < 105 for m in missing), missing


BAD = {
    "empty": (lambda lines: [], "did not write this"),
    "something else": (lambda lines: ["{}"], "line 1: no object with a type"),
    "a dump": (lambda lines: ['{"type":"znode","path":"/x","data":""}'], "line 1: ottla znode export did not write this"),
    "cut off": (lambda lines: lines[:-2], "without its last line"),
    "cut inside": (lambda lines: [*lines[:3], lines[3][:20]], "line 4: no JSON"),
    "a line lost": (lambda lines: [*lines[:-2], lines[-1]], "there are"),
    "a line twice": (lambda lines: [*lines[:3], lines[2], *lines[3:-1], '{"type":"end","nodes":%d}' % (len(lines) - 1)], "/b stands there twice"),
    "later format": (lambda lines: [lines[0].replace('"format":1', '"format":2'), *lines[1:]], "line 1: format 2 is of a later Ottla"),
    "no base64": (lambda lines: [s.replace("eHl6", "eHl*") for s in lines], "line 4: data is not base64"),
    "bits left over": (lambda lines: [s.replace("eHl6", "eHl6eB==") for s in lines], "line 4: data is not base64"),
    "bad path": (lambda lines: [s.replace("/b/c", "/b//c") for s in lines], "line 4: no path"),
    "orphan": (lambda lines: [s.replace("/b/c", "/d/c") for s in lines], "/d/c stands there without its parent"),
    "bad version": (lambda lines: [s.replace('"version":0', '"version":4294967296') for s in lines], "line 2: version"),
    "bad acl": (lambda lines: [s.replace('"acl":null', '"acl":[{"scheme":"world","id":"anyone","perms":"x"}]') for s in lines], "line 2: acl"),
    "behind the end": (lambda lines: [*lines, lines[1]], "something behind the end"),
    "unknown type": (lambda lines: [lines[0], '{"type":"novelty"}', *lines[1:]], "line 2: an unknown type, novelty"),
    "no utf-8": (lambda lines: [lines[0], '{"type":"znode","path":"/\udcff","data":null}', *lines[1:]], "line 2: no JSON"),
    "live": (lambda lines: [lines[0], *['{"type":"znode","path":"%s","data":null}' % p for p in ("/brokers", "/brokers/ids", "/brokers/ids/1")],
                            '{"type":"end","nodes":3}'], "brokers are live there: 1"),
    "a version nobody gets to": (lambda lines: [lines[0], '{"type":"znode","path":"/brokers","data":null}',
                                                '{"type":"znode","path":"/brokers/seqid","data":null,"version":2000000000}', '{"type":"end","nodes":2}'],
                                 "/brokers/seqid: version 2000000000"),
}


@pytest.mark.only("ottla")
def test_a_file_with_anything_wrong_is_refused_by_line_and_writes_nothing(kind, tmp_path):
    good = ['{"type":"znodes","format":1}', '{"type":"znode","path":"/a","data":null,"acl":null,"version":0}',
            '{"type":"znode","path":"/b","data":"","acl":null,"version":0}', '{"type":"znode","path":"/b/c","data":"eHl6","acl":null,"version":0}',
            '{"type":"end","nodes":3}']
    file, store = tmp_path / "tree", tmp_path / "store"
    file.write_text("\n".join(good))
    assert rows("znode", "import", "--dry-run", file, f"embedded:{store}", type="summary")[0]["created"] == 3
    for name, (damage, words) in BAD.items():
        file.write_bytes("".join(f"{s}\n" for s in damage(good)).encode(errors="surrogateescape"))
        said = ottla("znode", "import", file, f"embedded:{store}", status=3).stderr
        assert words in said and str(file) in said, (name, said)
    assert not (store / "ottla.coordination.db").exists() or not rows("znode", "dump", f"embedded:{store}", "--path", "/brokers", status=3)


@pytest.mark.only("ottla")
def test_an_embedded_store_is_named_by_its_directory(kind, tmp_path):
    assert "embedded:DIR" in ottla("znode", "copy", "embedded", "127.0.0.1:1", status=3).stderr
    assert "no ottla.coordination.db" in ottla("znode", "dump", f"embedded:{tmp_path}", status=3).stderr
    assert not list(tmp_path.iterdir()), "looking made something"
    (tmp_path / "auth").write_text("digest\n")
    assert "line 1 is not" in ottla("znode", "dump", "--auth-file", tmp_path / "auth", f"embedded:{tmp_path}", status=3).stderr
