"""Tokens that a sign-in gave, in a whole host: renewed in time, renewed when asked for, and ended at the platform."""

import pytest
import vault
from cluster import Cluster
from rostrum import Host, Refused, eventually
from tokens import TokenServer

KEY = bytes(range(32))
BASE = "/api/admin/distribution/connections"


@pytest.fixture(scope="module")
def cluster():
    made = Cluster().make()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def system(cluster):
    """A host, and an account with the tokens that its platform gave first."""
    platform = TokenServer("strict", client="the-id:the-secret")
    host = Host(
        platform, DATABASE_URL=cluster.url(), OAUTH_ENCRYPTION_KEY=KEY.hex(), TWITTER_CLIENT_ID="the-id",
        TWITTER_CLIENT_SECRET="the-secret",
    )
    host.cluster = cluster
    try:
        host.bootstrap().start()
        body = {"siteId": host.site, "platform": "x", "credentials": {"token": platform.access[-1]}}
        host.connection = host.http.post(BASE, body)["id"]
        grant(host, platform)
        yield host, platform
    finally:
        host.close()
        platform.close()
        # The audit trail lets nobody empty its tables.
        cluster.execute("DROP SCHEMA public CASCADE")
        cluster.execute("CREATE SCHEMA public")


def grant(host, platform):
    """What a sign-in would have stored: the tokens, and that they live for two hours from now on."""
    execute = host.cluster.execute
    number, site, by, wrapped = execute(
        f"SELECT id, site_id, wrapped_by, encode(wrapped, 'hex') FROM vault_keys "
        f"WHERE purpose = 'dek' AND site_id = {host.site} AND status = 'primary'"
    ).split("|")
    key = vault.data_key(KEY, (int(number), int(site), int(by), bytes.fromhex(wrapped)))
    generation = int(execute(f"SELECT generation FROM platform_connections WHERE id = {host.connection}")) + 1
    sealed = vault.seal(
        key, int(number), vault.TOKENS, vault.place(host.site, "x", host.connection, "credentials", generation),
        vault.encode_secrets({"token": platform.access[-1], "oauth.refresh": platform.refresh[-1]}),
    )
    execute(
        f"UPDATE platform_connections SET sealed_credentials = '\\x{sealed.hex()}', key_id = {number}, "
        f"generation = {generation}, scopes = '{{tweet.write}}', token_issued_at = now() - interval '1 h', "
        f"expires_at = now() + interval '1 h', renew_at = now() + interval '30 min' WHERE id = {host.connection}"
    )


def path(host, *more):
    return "/".join([BASE, str(host.connection), *more])


def test_a_person_renews_a_token(system):
    host, platform = system
    before = host.http.get(path(host, "health"))
    assert before["isValid"] and before["isRenewed"] and before["lastRenewedAt"] is None
    after = host.http.call("PUT", path(host, "refresh"))
    assert after["expiresAt"] > before["expiresAt"] and after["lastRenewedAt"] and after["failure"] is None
    assert (platform.requests, platform.replays) == (1, 0)
    assert host.http.post(path(host, "test"))["status"] == "active"


def test_a_token_is_renewed_in_time(system):
    host, platform = system
    host.cluster.execute(f"UPDATE platform_connections SET renew_at = now() WHERE id = {host.connection}")
    eventually(lambda: platform.requests == 1, 90, "the token is renewed")
    eventually(lambda: host.http.get(path(host, "health"))["lastRenewedAt"], 30, "the renewal is shown")


def test_an_ended_token_is_renewed_before_it_is_used(system):
    host, platform = system
    host.cluster.execute(
        f"UPDATE platform_connections SET expires_at = now(), renew_at = now() + interval '1 day' "
        f"WHERE id = {host.connection}"
    )
    assert host.http.post(path(host, "test"))["status"] == "active"
    assert platform.requests == 1


def test_a_token_that_the_platform_refuses_is_renewed(system):
    host, platform = system
    # The person ended it at the platform; only a new one is taken there.
    platform.access.append("another")
    assert host.http.post(path(host, "test"))["status"] == "active"
    assert platform.requests == 1


def test_a_dead_token_asks_for_the_person(system):
    host, platform = system
    platform.dead = True
    with pytest.raises(Refused) as refusal:
        host.http.call("PUT", path(host, "refresh"))
    assert (refusal.value.status, refusal.value.error["code"]) == (422, "connect_again")
    health = host.http.get(path(host, "health"))
    assert health["status"] == "expired" and "invalid_grant" in health["failure"]["message"]


def test_disconnecting_ends_the_tokens_at_the_platform(system):
    host, platform = system
    answer = host.http.call("DELETE", path(host))
    assert answer == {"deleted": True, "revocation": "revoked"}
    assert platform.revoked == ["refresh-0", "access-0"]
    assert host.cluster.execute("SELECT count(*) FROM token_revocations WHERE sealed <> ''") == "0"


def test_an_emergency_ends_the_tokens_at_the_platform(system):
    host, platform = system
    begun = host.run("vault", "revoke", "--connection", str(host.connection), "--reason", "Test", "--json")
    assert begun["connections"] == 1

    def ended():
        return host.run("vault", "status", "--json")["revocations"][0]

    eventually(lambda: ended()["endedAt"], 30, "the platform has answered")
    assert ended()["revoked"] == 1
    assert sorted(platform.revoked) == ["access-0", "refresh-0"]
