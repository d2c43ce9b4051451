# SPDX-License-Identifier: Apache-2.0
"""Blocks of the same work on several sides in turn, compared pair by pair.

The first pair begins with the first side, the second with the last (A B B A), and so on; what stands between the two in `sides` (the bare program) has
its block between them.  A figure is compared only with those of its own pair, so what the machine does slowly from minute to minute cancels out.
The cost of fresh pages in the page cache (W) does not: it differs by a factor of four from one minute to the next on a virtual machine.  It is measured
before and after each block that writes, by a program that does nothing else; the block's W is the mean of the two.  A block whose two differ by more
than APART is thrown away, its pair with it, and the pair is run again, as often as the whole work has pairs."""
import os
import statistics
import sys
import time

from harness.proc import pids_with_session

APART = 0.15
SETTLED = 0.05      # two blocks of warming up that differ by less than that
WARM_LEAST = 4      # blocks of it: a virtual machine that has not compiled anything yet is steady, too


def cpu_seconds(pid):
    """User and system time of everything that this process, which leads its session, has started and that still runs, to the nanosecond."""
    return sum(of_those_that_run(pid, lambda p: time.clock_gettime(~p << 3 | 2)))


def of_those_that_run(leader, figure):
    """figure(pid) of each process of the session; one that ends meanwhile is left out, the leader has to be there."""
    for p in pids_with_session(leader) or [leader]:
        try:
            yield figure(p)
        except (OSError, KeyError):     # gone, or a zombie, which has no memory
            if p == leader:
                raise


def machine_busy():
    """Seconds of all processors that were not idle and did not wait for a disk."""
    with open("/proc/stat") as f:
        numbers = [int(n) for n in f.readline().split()[1:9]]
    return (sum(numbers) - numbers[3] - numbers[4]) / os.sysconf("SC_CLK_TCK")


class Meter:
    """with Meter(pid...) as m: ...; m.cpu, m.busy, m.seconds"""

    def __init__(self, *pids):
        self.pids = pids

    def now(self):
        return sum(cpu_seconds(p) for p in self.pids), machine_busy(), time.monotonic()

    def __enter__(self):
        self.began = self.now()
        return self

    def __exit__(self, *_):
        self.cpu, self.busy, self.seconds = (now - then for now, then in zip(self.now(), self.began))


def say(words):
    print(words, file=sys.stderr, flush=True)


def warm_up(side, work, most=12, least=WARM_LEAST):
    """The same work until two blocks in a row differ by less than SETTLED in what it is warmed up for; -> how many that took, and by how much the last
    two differed."""
    last, apart = None, float("inf")
    for n in range(1, most + 1):
        figure = work.block(side)[work.settles_by]
        if last:
            apart = abs(figure - last) / max(figure, last)
        say(f"  {work.name}: {side.kind} warms up, {work.settles_by} {figure:.4g}")
        if n >= least and apart < SETTLED:
            break
        last = figure
    return n, apart


def block(side, work, before):
    """-> (its figures, with W; the W after it)"""
    figures = work.block(side)
    after = work.pages() if work.writes else None
    if work.writes:
        figures["w"], figures["w_apart"] = (before + after) / 2, abs(before - after) / max(before, after)
        work.subtract(figures)
    say(f"  {work.name}: {side.kind} " + ", ".join(f"{k} {v:.4g}" for k, v in figures.items()))
    return figures, after


def pair(sides, work, before):
    """-> ({kind: figures}, the W after it)"""
    found = {}
    for side in sides:
        found[side.kind], before = block(side, work, before)
    return found, before


def good(found):
    return all(f.get("w_apart", 0) <= APART for f in found.values())


def run(work, sides, pairs):
    """-> (pairs that are good, all pairs, blocks thrown away for their W)"""
    all_pairs, kept, w = [], [], work.pages() if work.writes else None
    while len(kept) < pairs and len(all_pairs) < 2 * pairs:
        found, w = pair(sides if len(all_pairs) % 2 == 0 else sides[::-1], work, w)
        all_pairs.append(found)
        kept += [found] if good(found) else []
    return kept, all_pairs, sum(f.get("w_apart", 0) > APART for p in all_pairs for f in p.values())


# ---- tables -----------------------------------------------------------------------------------------------------------------------------------

def quartiles(values):
    """-> (first, median, third)"""
    if len(values) < 2:
        return (values[0],) * 3
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def number(x):
    return f"{x:.3f}" if abs(x) < 10 else f"{x:.1f}"


def spread(values):
    first, median, third = quartiles(values)
    return f"{number(median)} [{number(first)} {number(third)}]"


def row(words, unit, key, kinds, kept):
    cells = [f"{k} {spread([p[k][key] for p in kept])}" for k in kinds if all(key in p[k] for p in kept)]
    return f"{words:44} {unit:>5}   {'   '.join(f'{c:28}' for c in cells)}".rstrip()


def limit(words, of, most, kept):
    """One of issue 7's: `of` makes a figure of a pair, whose median may be `most`."""
    values = [of(p) for p in kept]
    kept_limit = statistics.median(values) <= most
    return f"    {words:46} {spread(values):24} of <= {most:g}: {'met' if kept_limit else 'MISSED'}"
