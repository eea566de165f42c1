"""The vault through the whole program: its format, its keys at the start, changes of keys, and emergencies."""

import base64
import hashlib
import hmac
import json
import os
import random
import subprocess
import threading
import time

import pytest
import vault
from cluster import Cluster
from cryptography.exceptions import InvalidTag
from rostrum import ROOT, Host, Refused, Sandbox, binaries, eventually

VECTORS = json.loads((ROOT / "Tests" / "Support" / "Vectors" / "vault.json").read_text())
FIRST, SECOND = bytes(range(32)), bytes(range(32, 64))
CMS_SECRET = "what the host and another system know"


def place(vector, **other):
    names = ("site", "platform", "connection", "field", "generation")
    return vault.place(*({**vector, **other}[name] for name in names))


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["about"])
def test_another_implementation_opens_the_known_answers(vector):
    key, blob = bytes.fromhex(VECTORS["key"]), bytes.fromhex(vector["blob"])
    found = vault.open_sealed(key, vector["keyId"], vector["kind"], place(vector), blob)
    assert found.hex() == vector["plaintext"]
    for other in ({"site": vector["site"] - 1}, {"platform": "other"}, {"connection": 5}, {"field": "f"}, {"generation": 99}):
        with pytest.raises(InvalidTag):
            vault.open_sealed(key, vector["keyId"], vector["kind"], place(vector, **other), blob)
    for bit in range(len(blob) * 8):
        altered = bytearray(blob)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises((InvalidTag, ValueError)):
            vault.open_sealed(key, vector["keyId"], vector["kind"], place(vector), bytes(altered))


def setting(*keys):
    return ",".join(f"{number}:{base64.b64encode(key).decode()}" for number, key in keys)


@pytest.fixture(scope="module")
def system():
    cluster = Cluster().make()
    sandbox = Sandbox("--unlimited")
    host = Host(
        sandbox, DATABASE_URL=cluster.url(), OAUTH_ENCRYPTION_KEY=setting((1, FIRST)), ROSTRUM_RATE_LIMITS="x=off"
    )
    host.cluster = cluster
    try:
        host.bootstrap().start()
        sandbox.accounts(["alice", "bob", "carol"])
        host.alice, host.bob = host.connect_x("alice"), host.connect_x("bob")
        yield host
    finally:
        host.close()
        sandbox.close()
        cluster.close()


def rows(host, sql):
    return [line.split("|") for line in host.cluster.execute(sql).splitlines()]


def data_keys(host, host_key):
    found = rows(host, "SELECT id, site_id, wrapped_by, encode(wrapped, 'hex') FROM vault_keys WHERE purpose = 'dek'")
    return {
        int(number): vault.data_key(host_key, (int(number), int(site), int(by), bytes.fromhex(wrapped)))
        for number, site, by, wrapped in found
    }


def tokens(host, host_key):
    """The token of every account, opened without the host."""
    keys = data_keys(host, host_key)
    found = rows(
        host,
        "SELECT id, site_id, platform, generation, key_id, encode(sealed_credentials, 'hex') FROM platform_connections"
        " WHERE octet_length(sealed_credentials) > 0 ORDER BY id",
    )
    opened = {}
    for number, site, platform, generation, key, sealed in found:
        where = vault.place(int(site), platform, int(number), "credentials", int(generation))
        plain = vault.open_sealed(keys[int(key)], int(key), vault.TOKENS, where, bytes.fromhex(sealed))
        opened[int(number)] = vault.decode_secrets(plain)["token"]
    return opened


def test_another_implementation_opens_what_the_host_sealed(system):
    assert tokens(system, FIRST) == {system.alice: "token-of-alice", system.bob: "token-of-bob"}


@pytest.mark.parametrize(
    "keys,says",
    [
        ([(1, SECOND)], "the encryption key 1 in OAUTH_ENCRYPTION_KEY is not the one"),
        ([(2, FIRST)], "the encryption key 1 is in use, but OAUTH_ENCRYPTION_KEY does not have it"),
        ([(2, FIRST), (1, SECOND)], "the encryption key 1 in OAUTH_ENCRYPTION_KEY is not the one"),
    ],
    ids=["wrong", "missing", "swapped"],
)
def test_a_host_without_the_right_key_ends_before_it_listens(system, keys, says, tmp_path):
    before = rows(system, "SELECT * FROM vault_keys ORDER BY id")
    other = Host(system.sandbox, home=tmp_path, DATABASE_URL=system.cluster.url(), OAUTH_ENCRYPTION_KEY=setting(*keys))
    try:
        other.start(wait=False)
        assert other.process.wait(60) == 1
        log = (tmp_path / "host.log").read_text()
        assert says in log
        assert "Rostrum is ready" not in log
        for _, key in keys:
            assert base64.b64encode(key).decode() not in log
    finally:
        other.close()
    assert rows(system, "SELECT * FROM vault_keys ORDER BY id") == before


