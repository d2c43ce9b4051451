# SPDX-License-Identifier: Apache-2.0
"""Where figures go: test/bench/RESULTS, a section for each group of rows, and raw data with plots in a directory of the caller's."""
import datetime
import os
import pathlib
import platform
import re
import shutil
import subprocess

from harness import env


def first_match(path, pattern):
    found = re.search(pattern, pathlib.Path(path).read_text())
    return found.group(1).strip() if found else "?"


def machine():
    memory = int(first_match("/proc/meminfo", r"MemTotal:\s*(\d+)")) / (1 << 20)
    return f"{os.cpu_count()} x {first_match('/proc/cpuinfo', r'model name.*: (.*)')}, {memory:.0f} GiB, Linux {platform.release()}"


def version():
    """The commit that is measured, with a + when files differ from it."""
    done = subprocess.run(["git", "-C", env.TOP, "describe", "--always", "--dirty=+", "--exclude=*"], capture_output=True, text=True)
    return done.stdout.strip() or "no git"


def section(name, options, minutes, busy, table):
    """busy: the share of all processors that was not idle before it began"""
    now = datetime.datetime.now(datetime.timezone.utc)
    return (f"ROWS={name}\n{now:%Y-%m-%d %H:%M} UTC, {version()}, {minutes:.0f} minutes: make bench ROWS={name}" + (f" BENCH_ARGS='{options}'" if options else "") +
            f"\n{machine()}, {busy:.0%} busy with other things before it began\n\n{table}\n")


def write(path, name, text):
    """Puts the section where the group's last one stands, or behind the others."""
    path = pathlib.Path(path)
    head, *rest = re.split(r"(?m)^(?=ROWS=)", path.read_text()) if path.exists() else [""]
    kept = [s.rstrip("\n") + "\n" for s in rest]
    names = [s.split("\n", 1)[0] for s in kept]
    if f"ROWS={name}" in names:
        kept[names.index(f"ROWS={name}")] = text
    else:
        kept.append(text)
    path.write_text(head + "\n\n".join(kept))


class Raw:
    """One file of tab-separated figures per work, and a plot of it when gnuplot is there."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory) if directory else None
        if self.directory:
            self.directory.mkdir(parents=True, exist_ok=True)

    def __call__(self, name, kinds, all_pairs):
        if not self.directory:
            return
        for kind in kinds:
            rows = [p[kind] for p in all_pairs]
            lines = ["\t".join(["pair", *rows[0]])] + ["\t".join([str(n), *(f"{v:.6g}" for v in r.values())]) for n, r in enumerate(rows, 1)]
            (self.directory / f"{name}-{kind}.tsv").write_text("\n".join(lines) + "\n")
        if shutil.which("gnuplot"):
            self.plot(name, kinds, list(all_pairs[0][kinds[0]]), len(all_pairs))

    def plot(self, name, kinds, keys, n_pairs):
        """A panel for each figure, a line for each side over the pairs."""
        script = [f"set terminal png size 900,{260 * len(keys)}; set output '{self.directory / name}.png'; set multiplot layout {len(keys)},1",
                  "set datafile separator '\\t'; set key outside; set yrange [0:*]; set xtics 1; set xlabel 'pair'; "
                  f"set xrange [0.5:{n_pairs}.5]"]
        for n, key in enumerate(keys, 2):
            lines = ", ".join(f"'{self.directory / name}-{k}.tsv' using 1:{n} every ::1 with linespoints title '{k}'" for k in kinds)
            script.append(f"set title '{name}: {key}' noenhanced; plot {lines}")
        subprocess.run(["gnuplot"], input="\n".join(script), text=True, check=True)
