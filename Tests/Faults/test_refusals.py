"""Every refusal that the contract of X lists, through every layer: sandbox, host, adapter, stored end.

`LISTED` is the contract's list. Each entry has rows here, or it stands in `OUT_OF_REACH` with the reason and with the
test that shows the sandbox refusing it. Nothing may be published by a refused delivery.
"""

import http.client
import json
import re
import threading
import time
import uuid

import pytest
from adapter import Adapter, AdapterError
from media import gif, mp4, png, upload
from rostrum import HTTP, ROOT, Host, Refused, Sandbox, eventually

LISTED = [
    "missing or unknown bearer",
    "bearer of another type",
    "each missing scope",
    "unknown JSON field",
    "empty text without media",
    "text over 280",
    "text over 25,000 for Premium",
    "more than one cashtag",
    "more than four media",
    "several media, one of them a GIF or video",
    "media with a poll or a quote",
    "media unknown",
    "media unfinalized",
    "media processing",
    "media failed",
    "media expired",
    "media of another user",
    "alt text over 1000",
    "segment index outside 0 to 999",
    "segment repeated with other bytes",
    "segments with gaps",
    "segments of another sum",
    "segment over 5 MB",
    "video longer than the user may post",
    "poll bounds",
    "reply to a foreign post",
    "quote",
    "identical recent text",
    "delete of another's post",
    "delete of an unknown post",
    "sign-in code too old, used, with a wrong verifier or address",
    "refresh token used twice",
    "confidential client without Basic",
    "101st create in 15 minutes",
    "zero credits",
]

NO_THREADS = "The adapter answers to nothing but its own posts, and sends no quote and no poll."
NO_PARTS = "The adapter cuts files into parts itself."
NO_SIGN_IN = "Tokens are entered by hand; neither host nor sandbox signs anybody in yet."

OUT_OF_REACH = {
    "unknown JSON field": ("The adapter writes the names of all fields itself.", "refusesUnknownFields"),
    "media with a poll or a quote": (NO_THREADS, "refusesMediaBesidesAPollOrAQuote"),
    "poll bounds": (NO_THREADS, "boundsPolls"),
    "reply to a foreign post": (NO_THREADS, "allowsRepliesToOwnPostsAndSummonedOnes"),
    "quote": (NO_THREADS, "refusesQuotes"),
    "segment index outside 0 to 999": (NO_PARTS, "refusesWrongParts"),
    "segment repeated with other bytes": (NO_PARTS, "publishesAVideoWhenItIsReady"),
    "segments with gaps": (NO_PARTS, "refusesWrongParts"),
    "segments of another sum": (NO_PARTS, "refusesWrongParts"),
    "segment over 5 MB": (NO_PARTS, "refusesWrongParts"),
    "sign-in code too old, used, with a wrong verifier or address": (NO_SIGN_IN, None),
    "refresh token used twice": (NO_SIGN_IN, None),
    "confidential client without Basic": (NO_SIGN_IN, None),
}


class Row:
    """One way to be refused.

    `stage`: `connect` (the account is not connected), `dispatch` (the adapter's own rules refuse the post), `send` (the
    platform refuses it), `adapter` (a call that the host does not make yet, to the adapter alone).
    """

    def __init__(self, refusal, how, stage, provoke, kind, retry, says, state="failed", status=None, advice=None):
        self.refusal, self.how, self.stage, self.provoke = refusal, how, stage, provoke
        self.kind, self.retry, self.says, self.state = kind, retry, says, state
        self.status, self.advice = status, advice

    def __repr__(self):
        return f"{self.refusal}: {self.how} ({self.stage})"


# MARK: The system


class Stream(threading.Thread):
    """Collects the events of the site, by delivery."""

    def __init__(self, host):
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection("127.0.0.1", host.port)
        path = f"/api/events?siteId={host.site}"
        self.connection.request("GET", path, headers={"Authorization": f"Bearer {host.http.token}"})
        self.answer = self.connection.getresponse()
        self.problems = {}

    def run(self):
        kind = None
        for line in self.answer:
            if line.startswith(b"event: "):
                kind = line[7:].strip().decode()
            elif line.startswith(b"data: ") and kind == "delivery.retrying":
                data = json.loads(line[6:])
                self.problems[data["id"]] = data["error"]


