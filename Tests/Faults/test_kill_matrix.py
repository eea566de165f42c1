"""The kill matrix: host and plugin killed at each moment of a publishing request, for each kind of post.

A cell is one kill with 20 deliveries in flight, one an account. Whatever is killed when: the platform has each post
once, and every delivery ends. `make test` runs one row; ROSTRUM_LONG=1 (`make soak`, `make evidence`) runs all.

Three moments are named crash points that only debug builds have; at the other two the platform holds the request. The
seed is printed; ROSTRUM_SEED repeats the choice of the request at which the kill comes.
"""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from media import mp4, png, upload
from rostrum import Host, Sandbox
from strikes import has_crash_points, needs_crash_points, restart_with, strike_now, wait_for_hold, wait_for_strike

LONG = os.environ.get("ROSTRUM_LONG") == "1"
DELIVERIES, PARTS, SETTLE = 20, 4, 20
SEED = int(os.environ.get("ROSTRUM_SEED", random.randrange(1 << 32)))
# Milliseconds that the platform holds a request, and seconds in which all deliveries of a cell are accepted.
HOLD, LEAD = 4000, 3

KINDS = ["text", "image", "chunked video", "thread"]
VICTIMS = ["host", "plugin"]
# Moment -> the crash point of a debug build; None: the platform holds the request.
MOMENTS = {
    "before send": "commit.beforeSend",
    "request written": None,
    "platform committed, no reply": None,
    "reply read, not stored": "commit.beforeStore",
    "stored, not notified": "commit.beforeAnswer",
}
ROWS = [(moment, victim) for moment in MOMENTS for victim in VICTIMS]
# The row of the short form: what is out is known to nobody but the platform.
SHORT = ("reply read, not stored", "host")
results = {}


@pytest.fixture(scope="module")
def system():
    print(f"seed {SEED}")
    sandbox = Sandbox("--unlimited")
    host = Host(sandbox, ROSTRUM_RATE_LIMITS="x=off", ROSTRUM_API_RATE=100_000)
    try:
        host.bootstrap().start()
        names = [f"account{n}" for n in range(DELIVERIES)]
        sandbox.accounts(names)
        host.connections = [host.connect_x(name) for name in names]
        host.picture = upload(host, png(1))
        host.film = upload(host, mp4(20, size=5 << 20))
        yield sandbox, host
    finally:
        host.close()
        sandbox.close()
    if LONG and "ROSTRUM_EVIDENCE" in os.environ:
        write_evidence(Path(os.environ["ROSTRUM_EVIDENCE"]))


def write(host, kind, title):
    """Writes a post; returns it with the texts that are to be published."""
    if kind == "image":
        return host.write(title, media=[host.picture]), [title]
    if kind == "chunked video":
        return host.write(title, media=[host.film]), [title]
    if kind == "thread":
        texts = [f"{title}, part {part}" for part in range(2, PARTS + 1)]
        return host.write(title, segments=[{"text": text} for text in texts]), [title, *texts]
    return host.write(title), [title]


def hold(sandbox, moment, number):
    """Lets the platform hold one post of the cell; returns the fault."""
    match = {"platform": "x", "method": "POST", "path": "/2/tweets"}
    when = "beforeCommit" if moment == "request written" else "afterCommit"
    orders = [{"match": match, "action": {"kind": "delay", "ms": HOLD, "when": when}, "skip": number - 1}]
    if moment == "platform committed, no reply":
        orders.append({"match": match, "action": "resetAfterCommit", "skip": number - 1})
    sandbox.http.call("DELETE", "/_sandbox/faults")
    return sandbox.faults(*orders)["faults"][0]["id"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("moment,victim", ROWS if LONG else [SHORT], ids=lambda value: value)
def test_nothing_is_out_twice_and_nothing_is_stuck(system, moment, victim, kind):
    point = MOMENTS[moment]
    if point:
        needs_crash_points()
    sandbox, host = system
    commits = DELIVERIES * (PARTS if kind == "thread" else 1)
    number = random.Random(f"{SEED} {moment} {victim} {kind}").randrange(1, commits + 1)
    restart_with(host, point and f"{point}:{number}:{'kill' if victim == 'host' else 'stop'}")
    posts = [write(host, kind, f"{kind} {n}: {victim} killed, {moment}") for n in range(DELIVERIES)]
    fault = None if point else hold(sandbox, moment, number)
    due = time.time() + LEAD

    def dispatch(post, connection):
        return host.dispatch_surely(post, [connection], at=due)["deliveries"][0]["id"]

    # Beside the wait: on a slow machine the host may be stopped before it has accepted the last one.
    with ThreadPoolExecutor(1) as clerk:
        accepted = [clerk.submit(dispatch, post, to) for (post, _), to in zip(posts, host.connections)]
        if point:
            died = wait_for_strike(host, victim, "plugin-x")
        else:
            wait_for_hold(sandbox, fault)
            died = strike_now(host, victim, "plugin-x")
        deliveries = [delivery.result() for delivery in accepted]
    # The long form holds the host to its promise; the short one runs on machines of any pace.
    host.wait_for_ends(60 + SETTLE - (time.monotonic() - died) if LONG else 600)
    took = time.monotonic() - died

    rows = [host.delivery(delivery) for delivery in deliveries]
    others = [row for row in rows if row["state"] != "sent"]
    assert not others, [host.explain(row["id"]) for row in others]
    ledger = sandbox.ledger()["entries"]
    for n, (row, (_, texts)) in enumerate(zip(rows, posts)):
        chain = [entry for entry in ledger if entry["account"] == f"account{n}" and entry["text"] in texts]
        assert [entry["text"] for entry in chain] == texts, host.explain(row["id"])
        assert [entry.get("replyTo") for entry in chain] == [None] + [entry["id"] for entry in chain[:-1]]
        assert row["url"] == chain[0]["url"]
        if kind == "thread":
            assert [segment["remoteId"] for segment in row["segments"]] == [entry["id"] for entry in chain]
    results[moment, victim, kind] = (len(rows), took)


def write_evidence(folder):
    """The table of a whole run; a run with failures or without debug build leaves none."""
    if not has_crash_points() or len(results) < len(ROWS) * len(KINDS):
        return
    lines = [
        "# Kill matrix",
        "",
        f"Made by `make evidence` with `ROSTRUM_SEED={SEED}`. A cell is one SIGKILL with {DELIVERIES} deliveries in",
        "flight: how many of them ended `sent`, how many posts the platform has twice, how many deliveries were stuck, and",
        f"the seconds from the kill to the last end (allowed: 60 and {SETTLE} to settle). A failed cell leaves no table.",
        "",
        "| moment | killed | " + " | ".join(KINDS) + " |",
        "|---|---|" + "---|" * len(KINDS),
    ]
    for moment, victim in ROWS:
        cells = [results[moment, victim, kind] for kind in KINDS]
        texts = [f"{sent} sent, 0 twice, 0 stuck, {took:.0f} s" for sent, took in cells]
        lines.append(f"| {moment} | {victim} | " + " | ".join(texts) + " |")
    lines += [
        "",
        "“Before send”, “reply read, not stored” and “stored, not notified” are crash points of a debug build; at the",
        "other two moments the sandbox holds the request, before or after it published, and the kill comes meanwhile.",
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kill-matrix.md").write_text("\n".join(lines) + "\n")
