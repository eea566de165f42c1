"""Many processes and one token: exactly one request a round, and no answer of the platform is lost.

The platform is as strict as the strictest one: a refresh token is spent with its first use, and a second use of one ends all
of them. ROSTRUM_LONG=1 runs as often as the goals say.
"""

import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from cluster import Cluster
from rostrum import binaries, eventually
from strikes import needs_crash_points
from tokens import TokenServer

LONG = os.environ.get("ROSTRUM_LONG") == "1"


class Renewer:
    """A process that renews tokens at our word."""

    def __init__(self, cluster, server, home=None, tasks=50, lease=45_000, crash=None):
        self.home = Path(home or tempfile.mkdtemp(prefix="rostrum-renew-"))
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        if crash:
            environment["CRASH_POINT_FOR_TESTS"] = f"renewal.{crash}:1:kill"
        self.process = subprocess.Popen(
            [
                str(binaries() / "rostrum-bench"), "renew", "--database", cluster.url(), "--server", server.url, "--home",
                str(self.home), "--rotation", server.rotation, "--tasks", str(tasks), "--lease", str(lease),
            ],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def ask(self, *words):
        self.tell(*words)
        return self.hear()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()


@pytest.fixture(scope="module")
def cluster():
    made = Cluster().make()
    home = tempfile.mkdtemp(prefix="rostrum-renew-")
    environment = {
        "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "ROSTRUM_HOME": home, "DATABASE_URL": made.url(),
        "OAUTH_ENCRYPTION_KEY": "07" * 32,
    }
    subprocess.run([str(binaries() / "rostrum"), "migrate"], env=environment, check=True, timeout=120, stdout=subprocess.DEVNULL)
    try:
        yield made
    finally:
        made.close()


class Group:
    """Processes, and the server that they ask; ended together."""

    def __init__(self, cluster, rotation):
        self.cluster, self.server, self.members = cluster, TokenServer(rotation), []

    def start(self, **more):
        member = Renewer(self.cluster, self.server, **more)
        self.members.append(member)
        return member

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for member in self.members:
            member.close()
        self.server.close()


def in_step(server, state):
    return (state["access"], state["refresh"]) == (server.access[-1], server.refresh[-1])


def test_many_processes_make_one_request_a_round(cluster):
    """V5."""
    rounds, processes, tasks = (200, 8, 50) if LONG else (5, 4, 20)
    with Group(cluster, "strict") as group:
        members = [group.start(tasks=tasks) for _ in range(processes)]
        connection = members[0].ask("make")["connection"]
        waits = []
        for number in range(1, rounds + 1):
            generation = members[0].ask("show", connection)["generation"]
            members[0].ask("end", connection)
            for member in members:
                member.tell("go", connection, generation)
            answers = [member.hear() for member in members]
            assert all(answer["current"] == tasks for answer in answers), answers
            assert group.server.requests == number
            waits += [answer["milliseconds"] for answer in answers]
        assert group.server.replays == 0
        assert in_step(group.server, members[0].ask("show", connection))
        print(f"longest wait of {rounds} rounds: {max(waits):.0f} ms")


POINTS = ["beforeJournal", "beforeSend", "beforeStore", "afterSpool", "afterStore"]


@pytest.mark.parametrize("rotation", ["none", "grace", "strict"])
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_process_leaves_nothing_that_can_not_go_on(cluster, rotation, point):
    """V6: with the lease of a test instead of 45 s, and the whole one in the long form."""
    needs_crash_points()
    lease = 45_000 if LONG and point == "beforeSend" else 3_000
    with Group(cluster, rotation) as group:
        first = group.start(tasks=1, lease=lease, crash=point)
        connection = first.ask("make")["connection"]
        assert first.ask("go", connection, 1) is None, "it was not killed"
        killed = time.monotonic()
        # What an answer leaves on a disk is found by the next start there.
        second = group.start(tasks=5, lease=lease, home=first.home)
        assert "error" not in second.ask("replay")

        def ended():
            answer = second.ask("go", connection, 1)
            return answer if "current" in answer or "dead" in answer else None

        answer = eventually(ended, lease / 1000 + 120, "the connection has recovered")
        took = time.monotonic() - killed
        state = second.ask("show", connection)
        assert group.server.requests <= 2
        if rotation == "strict" and point == "beforeStore":
            # The answer was in the dead process's memory alone.
            assert "dead" in answer
            assert state["status"] == "expired" and "lost" in state["reason"]
            for _ in range(3):
                second.ask("go", connection, 1)
            assert group.server.requests == 2
        else:
            assert "current" in answer
            assert state["status"] == "active" and state["access"] == group.server.access[-1]
            assert group.server.replays == 0
        print(f"{rotation} {point}: {took:.1f} s, {group.server.requests} requests")


def test_an_absent_database_costs_no_token(cluster):
    """V7."""
    with Group(cluster, "strict") as group:
        member = group.start(tasks=3)
        connection = member.ask("make")["connection"]
        for number in range(1, (200 if LONG else 3) + 1):
            generation = member.ask("show", connection)["generation"]
            member.ask("end", connection)
            group.server.before_answer = lambda: cluster.stop(signal.SIGQUIT)
            answer = member.ask("go", connection, generation)
            group.server.before_answer = lambda: None
            assert "current" not in answer and "dead" not in answer, answer
            if number % 2:
                # The process does not live to see the database again.
                member.kill()
            cluster.start()
            if number % 2:
                member = group.start(tasks=3, home=member.home)
            assert eventually(lambda: member.ask("replay").get("stored"), 60, "the answer is stored") == 1
            assert in_step(group.server, member.ask("show", connection))
            assert group.server.requests == number
        assert group.server.replays == 0