def test_no_key_is_made_where_something_is_sealed(system, tmp_path):
    other = Host(system.sandbox, home=tmp_path, DATABASE_URL=system.cluster.url())
    try:
        other.start(wait=False)
        assert other.process.wait(60) == 1
        assert "their key is missing" in (tmp_path / "host.log").read_text()
        assert not (tmp_path / "data" / "vault.key").exists()
    finally:
        other.close()


def cms_user(host):
    """What the host says to somebody whom another system lets in by a secret that both know."""
    claims = {"iss": "https://cms.example", "aud": "keys", "sub": "7", "exp": int(time.time()) + 300}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "HS256"}, claims)]
    signature = hmac.new(CMS_SECRET.encode(), b".".join(parts), hashlib.sha256).digest()
    token = b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()
    return host.http.raw("GET", "/api/posts", headers={"Authorization": f"Bearer {token}"})[0]


def test_the_keys_change_while_the_host_runs(system):
    host = system
    host.http.post(
        f"/api/issuers?siteId={host.site}",
        {
            "name": "CMS", "issuer": "https://cms.example", "audience": "keys", "secret": CMS_SECRET,
            "defaultRole": "viewer",
        },
    )
    assert cms_user(host) == 200
    old = {int(key) for (key,) in rows(host, "SELECT DISTINCT key_id FROM platform_connections")}
    done = host.run("vault", "rotate", "--site", str(host.site), "--json")
    assert (done["oldKey"],) == tuple(old) and done["endedAt"]
    assert done["resealed"] >= 3 and done["quarantined"] == 0
    assert rows(host, f"SELECT count(*) FROM token_issuers WHERE key_id = {done['newKey']}") == [["1"]]
    assert cms_user(host) == 200
    assert tokens(host, FIRST) == {host.alice: "token-of-alice", host.bob: "token-of-bob"}
    made = host.dispatch(host.write("After the change"), [host.alice])
    assert host.ended(made["deliveries"][0]["id"])["state"] == "sent"

    # The key of the hosts: all must have it first.
    with pytest.raises(Refused) as refused:
        host.http.post("/api/admin/vault/rotations", {})
    assert refused.value.status == 409
    host.environment["OAUTH_ENCRYPTION_KEY"] = setting((1, FIRST), (2, SECOND))
    with pytest.raises(AssertionError, match="not in OAUTH_ENCRYPTION_KEY of every host"):
        host.run("vault", "rotate", "--host-key")
    host.stop()
    host.start()
    begun = host.http.post("/api/admin/vault/rotations", {})
    assert (begun["oldKey"], begun["newKey"], begun["siteId"]) == (1, 2, None)
    state = eventually(
        lambda: (found := host.http.get("/api/admin/vault")) and found["rotations"][0]["endedAt"] and found,
        60,
        "the key of the hosts has changed",
    )
    assert [(key["key"], key["status"]) for key in state["hostKeys"]] == [(1, "disabled"), (2, "primary")]
    assert tokens(host, SECOND) == {host.alice: "token-of-alice", host.bob: "token-of-bob"}
    host.run("vault", "destroy", "1")
    host.environment["OAUTH_ENCRYPTION_KEY"] = setting((2, SECOND))
    host.stop()
    host.start()
    made = host.dispatch(host.write("With the new key alone"), [host.bob])
    assert host.ended(made["deliveries"][0]["id"])["state"] == "sent"
    assert cms_user(host) == 200
    assert "disabled" in host.run("vault", "status") or "destroyed" in host.run("vault", "status")


def fill(host, count):
    """Accounts of a site of their own, sealed by the other implementation."""
    host.run("site", "create", "--name", "Many", "--owner", "owner@example.org", "--json")
    site = host.run("site", "list", "--json")["sites"][-1]["id"]
    body = {"siteId": site, "platform": "x", "credentials": {"token": "token-of-carol"}}

    def connect():
        try:
            return host.http.post("/api/admin/distribution/connections", body)["id"]
        except Refused as refused:
            # The host remembers for some seconds which sites a token reaches.
            assert refused.status == 404
            return None

    first = eventually(connect, 30, "the token reaches the new site")
    ((key, lane),) = rows(host, f"SELECT key_id, lane_id FROM platform_connections WHERE id = {first}")
    secret = data_keys(host, SECOND)[int(key)]
    start = 1_000_000
    values = []
    for number in range(start, start + count - 1):
        where = vault.place(site, "x", number, "credentials", 1)
        blob = vault.seal(secret, int(key), vault.TOKENS, where, vault.encode_secrets({"token": f"token {number}"}))
        values.append(f"({number},{site},'x','a{number}','A','\\x{blob.hex()}',{key},{lane})")
    for chunk in range(0, len(values), 400):
        host.cluster.execute(
            "INSERT INTO platform_connections (id, site_id, platform, account_id, account_name, sealed_credentials,"
            f" key_id, lane_id) VALUES {','.join(values[chunk:chunk + 400])}"
        )
    return site, int(key)