class Stage:
    """One account on a running system; what a row provokes its refusal with."""

    def __init__(self, sandbox, host, stream, number):
        self.sandbox, self.host, self.stream, self.number = sandbox, host, stream, number
        self.name = f"refused{number}"
        self.token = f"token-of-{self.name}"
        self.client = HTTP(sandbox.port, self.token)
        self.user = None
        self.connection = None
        self.release = None

    def account(self, **values):
        body = {"platform": "x", "username": self.name, **values}
        self.user = self.sandbox.http.post("/_sandbox/accounts", body)["accounts"][0]["id"]

    def rights(self, **token):
        """Another standing of the same token."""
        self.account(tokens=[{"token": self.token, **token}])

    def connect(self):
        self.connection = self.host.connect_x(self.name)

    def fault(self, method, path, **action):
        match = {"account": self.name, "method": method, "path": path}
        self.sandbox.faults({"match": match, "action": {"kind": "status", **action}})

    def picture(self, make=png, alt=""):
        self.number += 1000
        return upload(self.host, make(self.number), alt)

    def post(self, **more):
        self.number += 1000
        return {"title": f"Refused {self.number}", **more}

    def with_upload_named(self, media):
        """The platform names another file as the one that was uploaded."""
        self.fault("POST", "/2/media/upload", code=200, body={"data": {"id": media}})
        return self.post(media=[self.picture()])

    def begin_upload(self, size, kind="video/mp4", category="tweet_video"):
        body = {"media_type": kind, "media_category": category, "total_bytes": size}
        return self.client.post("/2/media/upload/initialize", body)["id"]

    def append(self, media, data):
        boundary = uuid.uuid4().hex
        parts = [("segment_index", b"0"), ("media", data)]
        body = b"".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n"
            for name, value in parts
        )
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        path = f"/2/media/upload/{media}/append"
        status, _, answer = self.client.raw("POST", path, body + f"--{boundary}--\r\n".encode(), headers)
        assert status == 200, answer

    def upload(self, data, **kind):
        media = self.begin_upload(len(data), **kind)
        self.append(media, data)
        self.client.post(f"/2/media/upload/{media}/finalize")
        return media

    def published(self):
        entries = self.sandbox.ledger()["entries"]
        return [entry for entry in entries if entry["account"] == self.name]


# MARK: Ways to provoke


def change_token(stage):
    stage.account(tokens=[{"token": "another-" + stage.token}])
    return stage.post()


def expire_token(stage):
    stage.rights(expiresInMs=0)
    return stage.post()


def app_token(stage):
    stage.rights(tokenKind="app")
    return stage.post()


def without(scope):
    def provoke(stage):
        scopes = {"tweet.read", "tweet.write", "users.read", "media.write"} - {scope}
        stage.rights(scopes=sorted(scopes))
        return stage.post(media=[stage.picture()]) if scope == "media.write" else stage.post()

    return provoke


def suspend(stage):
    stage.account(suspended=True)
    return stage.post()


def lose_premium(stage):
    stage.account(subscription="None")
    return stage.post(excerpt="x" * 281)


def several_with_gif(stage):
    return stage.post(media=[stage.picture(), stage.picture(gif)])


def video_among_pictures(stage):
    """The first of two pictures turns out to be a film."""
    media = stage.upload(mp4(10))
    # A second of processing.
    time.sleep(1.2)
    stage.fault("POST", "/2/media/upload", code=200, body={"data": {"id": media}})
    return stage.post(media=[stage.picture(), stage.picture()])


def processing_media(stage):
    return stage.with_upload_named(stage.upload(mp4(10)))


def failed_media(stage):
    return stage.with_upload_named(stage.upload(b"no film"))


def expired_media(stage):
    stage.sandbox.settings(mediaExpirySeconds=0)
    stage.release = lambda: stage.sandbox.settings(mediaExpirySeconds=86_400)
    return stage.post(media=[stage.picture()])


