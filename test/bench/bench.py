#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench.py - Java Kafka 3.9.1 and Ottla in one run, on the same work, in the order A B B A; prints medians, ratios and spreads.

The client is the same for both and costs little, so the broker is what is measured; client and broker share the machine's cores.  Each broker
starts in a fresh directory; one ZooKeeper serves all.  --results keeps the table, --raw what it was made of.
"""
import argparse
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "func"))

from harness import env, java                                                # noqa: E402
from harness.zookeeper import ZooKeeper                                      # noqa: E402

import data_rows                                                             # noqa: E402
import embedded_rows                                                         # noqa: E402
import group_rows                                                            # noqa: E402
import latency_rows                                                          # noqa: E402
import others_rows                                                           # noqa: E402
import pairs                                                                 # noqa: E402
import quick_rows                                                            # noqa: E402
import report                                                                # noqa: E402
import restart_rows                                                          # noqa: E402
import scale_rows                                                            # noqa: E402

SETS = {"quick": quick_rows, "groups": group_rows, "embedded": embedded_rows, "latency": latency_rows, "data": data_rows, "restart": restart_rows,
        "scale": scale_rows, "others": others_rows}
QUIET = 0.05
HIDDEN = ("--results", "--raw")     # options that are no part of how to repeat it
# what Kafka's own start script gives
JAVA_OPTS = "-Xms1g -Xmx1g -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent"


def spread(values):
    low, high = min(values), max(values)
    return f"{high / low:.2f}" if low > 0 else f"{low:.1f}..{high:.1f}"


def verdict(a, b, limit):
    """Of a row that has a limit: a share of the first kind's figure, or a function of both figures -> (words, whether it is kept)."""
    if limit is None:
        return ""
    share = b / a if a > 0 else float("nan")
    words, kept = limit(a, b) if callable(limit) else (f"{share:.3f} of <= {limit}", share <= limit)
    return f"{words}: {'met' if kept else 'MISSED'}"


def line(row, x, y):
    """x, y: what the two kinds measured, a list each"""
    _, words, unit, better, limit = row
    a, b = statistics.median(x), statistics.median(y)
    ratio = (b / a if better == "high" else a / b) if a > 0 and b > 0 else float("nan")
    return f"{words:36} {unit:>5} {a:10.1f} {b:10.1f} {ratio:7.2f}x   {spread(x):>6} / {spread(y):<6} {verdict(a, b, limit)}".rstrip()


def table(kinds, rows, results):
    a, b = kinds
    lines = [f"{'':36} {'unit':>5} {a:>10} {b:>10} {'ratio':>8}   spread {a} / {b}"]
    lines += [line(row, *([r[row[0]] for r in results[n]] for n in (0, 1))) for row in rows]
    return "\n".join(lines)


def busy_share(seconds=2):
    before = pairs.machine_busy()
    time.sleep(seconds)
    return (pairs.machine_busy() - before) / seconds / os.cpu_count()


def run_set(name, args, kinds, zk, tmp):
    """-> its table"""
    began = time.monotonic()
    if hasattr(SETS[name], "run_group"):
        text = SETS[name].run_group(args, zk, tmp, report.Raw(args.raw))
    else:
        text = run_rounds(name, args, kinds, zk, tmp)
    if args.results:
        report.write(args.results, name, report.section(name, args.given, (time.monotonic() - began) / 60, args.busy, text))
    return text


def run_rounds(name, args, kinds, zk, tmp):
    kinds = getattr(SETS[name], "KINDS", kinds)
    results = {0: [], 1: []}
    for n, which in enumerate([0, 1, 1, 0] * args.rounds):
        print(f"{name}, run {n + 1}: {kinds[which]} ...", file=sys.stderr, flush=True)
        directory = tmp / f"{name}{n}"
        results[which].append(SETS[name].run(kinds[which], directory, zk, f"/bench-{name}{n}", args))
        if not getattr(SETS[name], "KEEPS_FILES", False):   # else they go with all the others, at the end
            shutil.rmtree(directory)
    rows = SETS[name].rows(args) if hasattr(SETS[name], "rows") else SETS[name].ROWS
    return table(kinds, rows, results)


