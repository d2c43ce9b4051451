# SPDX-License-Identifier: Apache-2.0
"""The load of consumer groups that test/bench/groupload.c makes, as an object: one command, one answer."""
import json
import os
import pathlib
import subprocess

from . import env
from .proc import die_with_parent


class GroupLoad:
    """With `with`: its connections, and so its members, end with it."""

    def __init__(self, broker, **options):
        self.argv = [str(program()), *[f"{k}={v}" for k, v in options.items()], "127.0.0.1", str(broker.port)]

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        return self

    def begin(self, command, *numbers):
        try:
            self.process.stdin.write(" ".join(map(str, (command, *numbers))) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def answer(self):
        line = self.process.stdout.readline()
        assert line, f"{self.process.stderr.read()}(status {self.process.wait()})"
        return json.loads(line)

    def ask(self, command, *numbers):
        """-> its answer; what goes wrong in the client or the broker is an AssertionError with its words"""
        self.begin(command, *numbers)
        return self.answer()

    def __exit__(self, kind, *_):
        if kind:
            self.process.kill()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        status = self.process.wait(60)
        said = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        assert kind or status == 0, f"groupload: status {status}\n{said}"


def program(name="groupload"):
    """One of test/bench, built beside the daemon."""
    place = pathlib.Path(env.ottlad() or env.missing("ottlad")).parent / "test/bench" / name
    return place if os.access(place, os.X_OK) else env.missing(f"test/bench/{name}")
