"""The HTTP interface against its own description.

A host of its own: as owner the tool also deletes what it finds.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from rostrum import HTTP, Host, Sandbox


@pytest.fixture(scope="module")
def system():
    sandbox = Sandbox("--unlimited")
    host = Host(sandbox, ROSTRUM_RATE_LIMITS="x=off", ROSTRUM_API_RATE=100000)
    try:
        host.bootstrap().start()
        sandbox.accounts(["alice"])
        connection = host.connect_x("alice")
        host.ended(host.dispatch(host.write("Hello"), [connection])["deliveries"][0]["id"])
        host.run("user", "create", "--email", "viewer@example.org", "--name", "Viewer", "--json")
        host.run("site", "member", str(host.site), "viewer@example.org", "viewer")
        made = host.run("token", "create", "--email", "viewer@example.org", "--name", "tests", "--json")
        host.viewer = HTTP(host.port, made["token"])
        yield host
    finally:
        host.close()
        sandbox.close()


CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.parametrize("role", ["viewer", "owner"])
def test_no_request_gets_an_undocumented_answer(system, role):
    token = system.http.token if role == "owner" else system.viewer.token
    tool = Path(sys.executable).parent / "schemathesis"
    done = subprocess.run(
        [
            str(tool), "run", f"http://127.0.0.1:{system.port}/openapi.json",
            "--seed", "1", "--max-examples", "50", "--phases", "examples,coverage,fuzzing", "--workers", "1",
            "--checks", CHECKS, "--header", f"Authorization: Bearer {token}",
            # An event stream has no end, so there is no answer to judge.
            "--exclude-path", "/api/events", "--exclude-path", "/api/plugins/{plugin}/frames",
            "--suppress-health-check", "all", "--no-color", "--continue-on-failure",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    tail = done.stdout[-12000:].replace(token, "[token]")
    assert done.returncode == 0, tail
    assert system.is_ready()
