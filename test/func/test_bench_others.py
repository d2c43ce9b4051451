# SPDX-License-Identifier: Apache-2.0
"""make bench ROWS=others without the systems: what it fetches is whole or not there, its client sees records that are lost, twice or wrong, and what cannot be
had or does not work leaves the others their turn."""
import argparse
import subprocess
import sys

import pytest

from harness import env

FAKE = """public class Fake extends Load {
	private int published;

	@Override void open() {}
	@Override void create(String topic) {}
	@Override void publish(String topic, int n) throws Exception {
		Window window = new Window(8);

		published = n;
		for (int i = 0; i < n; i++) {
			boolean refuse = topic.equals("refused") && i == 5;

			window.enter();
			new Thread(() -> window.leave(refuse ? new Exception("refused by the broker") : null)).start();
		}
		window.drain();
	}
	@Override void consume(String topic, int n, Tally tally) throws Exception {
		for (int i = 0; i < published; i++) {
			byte[] r = record(topic.equals("other") && i == 7 ? 8 : i).clone();

			if (topic.equals("turned") && i == 7)
				r[0] ^= 1;
			tally.take(topic.equals("short") && i == 7 ? new byte[1000] : r);
			if (topic.equals("twice") && i == 7)
				tally.take(r);
		}
	}
	@Override void delete(String topic) {}
	@Override void close() {}

	public static void main(String[] args) throws Exception {
		Fake fake = new Fake();

		for (int i = 0; i < args.length; i += 2) {
			Tally tally = new Tally(Integer.parseInt(args[i + 1]));

			fake.published = 20;
			fake.consume(args[i], 0, tally);
			try {
				tally.check();
				System.out.println("right");
			} catch (Exception e) {
				System.out.println(e.getMessage());
			}
		}
	}
}
"""


@pytest.fixture
def tools(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(env.TOP / "test/bench"))
    monkeypatch.setattr(env, "CACHE", tmp_path / "cache")
    import fetching
    import others_rows
    yield fetching, others_rows
    for name in ("fetching", "others_rows", "other_systems", "pairs", "data_rows", "restart_rows", "group_rows", "quick_rows"):
        sys.modules.pop(name, None)


def test_what_is_fetched_is_there_when_it_is_whole_and_is_fetched_once(tools):
    fetching, _ = tools
    calls = []

    def make(place):
        calls.append(place)
        (place / "half").write_text("x")
        if len(calls) == 1:
            raise fetching.Lacking("the network is gone")
        (place / "whole").write_text("x")

    with pytest.raises(fetching.Lacking):
        fetching.kept("thing", b"1.0", make)
    assert not list(env.CACHE.iterdir())
    place = fetching.kept("thing", b"1.0", make)
    assert place == fetching.kept("thing", b"1.0", make) and len(calls) == 2 and (place / "whole").exists()
    assert fetching.kept("thing", b"1.1", make) != place and len(calls) == 3


def test_the_reason_is_what_the_tool_says_of_the_error(tools):
    fetching, _ = tools
    for argv, reason in ((["sh", "-c", "echo Reading; echo 'E: Unable to locate package x' >&2; echo W: >&2; exit 100"], "E: Unable to locate package x"),
                         (["sh", "-c", "echo '[ERROR] '; echo '[ERROR] No artifact in central (https://x.invalid/y) -> Help'; echo '[ERROR] -e'; exit 1"],
                          r"\[ERROR\] No artifact in central  -> Help$"),
                         (["sh", "-c", "exit 7"], "status 7"), (["no-such-tool"], "there is no no-such-tool")):
        with pytest.raises(fetching.Lacking, match=reason):
            fetching.run(argv)
    with pytest.raises(fetching.Lacking, match="more than 0.1 s"):
        fetching.run(["sleep", "10"], seconds=0.1)


def test_every_system_says_what_it_is_and_pins_what_comes_by_maven(tools):
    _, others_rows = tools
    import other_systems
    for kind in other_systems.SYSTEMS.values():
        system = kind()
        words = "\n".join(others_rows.described(system))
        assert all(head in words for head in ("    settings: ", "    alike: ", "    not alike: ")) and max(map(len, words.splitlines())) <= 150
        pom = system.pom.read_text()
        assert pom.count("<dependency>") == pom.count("<version>") - 1 > 0
        assert (other_systems.HERE / f"{system.client}.java").exists()
    assert other_systems.pinned(other_systems.HERE / "artemis.xml", "artemis-server")[0].isdigit()


