"""Host and plugin are killed at each outside request of a chunked video and of a thread, one request a run.

The short form kills the plugin right after an outcome was stored, at each request, and the host at two of them;
ROSTRUM_LONG=1 runs every moment with both. Each thing is out once, and no upload that the journal had is repeated.
"""

import os

import pytest
from media import mp4, png, upload
from rostrum import Host, Sandbox
from strikes import needs_crash_points, restart_with, wait_for_strike

LONG = os.environ.get("ROSTRUM_LONG") == "1"
# Requests of each class; the status of a video is a read and leaves nothing behind.
POSTS = {"video": {"prepare": 4, "commit": 1}, "thread": {"prepare": 2, "commit": 4}}
MOMENTS = ["beforeSend", "beforeStore", "beforeAnswer"]
# Where the short form kills the host too, whose successor waits before it takes the work over.
SHORT_HOST = {("video", "prepare.beforeAnswer:2"), ("thread", "commit.beforeAnswer:2")}
CASES = [
    (post, f"{effect}.{moment}:{number}", victim)
    for post, effects in POSTS.items()
    for effect, count in effects.items()
    for moment in MOMENTS
    for number in range(1, count + 1)
    for victim in ("host", "plugin")
]
if not LONG:
    CASES = [
        case for case in CASES if case[:2] in SHORT_HOST or (case[2] == "plugin" and "beforeAnswer" in case[1])
    ]


@pytest.fixture(scope="module")
def system():
    needs_crash_points()
    sandbox = Sandbox("--unlimited")
    host = Host(sandbox, ROSTRUM_RATE_LIMITS="x=off", ROSTRUM_API_RATE=100_000)
    try:
        host.bootstrap().start()
        sandbox.accounts([f"account{n}" for n in range(len(CASES))])
        host.film = upload(host, mp4(20, size=5 << 20))
        host.pictures = [upload(host, png(1)), upload(host, png(2))]
        yield sandbox, host
    finally:
        host.close()
        sandbox.close()


def write(host, post):
    if post == "video":
        return host.write("A film", media=[host.film]), ["A film"]
    segments = [{"text": "Two", "media": host.pictures[1:]}, {"text": "Three"}, {"text": "Four"}]
    return host.write("One", media=host.pictures[:1], segments=segments), ["One", "Two", "Three", "Four"]


@pytest.mark.parametrize("case", range(len(CASES)), ids=[" ".join(case) for case in CASES])
def test_each_thing_is_done_once(system, case):
    post, point, victim = CASES[case]
    sandbox, host = system
    name = f"account{case}"
    connection = host.connect_x(name)
    restart_with(host, f"{point}:{'kill' if victim == 'host' else 'stop'}")
    number, texts = write(host, post)
    delivery = host.dispatch_surely(number, [connection])["deliveries"][0]["id"]
    wait_for_strike(host, victim, "plugin-x")
    row = host.ended(delivery, 180)
    assert row["state"] == "sent", host.explain(delivery)
    assert row["attempts"] == 1, host.explain(delivery)

    ledger = sandbox.ledger()
    chain = [entry for entry in ledger["entries"] if entry["account"] == name]
    assert [entry["text"] for entry in chain] == texts
    assert [entry.get("replyTo") for entry in chain] == [None] + [entry["id"] for entry in chain[:-1]]
    assert row["url"] == chain[0]["url"]
    files = [file for file in ledger["uploads"] if file["account"] == name]
    repeated = sum(file["repeatedParts"] for file in files)
    extra = len(files) - (1 if post == "video" else 2)
    if point.startswith("prepare.beforeStore"):
        # The one whose answer was lost; nobody sees it.
        assert extra + repeated <= 1
    else:
        assert (extra, repeated) == (0, 0)
