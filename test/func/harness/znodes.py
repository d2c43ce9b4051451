# SPDX-License-Identifier: Apache-2.0
"""ZooKeeper's tree as values that two clusters can be compared by.

What must differ is named, not dropped: a cluster's id, topics' ids, times, ports and directories, who owns an ephemeral node (one of us, or nobody)."""
import json
import re

CLOCKS = {"timestamp"}
IDS = {"topic_id": "some id", "id": "some id"}
# Kafka makes these with whatever its sequence gives; their number is a count of what happened, and they go away after a while.
SEQUENTIAL = re.compile(r"^(/config/changes/config_change_|/isr_change_notification/isr_change_|/log_dir_event_notification/log_dir_event_)\d{10}$")


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
    # the order of a config's keys is that of a hash table in Java; the version counts writes
    return {"data": data, "version": stat.version, "ephemeral": stat.ephemeralOwner != 0}


def tree(zk, b, ignore=()):
    """{path: node} of everything below the broker's chroot."""
    found = {}
    with zk.session("/" + b.zk_connect.partition("/")[2]) as k:
        def walk(path):
            if any(re.match(p, path) for p in ignore):
                return
            raw, stat = k.get(path)
            found[path] = node(b, path, raw, stat)
            for child in k.get_children(path):
                walk(f"{path.rstrip('/')}/{child}")

        walk("/")
    # numbered nodes in the order of their numbers; the numbers themselves count
    return dict(sorted(found.items()))
