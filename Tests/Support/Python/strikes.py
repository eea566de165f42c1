"""Ends or stops a host at a named moment of an outside request, or while the platform holds the request."""

import os
import signal
import time
from pathlib import Path

import pytest
from rostrum import binaries, eventually, lives

VARIABLE = "CRASH_POINT_FOR_TESTS"


def has_crash_points():
    """Only debug builds have them."""
    return VARIABLE.encode() in (binaries() / "rostrum").read_bytes()


def needs_crash_points():
    if not has_crash_points():
        pytest.skip("a release build has no crash points")


def state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0]
    except OSError:
        return "X"


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def restart_with(host, point=None):
    """Starts the host anew, told to end or stop at a point, or told nothing."""
    host.stop()
    host.environment.pop(VARIABLE, None)
    if point:
        host.environment[VARIABLE] = point
    host.start()


def wait_for_strike(host, victim, plugin, seconds=120):
    """Waits until the host has reached its point; then the victim is dead and the host runs, without a point.

    Returns when the victim died.
    """
    pid = host.process.pid
    if victim == "host":
        eventually(lambda: host.process.poll() is not None, seconds, "the host ends at its point", pause=0.01)
        assert host.process.returncode == -signal.SIGKILL
        died = time.monotonic()
        revive(host)
        return died
    eventually(lambda: state(pid) == "T", seconds, "the host stops at its point", pause=0.01)
    died = time.monotonic()
    kill_plugin(host, plugin)
    os.kill(pid, signal.SIGCONT)
    return died


def kill_plugin(host, plugin):
    pids = host.pids(plugin)
    assert pids, f"{plugin} runs"
    for pid in pids:
        kill(pid)
    eventually(lambda: not any(lives(pid) for pid in pids), 10, f"{plugin} is dead", pause=0.01)


def strike_now(host, victim, plugin):
    """Kills the victim at once; returns when."""
    died = time.monotonic()
    if victim == "host":
        host.kill()
        revive(host)
    else:
        kill_plugin(host, plugin)
    return died


def revive(host):
    host.environment.pop(VARIABLE, None)
    host.start()


def wait_for_hold(sandbox, fault, seconds=120):
    """Waits until the platform holds the request that a fault is for."""

    def holds():
        faults = sandbox.http.get("/_sandbox/faults")["faults"]
        return any(entry["id"] == fault and entry["hits"] > 0 for entry in faults)

    eventually(holds, seconds, "the request is at the platform", pause=0.01)
    # The request was read to its end before the fault was chosen.
    time.sleep(0.05)