def test_what_cannot_be_had_or_fails_leaves_the_others_their_turn(tools, tmp_path, monkeypatch, capsys):
    fetching, others_rows = tools
    import other_systems

    class Absent(other_systems.System):
        name = "absent"

        def fetch(self):
            raise fetching.Lacking("apt-get: no network")

    class Broken(other_systems.System):
        name = "broken"

        def fetch(self):
            return "Broken 1.0"

    monkeypatch.setattr(other_systems, "SYSTEMS", {"absent": Absent, "broken": Broken, "good": Broken})
    monkeypatch.setattr(others_rows, "beside_ottla", lambda system, args, zk, directory, raw: 1 / 0 if args.failing.pop(0) else ["    figures"])
    args = argparse.Namespace(systems="absent,broken,good", others_records=10, failed=[], failing=[True, False])
    text = others_rows.run_group(args, None, tmp_path, None)
    assert "!! SKIPPED: absent cannot be had here: apt-get: no network" in text
    assert "!! FAILED: broken: division by zero" in text and args.failed == ["broken"]
    assert text.index("!! FAILED") < text.index("Broken 1.0") < text.index("    figures")
    assert "SKIPPED: absent" in capsys.readouterr().err


class FakeSide:
    pids = []

    def __init__(self, kind):
        self.kind, self.did = kind, []

    def __getattr__(self, name):
        def doing(topic, *more):
            self.did.append((name, topic))
            for begun in more[1:]:
                begun()
        return doing


def test_a_block_publishes_consumes_and_deletes_one_topic_of_its_own(tools, tmp_path, monkeypatch):
    _, others_rows = tools
    work = others_rows.Records("others-x", ["x", "ottla"], 100, tmp_path)
    monkeypatch.setattr(work, "pages", lambda: 0.25)
    sides = [FakeSide("x"), FakeSide("ottla")]
    raw = []
    lines, words = others_rows.run_pairs(work, sides, 2, lambda *a: raw.append(a))
    for side in sides:
        topics = [t for name, t in side.did if name == "create"]
        assert len(set(topics)) == 2 and side.did == [(name, t) for t in topics for name in ("create", "publish", "consume", "delete")]
    assert words == "2 of 2 pairs" and len(raw[0][2]) == 2
    assert any(line.startswith("publish, broker CPU less W") and "-0.250" in line for line in lines)       # nothing was done: 0 less W


def test_the_next_block_waits_for_what_is_still_done_but_not_for_ever(tools, monkeypatch):
    _, others_rows = tools
    used, now = [], [0.0]

    class Meter:
        seconds = 0.5

        def __init__(self, *pids):
            self.cpu = used.pop(0)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            now[0] += self.seconds

    monkeypatch.setattr(others_rows.pairs, "Meter", Meter)
    monkeypatch.setattr(others_rows.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(others_rows.time, "monotonic", lambda: now[0])
    used += [0.9, 0.04, 0.2, 0.04, 0.03, 0.9]
    others_rows.quiet([1])
    assert used == [0.9]            # two halves in a row
    used += [0.9] * 100
    now[0] = 0
    others_rows.quiet([1])
    assert now[0] == 30


def test_a_process_that_ends_while_it_is_measured_is_left_out_but_the_leader(tools, monkeypatch):
    _, others_rows = tools
    monkeypatch.setattr(others_rows.pairs, "pids_with_session", lambda leader: [7, 8, 9, 10])

    def kib(pid):
        if pid in (8, 9):
            raise OSError("gone") if pid == 8 else KeyError("RssAnon")
        return 1024

    monkeypatch.setattr(others_rows, "memory_kib", kib)
    assert others_rows.memory([7]) == 2
    with pytest.raises(OSError):
        others_rows.memory([8])


def test_the_client_sees_records_that_are_lost_twice_or_wrong(tools, tmp_path):
    fetching, _ = tools
    java, javac = env.need_command("java"), env.need_command("javac")
    (tmp_path / "Fake.java").write_text(FAKE)
    subprocess.run([javac, "-d", tmp_path, env.TOP / "test/bench/others/Load.java", tmp_path / "Fake.java"], check=True)

    command = [java, "-XX:TieredStopAtLevel=1", "-cp", tmp_path]
    cases = [("t", 20, "right"), ("t", 21, "20 records of 21, others than were sent"), ("t", 19, "20 records of 19, others than were sent"),
             ("twice", 20, "21 records of 20, others than were sent"), ("other", 20, "20 records of 20, others than were sent"),
             ("turned", 20, "20 records of 20, others than were sent"), ("short", 20, "a record of 1000 bytes")]
    done = subprocess.run([*command, "Fake", *(str(w) for topic, n, _ in cases for w in (topic, n))], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [words for *_, words in cases]
    lines = ["publish t 9000", "consume t 9000", "close", "publish refused 20"]
    done = subprocess.run([*command, "Load", "Fake", "1"], input="\n".join(lines) + "\n", capture_output=True, text=True)
    *good, last = done.stdout.splitlines()
    assert len(good) == 3 and all(line.startswith("ok ") for line in good) and done.returncode == 1, done
    assert last == "failed java.lang.Exception: not acknowledged: java.lang.Exception: refused by the broker"
