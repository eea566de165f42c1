"""Several hosts with homes of their own on one database, with one folder of media.

ROSTRUM_LONG=1 adds what takes long, and holds the hosts to times that need a machine of their own.
"""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import cluster as cluster_module
import pytest
from cluster import Cluster, Fleet, Proxy, as_server, instant, published
from rostrum import Host, Sandbox, eventually

LONG = os.environ.get("ROSTRUM_LONG") == "1"


@pytest.fixture
def sandbox():
    sandbox = Sandbox()
    yield sandbox
    sandbox.close()


@pytest.fixture
def cluster():
    cluster = Cluster().make()
    yield cluster
    cluster.close()


def connect(host, sandbox, count):
    names = [f"account{number}" for number in range(count)]
    sandbox.accounts(names)
    return [host.connect_x(name) for name in names]


def plan(host, connections, count, start, span, word="Post"):
    """Plans posts evenly over a span; answers with due times by text."""
    due = {}
    for number in range(count):
        text = f"{word} {number}"
        due[text] = start + span * number / count
        host.dispatch(host.write(text), [connections[number % len(connections)]], at=due[text])
    return due


def check(host, sandbox, due, seconds=120, late=None):
    """Every post is out once, none before its time; answers with the greatest lateness."""
    host.wait_for_ends(seconds)
    states = {row["id"]: row["state"] for row in host.deliveries()}
    assert set(states.values()) == {"sent"}, [host.explain(n) for n, state in states.items() if state != "sent"]
    entries = published(sandbox)
    assert set(entries) == set(due)
    lateness = {text: instant(entry["at"]) - due[text] for text, entry in entries.items()}
    assert min(lateness.values()) >= 0, "published before its time"
    if late is not None:
        assert max(lateness.values()) <= late, sorted(lateness.values())[-5:]
    return max(lateness.values())


def claimed(host):
    _, _, text = host.http.raw("GET", "/metrics")
    line = next(line for line in text.decode().splitlines() if line.startswith("rostrum_jobs_claimed_total"))
    return int(line.split()[1])


def counts(cluster, query):
    return {name: int(count) for name, count in (line.split("|") for line in cluster.execute(query).splitlines())}


def test_three_hosts_share_the_work_and_have_one_leader(sandbox, cluster):
    fleet = Fleet(sandbox, cluster.url(), 3, ROSTRUM_SLOTS=4).start()
    try:
        connections = connect(fleet[0], sandbox, 30)
        # All are told of what one host takes in.
        start = time.time() + 5
        due = plan(fleet[0], connections, 90, start, 3)
        check(fleet[1], sandbox, due)
        assert all(claimed(host) > 0 for host in fleet.hosts)
        # Periodic work ran at most once for each multiple of its interval, whoever did it.
        runs = counts(cluster, "SELECT kind, count(*) FROM attempts WHERE kind LIKE 'host.%' GROUP BY 1")
        fires = counts(cluster, "SELECT name, count(*) FROM periodic_fires GROUP BY 1")
        assert fires and all(count <= fires[name] for name, count in runs.items()), (runs, fires)
        assert cluster.execute("SELECT count(*) FROM nodes") == "3"
        marks = eventually(
            lambda: cluster.execute("SELECT count(*) FROM node_marks") == "3", 30, "each home has written its mark"
        )
        assert marks
    finally:
        fleet.close()


def test_a_distribution_ends_once_whichever_hosts_end_it(sandbox, cluster):
    fleet = Fleet(sandbox, cluster.url(), 3, ROSTRUM_SLOTS=4).start()
    try:
        connections = connect(fleet[0], sandbox, 24)
        start = time.time() + 5
        made = [fleet[n % 3].dispatch(fleet[0].write(f"For all {n}"), connections, at=start) for n in range(6)]
        fleet[1].wait_for_ends(120)
        assert all(claimed(host) > 0 for host in fleet.hosts)
        rows = cluster.execute(
            "SELECT subject_id, data->>'states' FROM outbox WHERE kind = 'distribution.ended' ORDER BY 1"
        ).splitlines()
        assert rows == [f'{number}|{{"sent": 24}}' for number in sorted(row["distributionId"] for row in made)]
    finally:
        fleet.close()


def test_a_rolling_restart_leaves_no_gap(sandbox, cluster):
    fleet = Fleet(sandbox, cluster.url(), 2).start()
    try:
        connections = connect(fleet[0], sandbox, 20)
        start = time.time() + 5
        due = plan(fleet[0], connections, 80, start, 16)
        time.sleep(max(0, start + 1 - time.time()))
        for host in fleet.hosts:
            assert host.stop() == 0
            host.start()
        worst = check(fleet[0], sandbox, due, late=2 if LONG else None)
        print(f"rolling restart: at most {worst:.3f} s late")
    finally:
        fleet.close()


def test_the_work_of_a_killed_host_runs_elsewhere(sandbox, cluster):
    fleet = Fleet(sandbox, cluster.url(), 2, ROSTRUM_SLOTS=4).start()
    try:
        connections = connect(fleet[0], sandbox, 24)
        # Slow answers keep jobs claimed when the kill comes.
        sandbox.settings(baseDelayMs=300)
        start = time.time() + 12
        due = plan(fleet[0], connections, 48, start, 0.1)
        node = cluster.execute(f"SELECT node_epoch FROM nodes WHERE home = '{fleet[0].environment['ROSTRUM_HOME']}'")
        held = f"SELECT count(*) FROM leases WHERE node_epoch = '{node}' AND phase = 1"
        eventually(lambda: int(cluster.execute(held)) > 0, 60, "the host holds work", pause=0.01)
        # Some of it is on its way, some is not: the other host takes over what is not.
        fleet[0].kill()
        killed = time.monotonic()
        eventually(lambda: cluster.execute(held) == "0", 60, "unsent work was taken over", pause=0.01)
        took = time.monotonic() - killed
        print(f"unsent work of a killed host was free after {took:.3f} s")
        assert not LONG or took <= 1.5
        check(fleet[1], sandbox, due)
    finally:
        fleet.close()