def arguments():
    words = "\n\n".join([__doc__, *(s.__doc__ for s in SETS.values())])
    p = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", default="", help=f"{', '.join(SETS)}, or several with commas (make bench ROWS=...); default: everything")
    p.add_argument("--brokers", default="java,ottla", help="A,B (java,java proves the bench: every ratio is about 1)")
    p.add_argument("--rounds", type=int, default=1, help="how often A B B A")
    p.add_argument("--results", help="a file whose section of these rows is replaced by this run's (test/bench/RESULTS)")
    p.add_argument("--raw", help="a directory for raw figures and, with gnuplot, plots of them: ROWS=data, others")
    p.add_argument("--verbose", action="store_true", help="what the client measured, too")
    quick = p.add_argument_group("rows of quick")
    quick.add_argument("--mb", type=int, default=600, help="megabytes of the throughput runs")
    data = p.add_argument_group("rows of data")
    data.add_argument("--pairs", type=int, help=f"of each work: the two brokers and the bare program ({data_rows.PAIRS}), or Ottla and the other ({others_rows.PAIRS})")
    data.add_argument("--megabytes", type=int, default=1000, help="of a block")
    data.add_argument("--rate", type=float, default=5000, help="single requests a second")
    data.add_argument("--request-seconds", type=float, default=5, help="of a block of requests")
    data.add_argument("--only", default="", help="plain, plain1, lz4, zstd, single, waiting, or several with commas; default: all")
    restart = p.add_argument_group("rows of restart")
    restart.add_argument("--restart-partitions", type=int, default=2000)
    restart.add_argument("--restart-mb", type=float, default=4, help="of each of them")
    scale = p.add_argument_group("rows of scale")
    scale.add_argument("--parts", default="memory,turns,cpu,commit", help="some of these")
    scale.add_argument("--memory-mb", type=int, default=2000, help="the load after which memory is looked at")
    scale.add_argument("--memory-partitions", type=int, default=2000)
    scale.add_argument("--memory-connections", type=int, default=10000)
    scale.add_argument("--turns-mb", type=int, default=10000, help="what is written and deleted by retention")
    scale.add_argument("--cpu-mb", type=int, default=1000, help="written to each number of partitions")
    scale.add_argument("--cpu-partitions", default="1,100,1000,10000")
    scale.add_argument("--commit-producers", type=int, default=100)
    scale.add_argument("--commit-seconds", type=float, default=15, help="of each block, a third of it uncounted")
    groups = p.add_argument_group("rows of groups")
    groups.add_argument("--groups", type=int, default=1000)
    groups.add_argument("--members", type=int, default=5, help="of each group")
    groups.add_argument("--partitions", type=int, default=20, help="of each member: a commit names them all")
    groups.add_argument("--heartbeats", type=float, default=5000, help="a second, all members together")
    groups.add_argument("--commits", type=float, default=1000, help="a second, all members together")
    groups.add_argument("--seconds", type=float, default=10, help="of each phase")
    groups.add_argument("--fill", type=int, default=1000000, help="commits in the partition that is loaded")
    groups.add_argument("--live", type=int, default=100, help="partitions that each group commits there")
    embedded = p.add_argument_group("rows of embedded")
    embedded.add_argument("--write-seconds", type=int, default=6, help="of each run of writes, a third of it uncounted")
    embedded.add_argument("--wide", type=int, default=2000, help="partitions of a topic")
    embedded.add_argument("--topics", type=int, default=3, help="such topics, of which the median counts")
    latency = p.add_argument_group("rows of latency")
    latency.add_argument("--records", type=float, default=5000, help="a second, each in a request of its own")
    latency.add_argument("--latency-seconds", type=float, default=12, help="of a block")
    latency.add_argument("--warm", type=int, default=4, help="blocks of 5 s that do not count")
    latency.add_argument("--cold-mb", type=int, default=1000, help="what the lagging consumer reads")
    others = p.add_argument_group("rows of others (and --pairs)")
    others.add_argument("--systems", default="", help=f"{', '.join(others_rows.NAMES)}, or several with commas; default: all")
    others.add_argument("--others-records", type=int, default=500000, help="of a block")
    others.add_argument("--others-warm", type=int, default=8, help="blocks that may warm the other system up")
    args = p.parse_args()
    args.failed = []
    args.given = " ".join(a for n, a in enumerate(sys.argv[1:], 1) if "--rows" not in (a, sys.argv[n - 1]) and not set(HIDDEN) & {a, sys.argv[n - 1]})
    args.rows = [r for r in args.rows.split(",") if r] or list(SETS)
    if unknown := [r for r in args.rows if r not in SETS]:
        p.error(f"no rows are called {unknown[0]}: there are {', '.join(SETS)}")
    if unknown := [s for s in args.systems.split(",") if s and s not in others_rows.NAMES]:
        p.error(f"no system is called {unknown[0]}: there are {', '.join(others_rows.NAMES)}")
    return args


def main():
    args = arguments()
    kinds = args.brokers.split(",")
    if ("ottla" in kinds or "embedded" in args.rows) and not env.ottlad():
        sys.exit("bench: no ottlad; build it, or name it in OTTLAD")
    if env.ottlad() and env.sanitized():
        sys.exit(f"bench: {env.ottlad()} was built with a sanitizer, which is what would be measured")
    os.environ.setdefault("OTTLA_TEST_JAVA_OPTS", JAVA_OPTS)
    tables = []
    args.busy = busy_share()
    if args.busy > QUIET:
        print(f"bench: this machine is not quiet: {args.busy:.0%} busy with other things", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="ottla-bench-") as tmp:
        zk = ZooKeeper(pathlib.Path(tmp) / "zookeeper")
        try:
            zk.start()
            tables = [run_set(name, args, kinds, zk, pathlib.Path(tmp)) for name in args.rows]
        finally:
            zk.stop()
            java.forget()
    print(f"\n{os.cpu_count()} cores, A B B A x {args.rounds}; quick: {args.mb} MB per run; groups: {args.groups} x {args.members} members, "
          f"{args.heartbeats:g} heartbeats and {args.commits:g} commits a second, {args.seconds:g} s a phase, {args.fill} commits loaded")
    for t in tables:
        print(f"\n{t}")
    print("\nratio: how many times better the second is than the first (medians); spread: the largest run over the smallest; met, MISSED: what the\n"
          "issue allows, most often as a share of the first one's figure")
    if args.failed:
        sys.exit(f"bench: failed: {', '.join(args.failed)}")


main()
