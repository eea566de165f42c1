"""The audit trail through the whole program: what it tells, its chain by another implementation, and what finds changes."""

import json
import shutil
import subprocess

import audit
import pytest
from cluster import Cluster
from rostrum import ROOT, Host, Sandbox, binaries, eventually

VECTORS = json.loads((ROOT / "Tests" / "Support" / "Vectors" / "audit.json").read_text())
KEY = bytes(range(64, 96))


def test_another_implementation_computes_the_known_answers():
    assert audit.make_vectors() == VECTORS


@pytest.fixture(scope="module")
def system():
    cluster = Cluster().make()
    sandbox = Sandbox("--unlimited")
    host = Host(sandbox, DATABASE_URL=cluster.url(), OAUTH_ENCRYPTION_KEY=KEY.hex(), ROSTRUM_RATE_LIMITS="x=off")
    host.cluster = cluster
    try:
        host.bootstrap().start()
        sandbox.accounts(["alice"])
        host.alice = host.connect_x("alice")
        yield host
    finally:
        host.close()
        sandbox.close()
        cluster.close()


def query(host, sql):
    """Rows as values; psql prints JSON, so that nothing is guessed."""
    text = host.cluster.execute(f"SELECT coalesce(json_agg(to_json(q)), '[]') FROM ({sql}) q")
    return json.loads(text)


def column(host, sql):
    return [list(row.values())[0] for row in query(host, sql)]


def wait_until_sealed(host):
    count = "SELECT count(*) FROM audit_logs WHERE seq IS NULL"
    eventually(lambda: column(host, count) == [0], 60, "every row is sealed")


def verify(host):
    """The exit code and the report."""
    done = subprocess.run(
        [str(binaries() / "rostrum"), "audit", "verify", "--json"], env=host.environment, stdout=subprocess.PIPE, timeout=120
    )
    return done.returncode, json.loads(done.stdout)


def folder(host):
    return host.home / "data" / "audit"


def chain_rows(host):
    rows = query(host, f"SELECT {audit.COLUMNS} FROM audit_logs WHERE seq IS NOT NULL ORDER BY seq")
    found = []
    for row in rows:
        *content, before, digest, mac, key = row.values()
        found.append((*content, *(bytes.fromhex(value[2:]) for value in (before, digest, mac)), key))
    return found


def keys(host):
    rows = query(host, "SELECT id, wrapped_by, encode(wrapped, 'hex') AS wrapped FROM vault_keys WHERE purpose = 'audit'")
    return {row["id"]: audit.open_key(KEY, (row["id"], row["wrapped_by"], bytes.fromhex(row["wrapped"]))) for row in rows}


def test_what_is_done_is_told_sealed_and_checked_by_another_implementation(system):
    host = system
    post = host.write("Good evening", excerpt="Good evening")
    host.dispatch(post, [host.alice])
    host.wait_for_ends(60)
    host.run("user", "create", "--email", "cli@example.org", "--json")
    wait_until_sealed(host)
    uses = "SELECT subject FROM audit_logs WHERE action = 'credential.use'"
    assert column(host, uses) == [f"connection:{host.alice}"]
    told = column(host, "SELECT action FROM audit_logs")
    for action in ("site.create", "user.create", "token.create", "post.create", "distribution.create", "connection.create"):
        assert action in told, action

    (chain,) = column(host, "SELECT id FROM installation")
    found = audit.check_rows(chain_rows(host), chain, keys(host))
    assert len(found) == len(told)
    tip = folder(host) / "tip.json"
    eventually(lambda: tip.exists() and json.loads(tip.read_text())["seq"] >= len(found), 60, "the newest head is kept")
    lines = [json.loads(line) for line in (folder(host) / "heads.jsonl").read_text().splitlines()]
    assert lines
    for head in lines:
        audit.check_head(head)
        assert found[head["seq"]].hex() == head["hash"]
        assert head["chain"] == chain
    code, report = verify(host)
    assert code == 0 and report["intact"] and report["rows"] >= len(found) and report["problems"] == []
    shown = host.run("audit", "list", "--json", "--action", "credential.")["rows"]
    assert [(row["subject"], row["details"]["for"]) for row in shown] == [(f"connection:{host.alice}", "publish")]
    assert [row["id"] for row in host.http.get("/api/audit?action=credential.")] == [row["id"] for row in shown]
    assert "The trail is whole" in host.run("audit", "verify")


@pytest.mark.parametrize(
    "change,place,word",
    [
        (["UPDATE audit_logs SET subject = 'post:9' WHERE seq = 3"], 3, "changed"),
        (["DELETE FROM audit_logs WHERE seq = 4"], 4, "missing"),
        (["DELETE FROM audit_logs WHERE seq > 2", "DELETE FROM audit_heads"], 3, "truncated"),
    ],
    ids=["update", "delete", "truncate"],
)
def test_changes_of_the_database_are_refused_and_found(system, change, place, word):
    host = system
    wait_until_sealed(host)
    for statement in change:
        with pytest.raises(subprocess.CalledProcessError) as refused:
            host.cluster.execute(statement)
        assert "audit trail" in refused.value.stderr
    host.stop()
    off = "SET session_replication_role = replica; "
    tables = "audit_logs", "audit_heads", "audit_state"
    for table in tables:
        host.cluster.execute(f"CREATE TABLE copy_of_{table} AS SELECT * FROM {table}")
    try:
        host.cluster.execute(off + "; ".join(change))
        host.cluster.execute("UPDATE audit_state SET seq = (SELECT max(seq) FROM audit_logs)")
        code, report = verify(host)
        assert code == 1 and not report["intact"]
        assert (report["firstBroken"], report["problems"][0]["kind"]) == (place, word)
    finally:
        for table in tables:
            host.cluster.execute(
                f"{off}DELETE FROM {table}; INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM copy_of_{table};"
                f" DROP TABLE copy_of_{table}"
            )
        host.start()
    code, report = verify(host)
    assert code == 0, report


def test_exports_are_files_of_a_site_that_is_there(system):
    path = "/api/audit/export?format="
    status, headers, lines = system.http.raw("GET", f"{path}jsonl&siteId={system.site}")
    assert (status, headers["content-type"]) == (200, "application/jsonl; charset=utf-8")
    actions = [json.loads(line)["action"] for line in lines.splitlines()]
    # The export itself stands in the trail.
    assert actions[0] == "audit.export" and "connection.create" in actions
    status, headers, text = system.http.raw("GET", f"{path}csv&siteId={system.site}")
    assert status == 200 and headers["content-type"].startswith("text/csv")
    assert len(text.splitlines()) >= len(actions) + 2
    status, _, refusal = system.http.raw("GET", f"{path}csv&siteId=9223372036854775806")
    assert (status, json.loads(refusal)["error"]["code"]) == (404, "site_not_found")


def test_what_lay_apart_comes_again(system):
    host = system
    wait_until_sealed(host)
    host.stop()
    shutil.rmtree(folder(host))
    code, report = verify(host)
    assert (code, report["anchored"]) == (0, 0)
    host.start()
    eventually((folder(host) / "heads.jsonl").exists, 60, "the heads are copied again")