@pytest.mark.skipif(not LONG, reason="stops a host for 90 s")
def test_a_host_that_was_stopped_for_long_does_no_harm(sandbox, cluster):
    fleet = Fleet(sandbox, cluster.url(), 2).start()
    try:
        connections = connect(fleet[0], sandbox, 20)
        start = time.time() + 6
        due = plan(fleet[0], connections, 200, start, 100)
        time.sleep(max(0, start + 2 - time.time()))
        tree = [fleet[0].process.pid, *[pid for pid, _ in fleet[0].descendants()]]
        for pid in tree:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(90)
        for pid in tree:
            os.kill(pid, signal.SIGCONT)
        check(fleet[1], sandbox, due, 180)
        eventually(lambda: fleet[0].http.get("/health")["status"] == "healthy", 60, "it serves again")
    finally:
        fleet.close()


def test_the_database_stops_and_starts(sandbox, cluster):
    fleet = Fleet(sandbox, cluster.url(), 2).start()
    try:
        connections = connect(fleet[0], sandbox, 12)
        start = time.time() + 4
        due = plan(fleet[0], connections, 48, start, 12)
        for ending in (cluster.stop, cluster.kill):
            time.sleep(3)
            ending()
            time.sleep(1)
            cluster.start()
        check(fleet[0], sandbox, due)
        # The same server, as it was left: nobody is asked.
        assert cluster.execute("SELECT count(*) FROM holds") == "0"
    finally:
        fleet.close()


def test_cut_and_slow_connections_do_no_harm(sandbox, cluster):
    proxy = Proxy(cluster.port)
    fleet = Fleet(sandbox, cluster.url(proxy.port), 2).start()
    try:
        connections = connect(fleet[0], sandbox, 12)
        start = time.time() + 4
        due = plan(fleet[0], connections, 60, start, 8)
        time.sleep(max(0, start - time.time()))
        for _ in range(4):
            proxy.cut()
            time.sleep(1)
            proxy.delay = 0.02
            time.sleep(0.5)
            proxy.delay = 0
        check(fleet[0], sandbox, due)
    finally:
        fleet.close()
        proxy.close()


def test_clocks_that_differ_and_jump_do_no_harm(sandbox, cluster, tmp_path):
    library = tmp_path / "clock.so"
    source = Path(cluster_module.__file__).with_name("clock.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source)], check=True)
    fleet = Fleet(sandbox, cluster.url(), 2)
    clocks = []
    for place, host in enumerate(fleet.hosts):
        clock = tmp_path / f"clock{place}"
        clock.write_text("+3600" if place == 0 else "-3600")
        clocks.append(clock)
        host.served_with = {"LD_PRELOAD": str(library), "SHIFTED_CLOCK": str(clock)}
    fleet.start()
    try:
        connections = connect(fleet[0], sandbox, 12)
        start = time.time() + 5
        due = plan(fleet[0], connections, 48, start, 10)
        later = fleet[0].dispatch(fleet[0].write("In half an hour"), connections[:1], at=time.time() + 1800)
        time.sleep(max(0, start + 3 - time.time()))
        clocks[0].write_text("-3600")
        clocks[1].write_text("+3600")
        eventually(lambda: fleet[0].counts()["sent"] == 48, 120, "all are published", pause=0.25)
        entries = published(sandbox)
        assert set(entries) == set(due)
        assert all(instant(entry["at"]) >= due[text] for text, entry in entries.items()), "published before its time"
        number = later["deliveries"][0]["id"]
        assert fleet[0].delivery(number)["state"] == "pending"
        # The database's clock counts, so nobody took the other for dead.
        assert cluster.execute("SELECT count(*) FROM nodes") == "2"
    finally:
        fleet.close()


class Pooler:
    """pgbouncer in transaction mode."""

    def __init__(self, cluster):
        self.port = Host.free_port()
        file = cluster.folder / "pgbouncer.ini"
        file.write_text(
            f"""[databases]
rostrum = host=127.0.0.1 port={cluster.port} user=rostrum
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
ignore_startup_parameters = extra_float_digits
"""
        )
        self.process = subprocess.Popen(
            ["/usr/sbin/pgbouncer", "-q", str(file)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **as_server(),
        )

    def close(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.mark.skipif(not os.path.exists("/usr/sbin/pgbouncer"), reason="needs Debian's pgbouncer")
def test_a_pooler_in_transaction_mode_carries_all_but_locks_and_notices(sandbox, cluster):
    pooler = Pooler(cluster)
    fleet = Fleet(sandbox, cluster.url(pooler.port), 2, DATABASE_DIRECT_URL=cluster.url()).start()
    try:
        connections = connect(fleet[0], sandbox, 16)
        start = time.time() + 4
        due = plan(fleet[0], connections, 48, start, 3)
        # Many at once share few sessions of the server; role and site must stay with their transaction.
        problems = []

        def ask():
            try:
                for _ in range(20):
                    assert len(fleet[1].http.get(f"/api/posts?siteId={fleet[0].site}&limit=100")) > 0
            except Exception as error:  # shown by the test
                problems.append(error)

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not problems, problems[0]
        check(fleet[1], sandbox, due)
        assert cluster.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rostrum' AND query LIKE 'LISTEN%'"
        ) != "0"
    finally:
        fleet.close()
        pooler.close()
