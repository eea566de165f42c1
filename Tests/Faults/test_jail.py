"""What holds a running plugin back, and that none of them outlives its host."""

import os
import signal
import time
from pathlib import Path

import pytest
from rostrum import Host, Sandbox, eventually

# The kill of a host under load, and how soon all plugins must be gone.
ROUNDS = 100 if os.environ.get("ROSTRUM_LONG") else 5
SECONDS = 2


@pytest.fixture(scope="module")
def system():
    sandbox = Sandbox()
    host = Host(sandbox)
    try:
        host.bootstrap().start()
        sandbox.accounts(["alice"])
        host.connection = host.connect_x("alice")
        publish(host, "Hello")
        yield sandbox, host
    finally:
        host.close()
        sandbox.close()


def publish(host, title):
    number = host.dispatch(host.write(title), [host.connection])["deliveries"][0]["id"]
    assert host.ended(number)["state"] == "sent"


def status(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, value in (line.split(":", 1) for line in lines if ":" in line)}


def tier(host):
    (line,) = [line for line in host.run("doctor").splitlines() if " jail " in line]
    return line.split("tier ")[1][0]


def identity(pid):
    """A number of a process may come again; with its time of start it does not. None for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    except OSError:
        return None
    # What has ended waits for whoever adopted it.
    return None if fields[0] in "ZX" else (pid, fields[19])


def test_a_running_plugin_is_in_the_jail(system):
    _, host = system
    (pid,) = host.pids("plugin-x")
    found = status(pid)
    assert found["NoNewPrivs"] == "1"
    assert found["Seccomp"] == "2"
    assert int(found["CapEff"], 16) == 0 and int(found["CapPrm"], 16) == 0
    if os.geteuid() == 0:
        assert found["Uid"].split()[0] not in ("0", str(os.geteuid()))
        assert found["Groups"] == ""
    if tier(host) == "A":
        for name in ("net", "ipc", "uts", "mnt", "pid"):
            theirs = os.readlink(f"/proc/{pid}/ns/{name}")
            assert theirs != os.readlink(f"/proc/{host.process.pid}/ns/{name}"), name
        visible = sorted(entry.name for entry in Path(f"/proc/{pid}/root").iterdir())
        assert "etc" not in visible or os.listdir(f"/proc/{pid}/root/etc") == ["ld.so.cache"]
        assert not {"bin", "boot", "sbin", "sys"} & set(visible)
        # Its own processes are all that there is.
        numbers = [entry.name for entry in Path(f"/proc/{pid}/root/proc").iterdir() if entry.name.isdigit()]
        assert len(numbers) == 2


def test_doctor_tells_the_tier_and_what_was_tried(system):
    _, host = system
    text = host.run("doctor")
    assert "14 of 14 escapes fail" in text
    assert any(" limits " in line for line in text.splitlines())


def test_a_killed_launcher_takes_its_plugin_along_and_the_next_call_starts_another(system):
    _, host = system
    (pid,) = host.pids("plugin-x")
    before = identity(pid)
    parent = int(status(pid)["PPid"])
    os.kill(pid if parent == host.process.pid else parent, signal.SIGKILL)
    eventually(lambda: identity(pid) != before, 5, "the plugin is gone")
    publish(host, "After the launcher was killed")
    assert host.pids("plugin-x") != [pid]


def test_running_plugins_are_noted_and_forgotten(system):
    _, host = system
    folder = host.home / "data" / "run"
    noted = {int(entry.name) for entry in folder.iterdir()}
    children = {pid for pid, _ in host.descendants()}
    assert noted and noted <= children


def test_no_plugin_outlives_a_killed_host(system):
    _, host = system
    for number in range(ROUNDS):
        for index in range(3):
            host.dispatch(host.write(f"Round {number} post {index}"), [host.connection])
        eventually(lambda: host.pids("plugin-x"), 20, "a plugin runs")
        names = ("plugin-", "rostrum-jail")
        running = [identity(pid) for pid, name in host.descendants() if name.startswith(names)]
        running = [one for one in running if one]
        assert running
        host.kill()
        deadline = time.monotonic() + SECONDS
        left = running
        while left and time.monotonic() < deadline:
            left = [one for one in left if identity(one[0]) == one]
            time.sleep(0.02)
        assert left == [], f"round {number}: {[(one, status(one[0])) for one in left]} outlived the host"
        host.start()
