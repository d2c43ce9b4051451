# SPDX-License-Identifier: Apache-2.0
"""test/bench/bare.c as an object: what a client takes for a broker, and does nothing but the work that no broker can avoid."""
import json
import pathlib
import subprocess

from . import wire
from .groupload import program
from .proc import die_with_parent


class Bare:
    """With `with`: it listens inside.  What it wrote stays in `directory` until somebody removes it."""

    kind = "bare"

    def __init__(self, work, directory, partitions):
        self.work, self.directory, self.partitions = work, pathlib.Path(directory), partitions

    def __enter__(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen([program("bare"), self.work, self.directory, str(self.partitions)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.port = int(line)
        return self

    @property
    def pid(self):
        return self.process.pid

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def connect(self, timeout=30):
        return wire.Connection("127.0.0.1", self.port, timeout)

    def log(self, partition):
        return self.directory / f"{partition}.log"

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        status = self.process.wait(30)
        said = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        assert kind or (status, said) == (0, ""), f"bare: status {status}\n{said}"


def pages(directory, megabytes, files):
    """-> CPU seconds that so many bytes cost which go to new files, and nothing else"""
    pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
    done = subprocess.run([program("bare"), "pages", directory, str(megabytes), str(files)], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert answer["bytes"] == megabytes * 1000000, answer
    return answer["cpu"]
