# SPDX-License-Identifier: Apache-2.0
"""Where things are.  contrib/check says so in the environment; by hand, the newest of the cache serves."""
import os
import pathlib
import shutil

import pytest

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[2]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "ottla-check"
IN_CI = bool(os.environ.get("CI"))


def newest(pattern):
    found = sorted((p for p in CACHE.glob(pattern) if not p.name.endswith(".part")), key=lambda p: p.stat().st_mtime)
    return found[-1] if found else None


def path_from(variable, pattern):
    value = os.environ.get(variable)
    return pathlib.Path(value) if value else newest(pattern)


JARS = path_from("OTTLA_JARS", "jars-*")
NODE = path_from("OTTLA_NODE", "node-*")


def sanitized():
    """Whether that daemon was built with AddressSanitizer or ThreadSanitizer, whose shadow and quarantine make memory figures mean nothing."""
    with open(ottlad(), "rb") as f:
        code = f.read()
    return b"__asan_init" in code or b"__tsan_init" in code


def ottlad():
    """The daemon under test, or None when it is not built."""
    for place in (os.environ.get("OTTLAD"), TOP / "build-check/asan/ottlad", TOP / "build-check/gcc/ottlad", TOP / "ottlad"):
        if place and os.access(place, os.X_OK):
            return str(place)
    return None


def ottla():
    """The operator's command line, built beside the daemon."""
    place = pathlib.Path(ottlad() or missing("ottlad")).parent / "ottla"
    return place if place.exists() else missing("ottla")


def missing(what):
    """Something that should be there is not: a failure in CI, a loud skip elsewhere."""
    if IN_CI:
        pytest.fail(f"{what} is missing (CI: what should be there must be there)", pytrace=False)
    pytest.skip(f"{what} is missing")


def need_command(*names):
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    return missing(f"the command {names[0]}")


def need_jars():
    if JARS is None or not JARS.is_dir():
        missing("Java Kafka (jars of test/func/pom.xml)")
    return JARS