def foreign_media(stage):
    other = f"other{stage.number}"
    stage.sandbox.accounts([other])
    stage.client.token = f"token-of-{other}"
    media = stage.upload(png(stage.number), kind="image/png", category="tweet_image")
    return stage.with_upload_named(media)


def long_video(stage):
    media = stage.upload(mp4(1201))
    time.sleep(1.2)
    return stage.with_upload_named(media)


def duplicate_of_old(stage):
    """The timeline does not show the other post, as if it were older than anything that could be this delivery."""
    post = stage.post()
    match = {"account": stage.name, "method": "POST", "path": "/2/tweets"}
    stage.sandbox.faults({"match": match, "action": {"kind": "listLag", "ms": 600_000}})
    assert stage.client.raw("POST", "/2/tweets", {"text": post["title"]})[0] == 201
    stage.allowed = 1
    return post


def duplicate_of_own(stage):
    post = stage.post()
    first = stage.host.dispatch(stage.host.write(**post), [stage.connection])["deliveries"][0]["id"]
    assert stage.host.ended(first)["state"] == "sent"
    stage.allowed = 1
    return post


def use_up_window(stage):
    """A window of some seconds, so that its end is seen too."""
    stage.sandbox.settings(rateLimitWindowMs=8_000)
    stage.release = lambda: stage.sandbox.settings(rateLimitWindowMs=900_000)
    for number in range(100):
        assert stage.client.raw("POST", "/2/tweets", {"text": f"Somebody else {number}"})[0] == 201
    stage.allowed, stage.wait = 101, (0, 9)
    return stage.post()


def use_up_day(stage):
    reset = int(time.time()) + 40_000
    headers = {
        "x-rate-limit-remaining": "98", "x-rate-limit-reset": str(int(time.time()) + 60),
        "x-user-limit-24hour-limit": "2400", "x-user-limit-24hour-remaining": "0",
        "x-user-limit-24hour-reset": str(reset),
    }
    stage.fault("POST", "/2/tweets", code=429, headers=headers)
    stage.wait = (39_900, 40_001)
    return stage.post()


def use_up_uploads(stage):
    stage.fault("POST", "/2/media/upload", code=429, retryAfter={"seconds": 500, "form": "seconds"})
    stage.wait = (490, 502)
    return stage.post(media=[stage.picture()])


def use_up_month(stage):
    body = {"title": "Usage cap exceeded", "detail": "Usage cap exceeded: Monthly product cap",
            "type": "https://api.twitter.com/2/problems/usage-capped", "status": 429}
    stage.fault("POST", "/2/tweets", code=429, body=body)
    stage.wait = (86_000, 86_401)
    return stage.post()


def spend(credits, **more):
    def provoke(stage):
        stage.account(credits=credits)
        stage.wait = (3_500, 3_601)
        return stage.post(**more)

    return provoke


def delete_foreign(stage):
    other = f"other{stage.number}"
    stage.sandbox.accounts([other])
    return HTTP(stage.sandbox.port, f"token-of-{other}").post("/2/tweets", {"text": "Not yours"})["id"]


MEDIA = ("mediaRejected", "userFix", "Your media IDs are invalid.")
FORBIDDEN = ("notPermitted", "never", "You are not permitted to perform this action.")
RIGHTS = "tweet.write"
AGAIN = "uploads it anew"

