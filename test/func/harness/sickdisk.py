# SPDX-License-Identifier: Apache-2.0
"""A disk that fails or hangs when a test says so: sickdisk.c before the broker's C library."""
import os
import pathlib
import subprocess
import tempfile

import pytest

from . import env


class SickDisk:
    """of(broker): before its start.  rule("write", "errno", 5, "d0/"): from now on; well(): no more."""

    def __init__(self):
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="ottla-sickdisk-"))
        self.library, self.text = self.place / "sickdisk.so", self.place / "rules"
        done = subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self.library, pathlib.Path(__file__).with_name("sickdisk.c"), "-ldl"], capture_output=True)
        if done.returncode:
            pytest.skip("no C compiler: " + done.stderr.decode()[-300:])

    def of(self, broker):
        before = broker.environment()
        asan = before.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        runtime = asan_runtime()
        broker.environment = lambda: dict(before, LD_PRELOAD=":".join([*runtime, str(self.library)]), SICKDISK=str(self.text), ASAN_OPTIONS=asan)
        return broker

    def rule(self, *rows):
        new = self.text.with_suffix(".new")
        new.write_text("".join(" ".join(map(str, r)) + "\n" for r in rows))
        new.rename(self.text)

    def well(self):
        self.text.unlink(missing_ok=True)

    def close(self):
        for p in self.place.iterdir():
            p.unlink()
        self.place.rmdir()


def asan_runtime():
    """Of a sanitized broker the runtime must come first."""
    done = subprocess.run(["ldd", env.ottlad()], capture_output=True, text=True) if env.ottlad() else None
    return [line.split()[2] for line in done.stdout.splitlines() if "libasan" in line and len(line.split()) > 2] if done else []
