"""The whole host where the jail is weaker: ROSTRUM_JAIL_TIER lets a strong machine show how it does on a lesser one."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from bundles import EXAMPLE, install, row
from rostrum import Host, Refused, Sandbox, binaries


@pytest.fixture(scope="module")
def sandbox():
    sandbox = Sandbox("--unlimited", "--microblog-account", "alice:token-of-alice")
    sandbox.accounts(["alice"])
    yield sandbox
    sandbox.close()


def make_host(sandbox, **settings):
    return Host(sandbox, **settings).bootstrap()


@pytest.fixture(params=["B", "C"])
def system(request, sandbox):
    host = make_host(sandbox, ROSTRUM_JAIL_TIER=request.param)
    try:
        yield request.param, host.start()
    finally:
        host.close()


def publish(host, connection, title):
    number = host.dispatch(host.write(title), [connection])["deliveries"][0]["id"]
    assert host.ended(number)["state"] == "sent", host.explain(number)


def texts(sandbox, platform):
    return [entry["text"] for entry in sandbox.ledger(platform)["entries"]]


def connect_stranger(host, plugin):
    body = {"siteId": host.site, "platform": plugin, "credentials": {"token": "token-of-alice"}}
    return host.http.post("/api/admin/distribution/connections", body)["id"]


def test_posts_go_out_on_a_lesser_tier_which_everybody_can_see(sandbox, system):
    tier, host = system
    publish(host, host.connect_x("alice"), f"From tier {tier}")
    assert texts(sandbox, "x").count(f"From tier {tier}") == 1
    assert {each["tier"] for each in host.http.get("/api/plugins")} == {tier}
    assert host.run("plugin", "list", "--json")["tier"] == tier
    assert f"tier {tier}" in host.run("plugin", "list")
    (line,) = [line for line in host.run("doctor").splitlines() if " jail " in line]
    assert f"tier {tier}" in line and "ROSTRUM_JAIL_TIER" in line
    assert line.startswith("ok" if tier == "B" else "warn")
    (pid,) = host.pids("plugin-x")
    # The namespaces are the host's own.
    assert os.readlink(f"/proc/{pid}/ns/net") == os.readlink(f"/proc/{host.process.pid}/ns/net")
    assert "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()


def test_a_stranger_runs_on_tier_c_only_where_that_is_said_expressly(sandbox, tmp_path):
    manifest = json.loads((EXAMPLE / "manifest.json").read_text())
    host = make_host(sandbox, ROSTRUM_JAIL_TIER="C")
    try:
        host.start()
        install(host, tmp_path, manifest, (EXAMPLE / "adapter.py").read_text())
        with pytest.raises(Refused) as refused:
            connect_stranger(host, manifest["id"])
        assert refused.value.status in (502, 503), refused.value
        found = row(host, manifest["id"])
        assert found["state"] == "quarantined" and found["tier"] == "C"
        assert "ROSTRUM_ALLOW_UNJAILED=1" in found["lastExit"]
        assert not host.pids("adapter.py") and not host.pids("python3")
        # The host's own plugins do not mind.
        publish(host, host.connect_x("alice"), "Beside a stranger")
        host.stop()
        host.environment["ROSTRUM_ALLOW_UNJAILED"] = "1"
        host.start()
        publish(host, connect_stranger(host, manifest["id"]), "From a stranger on tier C")
        assert texts(sandbox, "microblog").count("From a stranger on tier C") == 1
        assert row(host, manifest["id"])["tier"] == "C"
        assert "ROSTRUM_ALLOW_UNJAILED" in host.run("doctor")
    finally:
        host.close()


def test_a_stranger_is_held_on_tier_b(sandbox, tmp_path):
    manifest = json.loads((EXAMPLE / "manifest.json").read_text())
    manifest["apiVersion"] = {"name": "1", "sunset": "2020-01-31"}
    host = make_host(sandbox, ROSTRUM_JAIL_TIER="b")
    try:
        host.start()
        install(host, tmp_path, manifest, (EXAMPLE / "adapter.py").read_text())
        publish(host, connect_stranger(host, manifest["id"]), "From a stranger on tier B")
        assert texts(sandbox, "microblog").count("From a stranger on tier B") == 1
        assert row(host, manifest["id"])["tier"] == "B"
        assert "version 1 of the platform's interface, which the platform ended on 2020-01-31" in host.run("doctor")
    finally:
        host.close()


def test_no_other_tier_can_be_asked_for(sandbox, tmp_path):
    environment = {"PATH": os.environ["PATH"], "ROSTRUM_HOME": str(tmp_path), "ROSTRUM_JAIL_TIER": "best"}
    done = subprocess.run([str(binaries() / "rostrum"), "serve"], env=environment, capture_output=True, timeout=60)
    assert done.returncode != 0
    assert "ROSTRUM_JAIL_TIER is “best”; allowed is A, B, C" in done.stderr.decode()
