# SPDX-License-Identifier: Apache-2.0
"""Processes: started with their output in a file, ended by their id, and never left behind."""
import ctypes
import fcntl
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1
CLAIMS = None       # an open file; byte n of it is locked by the run that has port n
CLAIMED = set()


def wait_until(condition, seconds, what="", every=0.02):
    """Waits for condition() to be true and returns its value; fails with the last value or exception after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        last = None
        try:
            last = condition()
            if last:
                return last
        except Exception as e:  # the condition may ask something that is not there yet
            last = e
        if time.monotonic() > end:
            words = what or getattr(condition, "__name__", "condition")
            raise AssertionError(f"waited {seconds} s in vain for {words}: {last!r}")
        time.sleep(every)


def claim(port):
    """Whether no other run of tests on this machine has the port.  It has it until its process ends, so nobody takes the port of a broker that was killed
    and is to come back.  (One file, opened once: closing any descriptor of it would give all locks back.)"""
    global CLAIMS
    if CLAIMS is None:
        CLAIMS = open(pathlib.Path(tempfile.gettempdir()) / f"ottla-test-ports-{os.getuid()}", "w+b")
    if port in CLAIMED:
        return False
    try:
        fcntl.lockf(CLAIMS, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    CLAIMED.add(port)
    return True


def free_port():
    """A port that nobody listens on, and nobody is given by another run.  Taken from below the ephemeral range, so that no outgoing connection sits on it
    later."""
    first = 20000 + os.getpid() * 97 % 9700      # far from the ports of another run beside this one
    for port in [*range(first, 30000), *range(20000, first)]:
        if not claim(port):
            continue
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise RuntimeError("no free port")


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One child.  `log` grows over restarts; kill9 and stop return when the process is gone."""

    def __init__(self, argv, log, cwd=None, env=None):
        self.argv, self.log, self.cwd = [str(a) for a in argv], pathlib.Path(log), cwd
        self.env = dict(os.environ, **(env or {}))
        self.popen = None
        self.log_start = 0

    @property
    def pid(self):
        return self.popen.pid

    def start(self, preexec=None):
        assert not self.alive(), f"{self.argv[0]} runs already"

        def before_exec():
            die_with_parent()
            if preexec:
                preexec()

        self.log_start = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.cwd,
                                          env=self.env, start_new_session=True, preexec_fn=before_exec)
        return self

    def alive(self):
        return self.popen is not None and self.popen.poll() is None

    def signal(self, signo):
        if self.alive():
            os.kill(self.pid, signo)

    def wait(self, seconds=30):
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.argv[0]} (pid {self.pid}) still runs after {seconds} s\n{self.tail()}") from None

    def kill9(self):
        if self.popen is not None:
            self.signal(signal.SIGKILL)
            self.wait(10)

    def stop(self, seconds=30):
        """SIGTERM; SIGKILL and a failure when that takes too long."""
        if not self.alive():
            return self.popen.returncode if self.popen else None
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"{self.argv[0]} did not end within {seconds} s of SIGTERM\n{self.tail()}") from None

    def text(self):
        """What it wrote since it was last started."""
        if not self.log.exists():
            return ""
        with open(self.log, "rb") as f:
            f.seek(self.log_start)
            return f.read().decode(errors="replace")

    def tail(self, lines=30):
        return "\n".join(["--- " + str(self.log), *self.text().splitlines()[-lines:]])


def pids_with(word):
    """Processes that have `word` in their command line (not ourselves)."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if word.encode() in (entry / "cmdline").read_bytes() and (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def pids_with_session(pid):
    """Processes of the session that this one leads: itself, and what it started."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[3]) == pid:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def cpu_seconds(pid):
    """User and system time of a process and of its children that ended."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(fields[i]) for i in (11, 12, 13, 14)) / os.sysconf("SC_CLK_TCK")


def memory_kib(pid):
    """Anonymous and shared memory that is resident (not the page cache of mapped files)."""
    rows = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return sum(int(rows[k].split()[0]) for k in ("RssAnon", "RssShmem"))
