"""The OAuth servers of the sandbox, over real sockets, by a plain client that knows the platforms' contracts alone."""

import base64
import hashlib
import http.client
import json
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from rostrum import Sandbox

CALLBACK = "http://127.0.0.1:9/callback"
VERIFIER = "a-verifier-of-more-than-forty-three-characters-0"

CONTRACTS = {
    "x": {
        "authorize": "https://x.com/i/oauth2/authorize",
        "token": "https://api.x.com/2/oauth2/token",
        "me": "https://api.x.com/2/users/me",
        "scopes": "tweet.read users.read offline.access",
        "denied": "access_denied",
    },
    "linkedin": {
        "authorize": "https://www.linkedin.com/oauth/v2/authorization",
        "token": "https://www.linkedin.com/oauth/v2/accessToken",
        "me": "https://api.linkedin.com/v2/userinfo",
        "scopes": "openid profile w_member_social",
        "denied": "user_cancelled_authorize",
    },
    "facebook": {
        "authorize": "https://www.facebook.com/v26.0/dialog/oauth",
        "token": "https://graph.facebook.com/v26.0/oauth/access_token",
        "me": "https://graph.facebook.com/v26.0/me",
        "scopes": "public_profile,pages_show_list,pages_manage_posts",
        "denied": "access_denied",
    },
    "instagram": {
        "authorize": "https://www.instagram.com/oauth/authorize",
        "token": "https://api.instagram.com/oauth/access_token",
        "me": "https://graph.instagram.com/v26.0/me",
        "scopes": "instagram_business_basic,instagram_business_content_publish",
        "denied": "access_denied",
    },
    "threads": {
        "authorize": "https://www.threads.net/oauth/authorize",
        "token": "https://graph.threads.net/oauth/access_token",
        "me": "https://graph.threads.net/v1.0/me",
        "scopes": "threads_basic,threads_content_publish",
        "denied": "access_denied",
    },
    "tiktok": {
        "authorize": "https://www.tiktok.com/v2/auth/authorize/",
        "token": "https://open.tiktokapis.com/v2/oauth/token/",
        "me": "https://open.tiktokapis.com/v2/user/info/?fields=open_id",
        "scopes": "user.info.basic,video.publish",
        "denied": "access_denied",
    },
}


class Form(HTMLParser):
    """What a browser would send for a page: checked boxes that are not disabled, and one button."""

    def __init__(self, page):
        super().__init__()
        self.fields = []
        self.buttons = []
        self.method = None
        self.has_script = False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.has_script |= tag == "script"
        if tag == "form":
            assert "action" not in values, "the form goes back to its own address"
            self.method = values["method"]
        if tag == "input" and "checked" in values and "disabled" not in values:
            self.fields.append((values["name"], values["value"]))
        if tag == "button":
            self.buttons.append((values["name"], values["value"]))


class Client:
    """Reaches real addresses through the places that the sandbox tells."""

    def __init__(self, sandbox, platform):
        self.sandbox, self.platform = sandbox, platform
        self.contract = CONTRACTS[platform]
        self.places = sandbox.origins()

    def send(self, method, address, form=None, headers=None):
        parts = urlsplit(address)
        place = urlsplit(self.places[f"{parts.scheme}://{parts.netloc}"])
        target = place.path + parts.path + (f"?{parts.query}" if parts.query else "")
        headers = dict(headers or {})
        body = None
        if form is not None:
            body = urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=20)
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def authorization(self):
        key = "client_key" if self.platform == "tiktok" else "client_id"
        query = {
            key: f"demo-{self.platform}",
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": self.contract["scopes"],
            "state": "a state & more",
        }
        if self.platform == "x":
            digest = hashlib.sha256(VERIFIER.encode()).digest()
            query["code_challenge"] = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            query["code_challenge_method"] = "S256"
        return f"{self.contract['authorize']}?{urlencode(query)}"

    def decide(self, decision):
        """Opens the page, presses a button, and returns what comes back to the app."""
        address = self.authorization()
        status, _, page = self.send("GET", address)
        assert status == 200
        form = Form(page.decode())
        assert form.method == "post" and not form.has_script
        assert ("decision", decision) in form.buttons
        status, headers, _ = self.send("POST", address, form.fields + [("decision", decision)])
        assert status == 302
        location = headers["location"]
        assert location.startswith(CALLBACK + "?")
        return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}

    def tokens(self, **fields):
        headers = {}
        if self.platform == "x":
            pair = base64.b64encode(b"demo-x:secret-of-demo-x").decode()
            headers["Authorization"] = f"Basic {pair}"
        else:
            key = "client_key" if self.platform == "tiktok" else "client_id"
            fields |= {key: f"demo-{self.platform}", "client_secret": f"secret-of-demo-{self.platform}"}
        return self.send("POST", self.contract["token"], fields, headers)

    def exchange(self, code):
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        if self.platform == "x":
            fields["code_verifier"] = VERIFIER
        status, _, body = self.tokens(**fields)
        assert status == 200, body
        answer = json.loads(body)
        return answer["data"][0] if "data" in answer else answer

    def me(self, token):
        return self.send("GET", self.contract["me"], headers={"Authorization": f"Bearer {token}"})[0]


@pytest.fixture(scope="module")
def sandbox():
    sandbox = Sandbox("--account", "alice:token-of-alice")
    for platform in CONTRACTS:
        sandbox.app(platform, CALLBACK)
    yield sandbox
    sandbox.close()


@pytest.fixture(params=CONTRACTS)
def client(request, sandbox):
    return Client(sandbox, request.param)


def test_a_person_says_yes(client):
    before = client.sandbox.oauth(client.platform)
    back = client.decide("allow")
    assert back["state"] == "a state & more"
    token = client.exchange(back["code"])["access_token"]
    assert client.me(token) == 200
    after = client.sandbox.oauth(client.platform)
    assert after["exchanges"] == before["exchanges"] + 1
    assert after["families"][-1]["account"] == "alice"
    assert after["families"][-1]["livingTokens"] == 1


def test_a_person_says_no(client):
    back = client.decide("deny")
    assert back["error"] == client.contract["denied"]
    assert back["state"] == "a state & more"
    assert "code" not in back


def test_what_was_granted_can_be_taken_away(client):
    token = client.exchange(client.decide("allow")["code"])["access_token"]
    order = {"platform": client.platform, "account": "alice", "change": "remove"}
    assert client.sandbox.http.post("/_sandbox/tokens", order)["changed"] >= 1
    assert client.me(token) in (400, 401)


def test_a_token_may_be_given_without_consent(client):
    client.sandbox.account(client.platform, "bob", token=f"token-of-bob-{client.platform}")
    assert client.me(f"token-of-bob-{client.platform}") == 200


@pytest.mark.parametrize("platform", ["x", "tiktok"])
def test_a_refresh_token_works_once(sandbox, platform):
    client = Client(sandbox, platform)
    refresh = client.exchange(client.decide("allow")["code"])["refresh_token"]
    before = sandbox.oauth(platform)
    for _ in range(5):
        answer = json.loads(client.tokens(grant_type="refresh_token", refresh_token=refresh)[2])
        refresh = answer["refresh_token"]
    after = sandbox.oauth(platform)
    assert after["refreshes"] - before["refreshes"] == 5
    assert after["kills"] == before["kills"]
    for _ in range(2):
        client.tokens(grant_type="refresh_token", refresh_token=refresh)
    assert sandbox.oauth(platform)["kills"] == before["kills"] + 1
