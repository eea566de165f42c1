"""What a plugin's process can see, and what happens when somebody starts one by hand."""

import os
import resource
import subprocess
from pathlib import Path

import pytest
from rostrum import Host, Sandbox, binaries, eventually, lives


@pytest.fixture(scope="module")
def system():
    sandbox = Sandbox()
    host = Host(sandbox)
    try:
        host.bootstrap().start()
        sandbox.accounts(["alice"])
        connection = host.connect_x("alice")
        host.ended(host.dispatch(host.write("Hello"), [connection])["deliveries"][0]["id"])
        yield sandbox, host
    finally:
        host.close()
        sandbox.close()


def test_the_host_takes_all_descriptors_it_may_have_and_its_plugins_do_not():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    sandbox = Sandbox()
    host = Host(sandbox)
    try:
        host.bootstrap()
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
        host.start()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert resource.prlimit(host.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
        sandbox.accounts(["alice"])
        host.connect_x("alice")
        (pid,) = host.pids("plugin-x")
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files")] == [["64", "64"]]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        host.close()
        sandbox.close()


@pytest.mark.parametrize("name", ["plugin-x", "plugin-webhook"])
def test_a_plugin_started_by_hand_explains_itself(name):
    for arguments in ([], ["--help"]):
        done = subprocess.run(
            [str(binaries() / name), *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=20
        )
        assert done.returncode == 64
        assert b"rostrum" in done.stderr.lower()
        assert done.stdout == b""


def test_a_plugin_holds_no_secret(system):
    _, host = system
    (pid,) = host.pids("plugin-x")
    process = Path(f"/proc/{pid}")
    environment = {entry.split(b"=")[0] for entry in (process / "environ").read_bytes().split(b"\0") if entry}
    assert environment == {b"LANG", b"TZ", b"SWIFT_ROOT"}
    arguments = (process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    assert len(arguments) == 1 and arguments[0].endswith(b"plugin-x")
    for descriptor in (process / "fd").iterdir():
        try:
            target = os.readlink(descriptor)
        except FileNotFoundError:
            continue
        # Pipes to the host, the null device, and what the runtime itself needs to wait and wake.
        assert target.startswith(("pipe:", "/dev/null", "anon_inode:")), target
    for name in ("environ", "cmdline"):
        assert b"token-of-alice" not in (process / name).read_bytes()


def test_the_host_shows_no_secret(system):
    _, host = system
    process = Path(f"/proc/{host.process.pid}")
    assert b"token-of-alice" not in (process / "cmdline").read_bytes()
    host.log.flush()
    log = (host.home / "host.log").read_bytes()
    assert b"token-of-alice" not in log
    assert host.http.token.encode() not in log
    dump = subprocess.run(
        ["grep", "-rl", "token-of-alice", str(host.home)], capture_output=True, text=True
    ).stdout.split()
    assert dump == []


def test_no_orphan_survives_the_host(system):
    _, host = system
    pids = [pid for pid, name in host.descendants() if name.startswith("plugin-")]
    assert pids
    host.kill()
    eventually(lambda: not any(lives(pid) for pid in pids), 20, "the plugins are gone")
    host.start()
