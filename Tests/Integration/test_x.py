"""Everything that the adapter of X publishes: pictures, GIFs, videos in parts, threads; and how far it came."""

import http.client

import pytest
from media import gif, mp4, png, upload
from rostrum import Host, Refused, Sandbox

MIB = 1 << 20


@pytest.fixture(scope="module")
def system():
    sandbox = Sandbox()
    host = Host(sandbox, ROSTRUM_RATE_LIMITS="x=off")
    try:
        host.bootstrap().start()
        yield sandbox, host
    finally:
        host.close()
        sandbox.close()


@pytest.fixture
def account(system, request):
    sandbox, host = system
    account.count = getattr(account, "count", 0) + 1
    name = f"writer{account.count}"
    sandbox.accounts([name])
    return name, host.connect_x(name)


account.count = 0


def send(host, connection, title, **more):
    return host.dispatch(host.write(title, **more), [connection])["deliveries"][0]["id"]


def entries(sandbox, name):
    return [entry for entry in sandbox.ledger()["entries"] if entry["account"] == name]


def uploads(sandbox, name):
    return [entry for entry in sandbox.ledger()["uploads"] if entry["account"] == name]


def content(sandbox, media):
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=30)
    connection.request("GET", f"/media/{media}")
    return connection.getresponse().read()


def test_four_pictures_with_descriptions(system, account):
    sandbox, host = system
    name, connection = account
    files = [png(n) for n in range(4)]
    media = [{**upload(host, data), "alt": f"Picture {n}"} for n, data in enumerate(files)]
    row = host.ended(send(host, connection, "Four pictures", media=media))
    assert row["state"] == "sent", row
    [entry] = entries(sandbox, name)
    assert [content(sandbox, media) for media in entry["mediaIds"]] == files
    assert [(item["category"], item["parts"], item["descriptions"]) for item in uploads(sandbox, name)] == [
        ("tweet_image", 1, 1)
    ] * 4
    assert row["segments"] == []


def test_a_gif_goes_in_parts(system, account):
    sandbox, host = system
    name, connection = account
    row = host.ended(send(host, connection, "It turns", media=[{**upload(host, gif(1)), "alt": "A wheel"}]))
    assert row["state"] == "sent", row
    [file] = uploads(sandbox, name)
    assert (file["category"], file["state"], file["descriptions"]) == ("tweet_gif", "succeeded", 1)


def test_a_video_goes_in_parts_and_nothing_waits_for_it(system, account):
    sandbox, host = system
    name, connection = account
    sandbox.accounts(["passerby"])
    other = host.connect_x("passerby")
    film = mp4(30, size=9 * MIB, seed=7)
    sandbox.settings(mediaProcessingMs=3000)
    try:
        video = send(host, connection, "A film", media=[upload(host, film)])
        row = host.ended(video)
    finally:
        sandbox.settings(mediaProcessingMs=1000)
    assert row["state"] == "sent", host.explain(video)
    assert row["attempts"] == 1, "a wait costs no attempt"
    [file] = uploads(sandbox, name)
    assert (file["category"], file["parts"], file["repeatedParts"]) == ("tweet_video", 3, 0)
    assert file["receivedBytes"] == file["declaredBytes"] == len(film)
    [entry] = entries(sandbox, name)
    assert content(sandbox, entry["mediaIds"][0]) == film
    assert host.ended(send(host, other, "Beside it"))["state"] == "sent"


def test_a_video_that_can_not_be_used_is_refused(system, account):
    sandbox, host = system
    name, connection = account
    film = mp4(0, size=2 * MIB)
    row = host.ended(send(host, connection, "A moment", media=[upload(host, film)]))
    assert row["state"] == "failed"
    assert (row["error"]["kind"], row["error"]["retry"]) == ("mediaRejected", "userFix")
    assert "Duration too short" in row["error"]["message"]
    assert entries(sandbox, name) == []


def test_a_long_video_takes_several_calls(system, account):
    sandbox, host = system
    name, connection = account
    film = mp4(60, size=101 * MIB, seed=9)
    row = host.ended(send(host, connection, "A long film", media=[upload(host, film)]), 180)
    assert row["state"] == "sent", row
    [file] = uploads(sandbox, name)
    assert (file["parts"], file["repeatedParts"], file["receivedBytes"]) == (26, 0, len(film))
    steps = [step["step"] for step in host.explain(row["id"])["steps"] if step["class"] == "prepare"]
    assert len(steps) == len(set(steps)) == 28


def test_a_thread_is_a_chain(system, account):
    sandbox, host = system
    name, connection = account
    segments = [
        {"text": "Second", "media": [upload(host, png(21))]}, {"text": "Third & last <3"}, {"text": "Fourth"},
    ]
    post = host.write("First", url="https://example.org/a", tags=["swift"], segments=segments)
    row = host.ended(host.dispatch(post, [connection])["deliveries"][0]["id"])
    assert row["state"] == "sent", row
    chain = entries(sandbox, name)
    texts = ["First #swift\nhttps://example.org/a", "Second", "Third & last <3", "Fourth"]
    assert [entry["text"] for entry in chain] == texts
    assert [entry.get("replyTo") for entry in chain] == [None] + [entry["id"] for entry in chain[:-1]]
    assert [segment["url"] for segment in row["segments"]] == [entry["url"] for entry in chain]
    assert (row["url"], row["remoteId"]) == (chain[0]["url"], chain[0]["id"])
    assert chain[1]["media"] == 1
    shown = host.http.get(f"/api/posts/{post}?siteId={host.site}")
    assert [segment["text"] for segment in shown["segments"]] == ["Second", "Third & last <3", "Fourth"]


