# SPDX-License-Identifier: Apache-2.0
"""Fixtures.  A test that asks for `kind` (or for `broker` or `brokers`, which do) runs once per kind of broker under test.

	broker		one shared broker per kind, with the default configuration; tests take their own topics
	brokers		makes private brokers, each under its own chroot and directory; all of them are stopped at the end
	pair		Java and the broker under test, to be asked the same
	topic		makes topic names nobody else has; group is a group's, clients makes its members
	zk		the ZooKeeper of the test: the embedded server, by itself, or a real one for files marked `zookeeper` (README says which) and in runs
			on Java brokers.  zk_private: a real one that the test may stop

Whatever happens, every process is ended; the directory of a failed test stays, and its place is printed."""
import collections
import itertools
import os
import random
import signal
import sys
import uuid

import pytest

from harness import env, java
from harness import pair as pairs
from harness.broker import make_broker
from harness.groups import Client, Member
from harness.proxy import Proxy
from harness.zookeeper import EmbeddedServer, Ensemble, ZooKeeper

serial = itertools.count()


def pytest_addoption(parser):
    parser.addoption("--brokers", default=None, help="kinds of broker under test: ottla, java or ottla,java (default: ottla when it is built)")
    parser.addoption("--long", action="store_true", help="the long ones too")
    parser.addoption("--minutes", type=float, default=0.5, help="how long those of the long ones go on that are loads")
    parser.addoption("--shard", default="1/1", help="N/M: the n-th of m parts, files as a whole; another process may run the others meanwhile")
    parser.addoption("--seed", type=int, default=None, help="seed of the random tests (printed by each run)")


def kinds(config):
    given = config.getoption("--brokers")
    return given.split(",") if given else ["ottla" if env.ottlad() else "java"]


def pytest_configure(config):
    # SIGTERM unwinds like Ctrl-C: the fixtures end their processes.
    def unwind(signo, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, unwind)
    signal.signal(signal.SIGINT, unwind)
    config.seed = config.getoption("--seed")
    if config.seed is None:
        config.seed = random.SystemRandom().randrange(1 << 32)


def pytest_report_header(config):
    return f"brokers under test: {', '.join(kinds(config))}; ottlad: {env.ottlad()}; seed {config.seed}"


def pytest_unconfigure(config):
    java.forget()


def pytest_generate_tests(metafunc):
    if "kind" in metafunc.fixturenames:
        wanted = kinds(metafunc.config)
        only = metafunc.definition.get_closest_marker("only")
        metafunc.parametrize("kind", [k for k in wanted if not only or k in only.args] or ["none"], scope="session")


def shard(config, files):
    """The files, of all these, that belong to this run's --shard: each shard takes about as long as the others, and the same files every time.  The
    comparisons with Java stay together: they share two brokers, which would be started once more in every shard."""
    number, shards = (int(n) for n in config.getoption("--shard").split("/"))
    lines = [line.split() for line in (env.HERE.parent / "seconds").read_text().splitlines() if not line.startswith("#")]
    seconds = {name: int(n) for name, n in lines}
    weights = collections.Counter()
    bundle = {f: "java" if f.stem.endswith("_against_java") else f.stem for f in files}
    for f in files:
        weights[bundle[f]] += seconds.get(f.stem, 10)
    loads, chosen = [0] * shards, {}
    for name, weight in sorted(weights.items(), key=lambda row: (-row[1], row[0])):     # the longest first, each to whom has least
        chosen[name] = loads.index(min(loads))
        loads[chosen[name]] += weight
    return {f for f in files if chosen[bundle[f]] == number - 1}


def pytest_collection_modifyitems(config, items):
    ours = shard(config, {i.path for i in items})
    out = [i for i in items if ("kind" in getattr(i, "fixturenames", ()) and i.callspec.params.get("kind") == "none")
           or ("long" in i.keywords and not config.getoption("--long")) or i.path not in ours]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [i for i in items if i not in out]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        item.failed = True
        for b in getattr(item, "brokers", []):
            report.sections.append((f"{b.kind} broker {b.id} in {b.directory}", b.process.tail(25) if b.process else "never started"))


@pytest.fixture(scope="session")
def seed(request):
    return request.config.seed


@pytest.fixture
def rng(request, seed):
    """Random, from the seed of the run and the test's name."""
    return random.Random(f"{seed} {request.node.name}")


def serve(server, shared_brokers):
    """Serves until the run is over."""
    try:
        yield server.start()
    finally:
        problems = []
        for b in [b for (_, address), b in shared_brokers.items() if address == server.address]:
            try:
                b.stop()
            except AssertionError as e:
                problems.append(str(e))
            b.cleanup()
        server.stop()
        assert not problems, "\n".join(problems)


@pytest.fixture(scope="session")
def real_zk(tmp_path_factory, shared_brokers):
    yield from serve(ZooKeeper(tmp_path_factory.mktemp("zookeeper")), shared_brokers)