def test_a_change_that_is_killed_again_and_again_loses_nothing(system):
    """V3, with the command and the host at work at the same time."""
    host = system
    count, kills = (100_000, 20) if os.environ.get("ROSTRUM_LONG") else (2_000, 6)
    site, old = fill(host, count)
    random.seed(int(os.environ.get("ROSTRUM_SEED", "1")))
    failed, reads, over = [], [], threading.Event()

    def read():
        while not over.is_set():
            try:
                keys = data_keys(host, SECOND)
                sample = rows(
                    host,
                    "SELECT id, key_id, generation, encode(sealed_credentials, 'hex') FROM platform_connections"
                    f" WHERE site_id = {site} AND id >= 1000000 + {random.randrange(count)} ORDER BY id LIMIT 20",
                )
                if any(int(key) not in keys for _, key, _, _ in sample):
                    keys = data_keys(host, SECOND)
                for number, key, generation, sealed in sample:
                    where = vault.place(site, "x", int(number), "credentials", int(generation))
                    plain = vault.open_sealed(keys[int(key)], int(key), vault.TOKENS, where, bytes.fromhex(sealed))
                    assert vault.decode_secrets(plain)["token"] == f"token {number}"
                    reads.append(number)
            except Exception as error:  # Every failure is told at the end.
                failed.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        host.http.post("/api/admin/vault/rotations", {"siteId": site})
        for _ in range(kills):
            # The host goes on with it after its start; it is killed wherever it is.
            over.wait(random.random() * 1.5)
            host.kill()
            host.start()
        eventually(
            lambda: all(row["endedAt"] for row in host.http.get("/api/admin/vault")["rotations"]),
            600,
            "the change has ended",
        )
    finally:
        over.set()
        for reader in readers:
            reader.join()
    assert failed == []
    assert len(reads) > 100
    assert rows(host, f"SELECT count(*) FROM platform_connections WHERE key_id = {old}") == [["0"]]
    ((status,),) = rows(host, f"SELECT status FROM vault_keys WHERE purpose = 'dek' AND key_number = {old}")
    assert status == "disabled"
    (rotation,) = [row for row in host.http.get("/api/admin/vault")["rotations"] if row["siteId"] == site]
    assert (rotation["resealed"], rotation["quarantined"]) == (count, 0)


def test_an_emergency_stops_publishing_until_the_account_is_connected_again(system):
    host = system
    done = host.run("vault", "revoke", "--connection", str(host.alice), "--reason", "Leaked in a test", "--json")
    assert (done["scope"], done["connections"], done["unsupported"]) == ("connection", 1, 1)
    path = f"/api/admin/distribution/connections/{host.alice}"
    shown = host.http.get(f"{path}?siteId={host.site}")
    assert shown["status"] == "revoked"
    assert host.alice not in tokens(host, SECOND)
    with pytest.raises(Refused) as refused:
        host.http.post(f"{path}/test?siteId={host.site}")
    assert refused.value.error["code"] == "credentials_revoked"
    ((count,),) = rows(host, "SELECT count(*) FROM audit_logs WHERE action = 'connection.revoke'")
    assert count == "1"
    trail = [
        row[0]
        for row in rows(host, "SELECT action || ' ' || subject FROM audit_logs WHERE action LIKE 'vault.%' ORDER BY id")
    ]
    assert f"vault.rotate site:{host.site}" in trail and "vault.rotate host" in trail
    assert "vault.destroy key:1" in trail and f"vault.revoke connection:{host.alice}" in trail
    # Another account is not meant.
    made = host.dispatch(host.write("By somebody else"), [host.bob])
    assert host.ended(made["deliveries"][0]["id"])["state"] == "sent"


@pytest.mark.parametrize(
    "words",
    [
        ["rotate"], ["rotate", "--site", "1", "--host-key"], ["rotate", "--site", "1", "--key", "2"],
        ["revoke", "--all", "--site", "1", "--reason", "a"], ["revoke", "--reason", "a"], ["revoke", "--all"],
        ["destroy"], ["destroy", "x"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_refused(system, words):
    done = subprocess.run(
        [str(binaries() / "rostrum"), "vault", *words],
        env=system.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == 2, done.stderr
