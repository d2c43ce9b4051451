# SPDX-License-Identifier: Apache-2.0
"""What others_rows.py compares with: Debian packages, unpacked below the cache and nowhere installed (so no service of theirs starts, and no root is
needed), and jars by a pom.  What is there already is not fetched again."""
import pathlib
import re
import shutil
import subprocess
import zlib

from harness import env


class Lacking(Exception):
    """Something cannot be had here; the words say what and why."""


def command(name):
    """-> where it is"""
    found = shutil.which(name)
    if not found:
        raise Lacking(f"there is no {name}")
    return found


def run(argv, cwd=None, seconds=600):
    """-> what it said"""
    command(argv[0])
    try:
        done = subprocess.run([str(a) for a in argv], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Lacking(f"{argv[0]} took more than {seconds} s") from None
    if done.returncode != 0:
        raise Lacking(f"{' '.join(str(a) for a in argv[:3])}: {said(done)}")
    return done.stdout


def said(done):
    """The line that tells most, an error's first one, without the place that it asked: tables are kept."""
    lines = [re.sub(r"\x1b\[[0-9;]*m|\(?\bhttps?://\S+", "", x).strip() for x in (done.stderr + done.stdout).splitlines()]
    lines = [x for x in lines if x not in ("", "[ERROR]")]
    return next((x for x in lines if x.startswith(("E:", "[ERROR]", "error"))), lines[-1] if lines else f"status {done.returncode}")[:400]


def kept(name, pins, make):
    """The directory of the cache that belongs to `name` and these pins; make(directory) fills it when it is not there.  It has its name only when it is whole."""
    place = env.CACHE / f"{name}-{zlib.crc32(pins)}"
    if place.is_dir():
        return place
    part = place.with_name(place.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        make(part)
        part.rename(place)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return place


def jars(pom):
    """-> the directory of its artifacts and of all that they need"""
    pom = pathlib.Path(pom)
    return kept(f"others-{pom.stem}", pom.read_bytes(), lambda place: run(
        ["mvn", "-q", "-B", "-ntp", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={place}"]))


def debs(name, packages):
    """-> the root of what these Debian packages hold; `versions` in it has their versions"""
    def make(place):
        try:
            run(["apt-get", "-q", "download", *packages], cwd=place)
        except Lacking:         # a bare machine, or one that has not looked for long
            run(["apt-get", "-q", "update"])
            run(["apt-get", "-q", "download", *packages], cwd=place)
        for deb in sorted(place.glob("*.deb")):
            run(["dpkg-deb", "-x", deb, place])
            with open(place / "versions", "a") as f:
                f.write(run(["dpkg-deb", "-W", deb]))
            deb.unlink()
    return kept(f"others-{name}", " ".join(packages).encode(), make)


def deb_version(place, package):
    return dict(line.split("\t") for line in (place / "versions").read_text().splitlines())[package]


def classes(jars_directory, sources, directory):
    """Compiles Java sources; -> a class path with them"""
    out = pathlib.Path(directory) / "classes"
    run(["javac", "-nowarn", "-cp", f"{jars_directory}/*", "-d", out, *sources])
    return f"{jars_directory}/*:{out}"
