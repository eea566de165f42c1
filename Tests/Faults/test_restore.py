"""Back-ups, and what a host does that finds another database than it knew."""

import json
import subprocess
import time

import pytest
from cluster import KEY, Cluster, published
from rostrum import Host, Sandbox, binaries, eventually

# One pixel.
PICTURE = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)


@pytest.fixture
def sandbox():
    sandbox = Sandbox()
    yield sandbox
    sandbox.close()


def planned(host, connections, texts, at):
    numbers = {}
    for place, text in enumerate(texts):
        post = host.write(text)
        numbers[text] = host.dispatch(post, [connections[place % len(connections)]], at=at)["deliveries"][0]["id"]
    return numbers


def health(host):
    return host.http.get("/health")


def doctor(host):
    """The code, and the findings by their subject."""
    done = subprocess.run(
        [str(binaries() / "rostrum"), "doctor", "--json"], env=host.environment, stdout=subprocess.PIPE, timeout=120
    )
    return done.returncode, {row["subject"]: row for row in json.loads(done.stdout)["findings"]}


def test_a_restored_host_does_not_publish_again(sandbox, tmp_path):
    texts = ["First of three", "Second of three", "Third of three"]
    names = ["one", "two"]
    sandbox.accounts(names)
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("a long passphrase\n")
    first = Host(sandbox)
    second = Host(sandbox)
    try:
        first.bootstrap().start()
        connections = [first.connect_x(name) for name in names]
        status, _, _ = first.http.raw("POST", f"/api/media?siteId={first.site}&fileName=dot.gif", PICTURE)
        assert status == 201
        before = first.ended(first.dispatch(first.write("Before the back-up"), connections[:1])["deliveries"][0]["id"])
        assert before["state"] == "sent"
        due = time.time() + 12
        numbers = planned(first, connections, texts, due)
        later = planned(first, connections, ["Long after"], time.time() + 86400)

        # While the host runs.
        report = first.run("backup", str(tmp_path / "saved"), "--key-passphrase-file", str(passphrase), "--json")
        assert report["holdsKey"] and report["files"] == 1
        for path in (tmp_path / "saved").rglob("*"):
            if path.is_file():
                assert (first.home / "data" / "vault.key").read_bytes().strip() not in path.read_bytes(), path
        with pytest.raises(AssertionError, match="exists"):
            first.run("backup", str(tmp_path / "saved"))

        for number in numbers.values():
            assert first.ended(number, 120)["state"] == "sent"
        first.stop()
        assert set(texts) <= set(published(sandbox))

        second.run("restore", str(tmp_path / "saved"), "--key-passphrase-file", str(passphrase), "--json")
        with pytest.raises(AssertionError, match="not empty"):
            second.run("restore", str(tmp_path / "saved"))
        second.site, second.http.token = first.site, first.http.token
        second.start()
        assert health(second)["status"] == "onHold"
        assert second.http.get("/api/admin/hold")["hold"]["cause"] == "copied"
        assert doctor(second)[1]["hold"]["level"] == "warn"
        # It looks on the platform, and finds all three.
        for text, number in numbers.items():
            row = second.ended(number, 120)
            assert row["state"] == "sent"
            assert row["url"] == published(sandbox)[text]["url"]
        assert health(second)["status"] == "onHold"
        assert "onHold" in [hold["kind"] for hold in second.explain(later["Long after"])["holds"]]
        new = second.dispatch(second.write("After the restore"), connections[:1])["deliveries"]
        time.sleep(2)
        assert "After the restore" not in published(sandbox)
        assert second.run("adopt", "--by", "Ada", "--json")["ended"] == "adopted"
        eventually(lambda: health(second)["status"] == "healthy", 30, "the hold has ended")
        for delivery in new:
            assert second.ended(delivery["id"], 60)["state"] == "sent"
        assert set(published(sandbox)) == {"Before the back-up", *texts, "After the restore"}
        assert second.delivery(later["Long after"])["state"] == "pending"
        with pytest.raises(AssertionError, match="not on hold"):
            second.run("adopt")
    finally:
        first.close()
        second.close()


def test_a_database_that_pg_restore_made_is_held_too(sandbox, tmp_path):
    sandbox.accounts(["one"])
    cluster = Cluster().make()
    host = Host(sandbox, DATABASE_URL=cluster.url(), OAUTH_ENCRYPTION_KEY=KEY)
    try:
        host.bootstrap().start()
        connection = host.connect_x("one")
        due = time.time() + 8
        numbers = planned(host, [connection], ["Restored by hand"], due)
        dump = cluster.folder / "dump"
        cluster.tool("pg_dump", "-Fc", "-h", "127.0.0.1", "-p", cluster.port, "-U", "rostrum", "-f", dump, "rostrum")
        for number in numbers.values():
            assert host.ended(number, 60)["state"] == "sent"
        host.stop()

        # Into the same server, under the same name: nothing but the tables is new.
        cluster.execute("DROP DATABASE rostrum", database="postgres")
        cluster.execute("CREATE DATABASE rostrum", database="postgres")
        cluster.tool("pg_restore", "-h", "127.0.0.1", "-p", cluster.port, "-U", "rostrum", "-d", "rostrum", dump)
        # A home that never saw this database finds out as well.
        fresh = Host(sandbox, DATABASE_URL=cluster.url(), OAUTH_ENCRYPTION_KEY=KEY)
        try:
            fresh.site, fresh.http.token = host.site, host.http.token
            fresh.start()
            assert health(fresh)["hold"]["cause"] == "copied"
            for number in numbers.values():
                assert fresh.ended(number, 60)["state"] == "sent"
            assert fresh.http.post("/api/admin/hold/adopt")["isHeld"] is False
            eventually(lambda: health(fresh)["status"] == "healthy", 30, "the hold has ended")
            assert list(published(sandbox)) == ["Restored by hand"]
        finally:
            fresh.close()
    finally:
        host.close()
        cluster.close()


def test_a_home_of_another_installation_is_held(sandbox):
    sandbox.accounts(["one"])
    clusters = [Cluster().make() for _ in range(2)]
    host = Host(sandbox, DATABASE_URL=clusters[0].url(), OAUTH_ENCRYPTION_KEY=KEY)
    try:
        host.bootstrap().start()
        assert health(host)["status"] == "healthy"
        eventually(lambda: (host.home / "data" / "high-water.mark").exists(), 30, "the mark is written")
        host.stop()
        host.environment["DATABASE_URL"] = clusters[1].url()
        host.bootstrap().start()
        assert health(host)["hold"]["cause"] == "foreignInstallation"
        assert "released" in host.run("release", "--json")["ended"]
        eventually(lambda: health(host)["status"] == "healthy", 30, "the hold has ended")
    finally:
        host.close()
        for cluster in clusters:
            cluster.close()


def test_doctor_refuses_a_server_that_forgets_and_warns_of_late_copies(sandbox):
    cluster = Cluster(fsync="off").make()
    host = Host(sandbox, DATABASE_URL=cluster.url(), OAUTH_ENCRYPTION_KEY=KEY)
    try:
        host.run("migrate")

        code, rows = doctor(host)
        assert code == 1 and rows["fsync"]["level"] == "fail"
        cluster.stop()
        cluster.settings["fsync"] = "on"
        cluster.start()
        standby = cluster.standby("late")
        try:
            _, rows = doctor(host)
            assert rows["fsync"]["level"] == "ok"
            assert rows["replication"]["level"] == "warn"
        finally:
            standby.close()
    finally:
        host.close()
        cluster.close()