def test_a_thread_of_an_accounts_own(system, account):
    sandbox, host = system
    name, connection = account
    picture = upload(host, png(22))
    post = host.write("One", media=[picture], segments=[{"text": "Two"}])
    own = [{"text": "Zwei", "media": [picture["mediaId"]]}]
    options = {"overrides": {str(connection): {"text": "Eins", "segments": own}}}
    row = host.ended(host.dispatch(post, [connection], options=options)["deliveries"][0]["id"])
    assert [(entry["text"], entry["media"]) for entry in entries(sandbox, name)] == [("Eins", 1), ("Zwei", 1)]
    alone = {"overrides": {str(connection): {"text": "Allein", "segments": []}}}
    row = host.ended(host.dispatch(post, [connection], options=alone)["deliveries"][0]["id"])
    assert row["segments"] == []
    assert entries(sandbox, name)[-1]["text"] == "Allein"


def test_a_thread_that_stops_says_where_and_goes_on(system, account):
    sandbox, host = system
    name, connection = account
    match = {"account": name, "method": "POST", "path": "/2/tweets", "bodyContains": '"3 of 4"'}
    body = {"title": "Forbidden", "status": 403, "detail": "You are not permitted to perform this action."}
    sandbox.faults({"match": match, "action": {"kind": "status", "code": 403, "body": body}})
    segments = [{"text": f"{n} of 4"} for n in (2, 3, 4)]
    delivery = send(host, connection, "1 of 4", segments=segments)
    row = host.ended(delivery)
    assert row["state"] == "partial", host.explain(delivery)
    out = entries(sandbox, name)
    assert [entry["text"] for entry in out] == ["1 of 4", "2 of 4"]
    assert row["segments"] == [{"remoteId": entry["id"], "url": entry["url"], "isRemoved": False} for entry in out]
    assert (row["error"]["kind"], row["error"]["retry"]) == ("notPermitted", "never")
    host.http.post(f"/api/admin/distribution/logs/{delivery}/retry?siteId={host.site}")
    row = host.ended(delivery)
    assert row["state"] == "sent", host.explain(delivery)
    chain = entries(sandbox, name)
    assert [entry["text"] for entry in chain] == ["1 of 4", "2 of 4", "3 of 4", "4 of 4"]
    assert [entry.get("replyTo") for entry in chain] == [None] + [entry["id"] for entry in chain[:-1]]
    assert [segment["url"] for segment in row["segments"]] == [entry["url"] for entry in chain]


def test_a_full_window_in_the_middle_is_waited_out(system, account):
    sandbox, host = system
    name, connection = account
    match = {"account": name, "method": "POST", "path": "/2/tweets", "bodyContains": '"Later"'}
    action = {"kind": "status", "code": 429, "retryAfter": {"seconds": 2, "form": "seconds"}}
    sandbox.faults({"match": match, "action": action})
    row = host.ended(send(host, connection, "Now", segments=[{"text": "Later"}]))
    assert row["state"] == "sent"
    assert [entry["text"] for entry in entries(sandbox, name)] == ["Now", "Later"]


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("action", ["resetBeforeCommit", "resetAfterCommit"])
def test_a_lost_answer_within_a_thread(system, account, action, part):
    sandbox, host = system
    name, connection = account
    match = {"account": name, "method": "POST", "path": "/2/tweets", "bodyContains": f'"Part {part}"'}
    sandbox.faults({"match": match, "action": action})
    delivery = send(host, connection, "Part 0", segments=[{"text": f"Part {n}"} for n in (1, 2, 3)])
    row = host.ended(delivery, 120)
    assert row["state"] == "sent", host.explain(delivery)
    chain = entries(sandbox, name)
    assert [entry["text"] for entry in chain] == [f"Part {n}" for n in range(4)]
    assert [entry.get("replyTo") for entry in chain] == [None] + [entry["id"] for entry in chain[:-1]]
    assert [segment["remoteId"] for segment in row["segments"]] == [entry["id"] for entry in chain]


@pytest.mark.parametrize(
    "segments,code",
    [
        ([{"text": "x" * 281}], "tooLong"), ([{"text": " "}], "empty"), ([{"text": "Same"}, {"text": "Same"}], "duplicateText"),
        ([{"text": "$AB $CD"}], "tooManyCashtags"),
    ],
    ids=["too long", "empty", "twice the same", "cashtags"],
)
def test_a_thread_that_x_would_refuse_is_not_accepted(system, account, segments, code):
    _, host = system
    _, connection = account
    post = host.write("Fine", segments=segments)
    with pytest.raises(Refused) as refused:
        host.dispatch(post, [connection])
    assert refused.value.error["code"] == "post_not_publishable"
    assert code in str(refused.value.error)


def test_a_platform_without_threads_refuses_one(system):
    _, host = system
    hook = host.connect_hook("threadless", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    post = host.write("One", segments=[{"text": "Two"}])
    with pytest.raises(Refused) as refused:
        host.dispatch(post, [hook])
    assert "publishes no threads" in refused.value.error["message"]


def test_options_reach_the_platform(system, account):
    sandbox, host = system
    name, connection = account
    match = {"account": name, "bodyContains": '"reply_settings":"following"'}
    sandbox.faults({"match": match, "action": {"kind": "delay", "ms": 1}})
    options = {"overrides": {str(connection): {"options": {"replySettings": "following", "madeWithAI": True}}}}
    post = host.write("Made with help")
    assert host.ended(host.dispatch(post, [connection], options=options)["deliveries"][0]["id"])["state"] == "sent"
    assert any(fault["hits"] == 1 for fault in sandbox.http.get("/_sandbox/faults")["faults"][-1:])