ROWS = [
    Row("missing or unknown bearer", "never valid", "connect", lambda s: s.account(tokens=[{"token": "other"}]),
        "credentials_refused", "reauth", "token", status=422),
    Row("missing or unknown bearer", "revoked since", "send", change_token,
        "authExpired", "reauth", "does not accept the access token", status=401),
    Row("missing or unknown bearer", "expired since", "send", expire_token,
        "authExpired", "reauth", "does not accept the access token", status=401),
    Row("bearer of another type", "an app's token", "connect", lambda s: s.rights(tokenKind="app"),
        "credentials_refused", "reauth", "belongs to an app", status=422),
    Row("bearer of another type", "an app's token since", "send", app_token,
        "scopeMissing", "reauth", "Application-Only", status=403, advice="belongs to an app"),
    Row("each missing scope", "users.read", "connect", lambda s: s.rights(scopes=["tweet.read", "tweet.write"]),
        "platform_refused", "never", "users.read", status=422),
    *[
        Row("each missing scope", scope, "send", without(scope), *FORBIDDEN, status=403, advice=scope)
        for scope in ("tweet.read", "tweet.write", "users.read", "media.write")
    ],
    Row("each missing scope", "a suspended account looks the same", "send", suspend, *FORBIDDEN, status=403,
        advice="suspended"),
    Row("empty text without media", "only white space", "dispatch", lambda s: {"title": " "},
        "empty", "userFix", "needs a text, a picture or a video"),
    Row("text over 280", "281", "dispatch", lambda s: s.post(excerpt="x" * 281), "tooLong", "userFix", "longer than X"),
    Row("text over 280", "Premium ended since", "send", lose_premium,
        "contentRejected", "userFix", "too long", status=400),
    Row("text over 25,000 for Premium", "25,001", "dispatch",
        lambda s: s.post(options={"customMessage": "x" * 25_001}), "tooLong", "userFix", "longer than X"),
    Row("more than one cashtag", "two", "dispatch", lambda s: s.post(excerpt="$AB and $CD"),
        "tooManyCashtags", "userFix", "one cashtag"),
    Row("more than four media", "five", "dispatch", lambda s: s.post(media=[s.picture() for _ in range(5)]),
        "tooManyImages", "userFix", "up to 4 pictures"),
    Row("several media, one of them a GIF or video", "a GIF", "dispatch", several_with_gif,
        "mixedMedia", "userFix", "stands alone"),
    Row("several media, one of them a GIF or video", "a film", "send", video_among_pictures, *MEDIA, status=400,
        advice=AGAIN),
    Row("media unknown", "no such id", "send", lambda s: s.with_upload_named("1"), *MEDIA, status=400, advice=AGAIN),
    Row("media unfinalized", "parts missing", "send", lambda s: s.with_upload_named(s.begin_upload(100)), *MEDIA,
        status=400, advice=AGAIN),
    Row("media processing", "a film", "send", processing_media, *MEDIA, status=400, advice=AGAIN),
    Row("media failed", "no film", "send", failed_media, *MEDIA, status=400, advice=AGAIN),
    Row("media expired", "at once", "send", expired_media, *MEDIA, status=400, advice=AGAIN),
    Row("media of another user", "uploaded by another", "send", foreign_media, *MEDIA, status=400, advice=AGAIN),
    Row("alt text over 1000", "1001", "dispatch", lambda s: s.post(media=[s.picture(alt="a" * 1001)]),
        "tooLong", "userFix", "alternative text is too long"),
    Row("video longer than the user may post", "20 minutes and a second", "send", long_video,
        "mediaRejected", "userFix", "longer than 20 minutes", status=403),
    Row("identical recent text", "by another client, long before", "send", duplicate_of_old,
        "duplicate", "userFix", "duplicate content", status=403, advice="Change the text"),
    Row("identical recent text", "by another delivery, just now", "send", duplicate_of_own,
        "duplicate", "userFix", "duplicate content", status=403, advice="Change the text"),
    Row("delete of another's post", "post/delete", "adapter", delete_foreign, *FORBIDDEN),
    Row("delete of an unknown post", "post/delete: gone is gone", "adapter", lambda s: "1", None, None, None),
    Row("101st create in 15 minutes", "100 by another client", "send", use_up_window,
        "rateLimited", "after", "Too Many Requests", state="sent"),
    Row("101st create in 15 minutes", "the day's limit", "send", use_up_day,
        "rateLimited", "after", "Too Many Requests", state="retrying"),
    Row("101st create in 15 minutes", "the limit of uploads", "send", use_up_uploads,
        "rateLimited", "after", "Too Many Requests", state="retrying"),
    Row("101st create in 15 minutes", "the month's limit", "send", use_up_month,
        "quotaExceeded", "after", "Usage cap", state="retrying"),
    Row("zero credits", "nothing left", "send", spend(0), "quotaExceeded", "after", "no credits", state="retrying"),
    Row("zero credits", "too little for a link", "send", spend(0.1, url="https://example.org/a"),
        "quotaExceeded", "after", "no credits", state="retrying"),
    Row("zero credits", "to connect", "connect", lambda s: s.account(token=s.token, credits=0),
        "platform_unavailable", "after", "no credits", status=503),
]


