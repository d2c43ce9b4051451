# SPDX-License-Identifier: Apache-2.0
"""ZooKeeper's tree as values that two clusters can be compared by.

What must differ is named, not dropped: a cluster's id, topics' ids, times, ports and directories, who owns an ephemeral node (one of us, or nobody)."""
import json
import re

from .pair import difference
from .proc import wait_until

CLOCKS = {"timestamp"}
IDS = {"topic_id": "some id", "id": "some id"}


def value(b, path, data, key=""):
    if isinstance(data, dict):
        return {k: value(b, path, v, k) for k, v in data.items()}
    if isinstance(data, list):
        return [value(b, path, v, key) for v in data]
    if key in CLOCKS:
        return "some time"
    if key in IDS:
        return IDS[key]
    if data == b.port:
        return "PORT"
    if isinstance(data, str):
        return re.sub(rf"(?<!\d){b.port}(?!\d)", "PORT", data).replace(str(b.directory), "DIR")
    return data


def node(b, path, raw, stat):
    try:
        data = value(b, path, json.loads(raw)) if raw else None
    except ValueError:
        data = raw.decode(errors="replace")
    # the version counts writes
    return {"data": data, "version": stat.version, "ephemeral": stat.ephemeralOwner != 0}


def tree(zk, b):
    """{path: node} of everything below the broker's chroot."""
    found = {}
    with zk.session("/" + b.zk_connect.partition("/")[2]) as k:
        def walk(path):
            raw, stat = k.get(path)
            found[path] = node(b, path, raw, stat)
            for child in k.get_children(path):
                walk(f"{path.rstrip('/')}/{child}")

        walk("/")
    return in_any_order(found)


def in_any_order(found):
    """One request may alter many users; Java writes them in the order of a hash map.  Their notes, as long as they stand in a row, are put in order."""
    notes, row = sorted(p for p in found if p.startswith("/config/changes/")), []
    for path in [*notes, None]:
        entity = str((found[path]["data"] or {}).get("entity_path", "")) if path else ""
        if entity.startswith("users/") and "/" not in entity[len("users/"):]:
            row.append(path)
            continue
        for place, content in zip(row, sorted((found[p] for p in row), key=lambda n: n["data"]["entity_path"])):
            found[place] = content
        row = []
    return found


def same(zk, first, second):
    """Topics go in the background, and notes of changes a while after they were read: the trees become the same."""
    def differ():
        java, ours = tree(zk, first), tree(zk, second)
        return [f"{p}: {difference(ours.get(p), java.get(p))}" for p in sorted({*java, *ours}) if ours.get(p) != java.get(p)]

    try:
        wait_until(lambda: not differ(), 15, every=0.3)
    except AssertionError:
        raise AssertionError("\n".join(differ())) from None