@pytest.fixture(scope="session")
def embedded_zk(tmp_path_factory, shared_brokers):
    yield from serve(EmbeddedServer(tmp_path_factory.mktemp("embedded")), shared_brokers)


@pytest.fixture(scope="module")
def zk(request):
    real = request.node.get_closest_marker("zookeeper") or "java" in kinds(request.config)
    return request.getfixturevalue("real_zk" if real or os.environ.get("OTTLA_TEST_REAL_ZK") else "embedded_zk")


@pytest.fixture
def ensemble(tmp_path, proxies):
    e = Ensemble(tmp_path, proxies)
    try:
        yield e.start()
    finally:
        e.stop()


@pytest.fixture
def zk_private(tmp_path):
    server = ZooKeeper(tmp_path / "zookeeper")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def shared_brokers():
    """{(kind, address of its ZooKeeper): broker}; who stops that ZooKeeper stops them first."""
    return {}


@pytest.fixture
def broker(request, kind, zk, shared_brokers, tmp_path_factory):
    b = shared_brokers.get((kind, zk.address))
    if b is None or not b.alive():
        again = b is not None
        b = shared_brokers[kind, zk.address] = b or make_broker(kind, tmp_path_factory.mktemp(f"shared-{kind}"), f"{zk.address}/shared-{kind}", 1)
        b.start()
        assert not again or kind == "java", "the shared broker had died"
    request.node.brokers = [b]
    yield b
    assert b.alive(), f"the broker died under this test\n{b.process.tail(60)}"


@pytest.fixture
def brokers(request, zk, tmp_path):
    """brokers(kind, config={...}, ...) -> a broker that is not started yet."""
    made = request.node.brokers = getattr(request.node, "brokers", [])
    own = []

    def make(kind, config=None, broker_id=0, zk_connect=None, directory=None, port=None):
        n = next(serial)
        b = make_broker(kind, directory or tmp_path / f"b{n}", zk_connect or f"{zk.address}/t{os.getpid()}-{n}", broker_id, config, port)
        made.append(b)
        own.append(b)
        return b

    make.adopt = lambda b: (made.append(b), own.append(b), b)[2]
    try:
        yield make
    finally:
        for b in own:
            b.cleanup()
        if getattr(request.node, "failed", False):
            print(f"the directories stay in {tmp_path}", file=sys.stderr)


@pytest.fixture(scope="session")
def pair(kind, real_zk, tmp_path_factory):
    """(Java, the other): two brokers with the same id, each with its own chroot, for all tests that compare answers.  What a test changes it changes
    on both."""
    made = []
    try:
        # Java cannot make __transaction_state: until we have that coordinator, both answer that there is none, and nothing depends on the time
        pairs.start(made, ("java", kind), tmp_path_factory.mktemp, real_zk.address, {
            "transaction.state.log.replication.factor": 2,
            "log.retention.ms": -1,         # the records of these tests are old
            # a look at retention, 30 s after the start by default, met a topic that a test had given a short one for a moment: on one of the two
            "log.initial.task.delay.ms": 86400000})
        yield made
        for b in made:
            assert b.hears(), f"{b.kind} had stopped hearing of settings: what differed above may come from that; see {b.process.log}"
    finally:
        for b in made:
            b.cleanup()


@pytest.fixture
def proxies():
    made = []

    def make(target):
        made.append(Proxy(target))
        return made[-1]

    yield make
    for p in made:
        p.close()


@pytest.fixture
def group():
    """The name of a group that nobody else has."""
    return f"g-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def members(request):
    """members(group, ...) -> a harness.groups.Member, of `broker` or of where=; all are closed."""
    made = []

    def make(*args, where=None, **kwargs):
        made.append(Member(where or request.getfixturevalue("broker"), *args, **kwargs))
        return made[-1]

    yield make
    for m in made:
        m.close()


@pytest.fixture
def clients():
    """clients(name, broker, group, topic, ...) -> a harness.groups.Client; all are killed in the end."""
    made = []

    def make(*args, **kwargs):
        made.append(Client(*args, **kwargs))
        return made[-1]

    yield make
    for c in made:
        c.kill9()


@pytest.fixture
def topic(request):
    """topic() -> a new name; topic(broker, partitions=, config=) creates it as well."""
    def make(broker=None, partitions=1, config=None, name=None):
        name = name or f"t{next(serial)}-{os.getpid()}"
        if broker is not None:
            with broker.connect() as c:
                answer = c.call("CreateTopics", 4, {
                    "Topics": [{"Name": name, "NumPartitions": partitions, "ReplicationFactor": 1,
                                "Configs": [{"Name": k, "Value": str(v)} for k, v in (config or {}).items()]}], "timeoutMs": 30000})
                assert answer["Topics"][0]["ErrorCode"] == 0, answer
        return name

    return make