def test_every_refusal_of_the_contract_has_its_place():
    assert len(set(LISTED)) == len(LISTED)
    tested = {row.refusal for row in ROWS}
    assert tested | set(OUT_OF_REACH) == set(LISTED)
    assert not tested & set(OUT_OF_REACH)
    sources = "".join(path.read_text() for path in (ROOT / "Tests" / "SandboxKitTests").glob("*.swift"))
    for refusal, (reason, proof) in OUT_OF_REACH.items():
        assert reason
        assert proof is None or re.search(rf"func {proof}\(", sources), refusal


@pytest.fixture(scope="module")
def system():
    sandbox = Sandbox()
    # The host's own limit of posts is another test's matter.
    host = Host(sandbox, ROSTRUM_RATE_LIMITS="x=off")
    try:
        host.bootstrap().start()
        stream = Stream(host)
        stream.start()
        yield sandbox, host, stream
    finally:
        host.close()
        sandbox.close()


@pytest.fixture
def stage(system, request):
    number = ROWS.index(request.getfixturevalue("row"))
    stage = Stage(*system, number)
    yield stage
    if stage.release:
        stage.release()


def check_connect(row, stage):
    row.provoke(stage)
    with pytest.raises(Refused) as refused:
        stage.host.connect_x(stage.name)
    assert (refused.value.status, refused.value.error["code"]) == (row.status, row.kind), str(refused.value)
    assert row.says in refused.value.error["message"]
    accounts = stage.host.http.get(f"/api/admin/distribution/connections?siteId={stage.host.site}&limit=100")
    assert stage.name not in {account["accountHandle"] for account in accounts}


def check_dispatch(row, stage):
    stage.account(token=stage.token, subscription="Premium" if "Premium" in row.refusal else "None")
    stage.connect()
    post = row.provoke(stage)
    options = post.pop("options", None)
    number = stage.host.write(**post)
    before = stage.host.counts()
    with pytest.raises(Refused) as refused:
        stage.host.dispatch(number, [stage.connection], **({"options": options} if options else {}))
    assert (refused.value.status, refused.value.error["code"]) == (422, "post_not_publishable")
    assert refused.value.error["field"] == "connectionIds[0]"
    assert row.says in refused.value.error["message"]
    findings = json.dumps(refused.value.error)
    assert row.kind in findings, findings
    assert stage.host.counts() == before


def check_send(row, stage):
    stage.account(token=stage.token, subscription="Premium" if "Premium" in row.how else "None")
    stage.connect()
    stage.allowed = 0
    post = stage.host.write(**row.provoke(stage))
    delivery = stage.host.dispatch(post, [stage.connection], allowDuplicate=True)["deliveries"][0]["id"]
    if row.retry == "after":
        problem = eventually(lambda: stage.stream.problems.get(delivery), 60, "the delivery is put off")
    else:
        shown = stage.host.ended(delivery, 90)
        assert shown["state"] == row.state, stage.host.explain(delivery)
        problem = shown["error"]
        assert problem["upstreamStatus"] == row.status
    assert (problem["kind"], problem["retry"]) == (row.kind, row.retry), problem
    assert row.says in problem["message"]
    assert row.advice is None or row.advice in problem["userMessage"], problem
    assert stage.token not in json.dumps(stage.host.explain(delivery))
    account = stage.host.http.get(f"/api/admin/distribution/connections/{stage.connection}?siteId={stage.host.site}")
    assert account["status"] == ("expired" if row.retry == "reauth" else "active")
    if row.retry == "after":
        assert stage.wait[0] <= problem["retryAfterMs"] / 1000 <= stage.wait[1], problem
    if row.state == "retrying":
        row_now = stage.host.delivery(delivery)
        assert row_now["state"] == "retrying"
        assert row_now["nextAttemptAt"]
        # It costs no attempt, and until then a person can still withdraw it.
        assert row_now["attempts"] == 0
        stage.host.http.post(f"/api/admin/distribution/logs/{delivery}/cancel?siteId={stage.host.site}")
        assert stage.host.delivery(delivery)["state"] == "canceled"
    if row.state == "sent":
        assert stage.host.ended(delivery, 60)["attempts"] == 1
    assert len(stage.published()) == stage.allowed


def check_adapter(row, stage):
    stage.account(token=stage.token)
    adapter = Adapter("x", stage.sandbox.port, stage.token)
    try:
        account = {"id": stage.user, "name": stage.name}
        job = {"key": str(uuid.uuid4()), "now": "2026-01-02T03:04:05.000Z", "seed": "00"}
        params = {"_meta": {"call": "c1"}, "account": account, "job": job, "remoteId": row.provoke(stage)}
        if row.kind is None:
            assert adapter.call("post/delete", params) == {"deleted": True}
            return
        with pytest.raises(AdapterError) as refused:
            adapter.call("post/delete", params)
        assert (refused.value.kind, refused.value.retry) == (row.kind, row.retry)
        assert row.says in refused.value.message
    finally:
        adapter.close()


CHECKS = {"connect": check_connect, "dispatch": check_dispatch, "send": check_send, "adapter": check_adapter}


@pytest.mark.parametrize("row", ROWS, ids=repr)
def test_a_refusal_is_understood(row, stage):
    CHECKS[row.stage](row, stage)


# MARK: Webhooks

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

# Status, more of the answer, state, kind, retry class, attempts that the receiver sees.
ANSWERS = [
    (301, {}, "failed", "platformChanged", "never", 1),
    (400, {}, "failed", "contentRejected", "userFix", 1),
    (401, {}, "failed", "authRevoked", "reauth", 1),
    (403, {}, "failed", "notPermitted", "never", 1),
    (404, {}, "failed", "notFound", "never", 1),
    (410, {}, "failed", "authRevoked", "reauth", 1),
    (413, {}, "failed", "contentRejected", "userFix", 1),
    (429, {"retryAfter": {"seconds": 2, "form": "seconds"}}, "sent", "rateLimited", "after", 2),
    (429, {"retryAfter": {"seconds": 2, "form": "date"}}, "sent", "rateLimited", "after", 2),
    # These do not say whether the receiver acted: the message goes out again under its id.
    (500, {"when": "afterCommit"}, "sent", None, None, 2),
    (502, {}, "sent", None, None, 2),
    (503, {"retryAfter": {"seconds": 2, "form": "seconds"}}, "sent", None, None, 2),
]


@pytest.mark.parametrize("number", range(len(ANSWERS)), ids=[f"{row[0]} {row[1] or ''}".strip() for row in ANSWERS])
def test_a_receivers_answer_is_understood(system, number):
    status, more, state, kind, retry, times = ANSWERS[number]
    sandbox, host, stream = system
    name = f"hook{number}"
    connection = host.connect_hook(name, SECRET)
    action = {"kind": "status", "code": status, **more}
    match = {"platform": "webhook", "account": name, "method": "POST"}
    sandbox.faults({"match": match, "action": action})
    delivery = host.dispatch(host.write(f"For the receiver {number}"), [connection])["deliveries"][0]["id"]
    shown = host.ended(delivery, 60)
    assert shown["state"] == state, host.explain(delivery)
    problem = shown["error"] if state == "failed" else stream.problems.get(delivery)
    if kind:
        assert (problem["kind"], problem["retry"]) == (kind, retry)
        assert f"({status})" in problem["message"]
    if retry == "after":
        assert 1 <= problem["retryAfterMs"] / 1000 <= 4
    posts = [r for r in sandbox.requests()["requests"] if r["path"] == f"/hooks/{name}"]
    # The first one is the ping of the connecting host.
    assert len(posts) == 1 + times
    entries = [entry for entry in sandbox.ledger("webhook")["entries"] if entry["account"] == name]
    assert len(entries) == (1 if state == "sent" else 0)
    account = host.http.get(f"/api/admin/distribution/connections/{connection}?siteId={host.site}")
    # A receiver that refuses the signature or wants no more is not asked again until a person says so.
    assert account["isActive"] == (retry != "reauth")
