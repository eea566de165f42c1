"""The network matrix: each way in which the answer to a publishing request goes wrong, for each kind of post.

A cell is one delivery to an account of its own; all cells run at once. In a thread the second post is hit. The platform
can be searched, so whatever happens every delivery ends `sent` by itself, with the addresses of what is out, once.
`make evidence` writes the table.
"""

import os
from pathlib import Path

import pytest
from media import mp4, png, upload
from rostrum import Host, Sandbox

KINDS = ["text", "image", "chunked video", "thread"]
# The X rule gives up after 30 s; a silence outlasts that.
SILENCE = 33_000
FAULTS = {
    "reset before the commit": "resetBeforeCommit",
    "reset after the commit": "resetAfterCommit",
    "commit two seconds after a reset": {"kind": "commitAfterReset", "afterMs": 2000},
    "commit, then silence": {"kind": "delay", "ms": SILENCE, "when": "afterCommit"},
    "silence, then commit": {"kind": "delay", "ms": SILENCE, "when": "beforeCommit"},
    "429": {"kind": "status", "code": 429, "retryAfter": {"seconds": 2, "form": "seconds"}},
    "500 before the commit": {"kind": "status", "code": 500, "when": "beforeCommit"},
    "500 after the commit": {"kind": "status", "code": 500, "when": "afterCommit"},
    "502 before the commit": {"kind": "status", "code": 502, "when": "beforeCommit", "body": "<h1>Bad Gateway</h1>"},
    "502 after the commit": {"kind": "status", "code": 502, "when": "afterCommit", "body": "<h1>Bad Gateway</h1>"},
    "503 before the commit": {"kind": "status", "code": 503, "when": "beforeCommit"},
    "truncated body": "truncateBody",
}
results = {}


class Cell:
    def __init__(self, host, sandbox, fault, kind, number):
        self.account = f"account{number}"
        title = f"{kind}: {fault}"
        self.texts = [title]
        more = {}
        if kind == "image":
            more["media"] = [host.picture]
        elif kind == "chunked video":
            more["media"] = [host.film]
        elif kind == "thread":
            self.texts += [f"{title}, part {part}" for part in (2, 3)]
            more["segments"] = [{"text": text} for text in self.texts[1:]]
        match = {"platform": "x", "account": self.account, "method": "POST", "path": "/2/tweets"}
        order = {"match": match, "action": FAULTS[fault], "skip": 1 if kind == "thread" else 0}
        self.fault = sandbox.faults(order)["faults"][0]["id"]
        post = host.write(title, **more)
        self.delivery = host.dispatch(post, [host.connections[number]])["deliveries"][0]["id"]


@pytest.fixture(scope="module")
def matrix():
    sandbox = Sandbox("--unlimited")
    host = Host(sandbox, ROSTRUM_RATE_LIMITS="x=off", ROSTRUM_BREAKER_SECONDS=1, ROSTRUM_API_RATE=100_000)
    try:
        host.bootstrap().start()
        names = [f"account{number}" for number in range(len(FAULTS) * len(KINDS))]
        sandbox.accounts(names)
        host.connections = [host.connect_x(name) for name in names]
        host.picture = upload(host, png(1))
        host.film = upload(host, mp4(20, size=5 << 20))
        pairs = [(fault, kind) for fault in FAULTS for kind in KINDS]
        cells = {pair: Cell(host, sandbox, *pair, number) for number, pair in enumerate(pairs)}
        host.wait_for_ends(600)
        yield sandbox, host, cells
    finally:
        host.close()
        sandbox.close()
    if "ROSTRUM_EVIDENCE" in os.environ and len(results) == len(FAULTS) * len(KINDS):
        write_evidence(Path(os.environ["ROSTRUM_EVIDENCE"]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_each_post_is_out_once_and_known(matrix, fault, kind):
    sandbox, host, cells = matrix
    cell = cells[fault, kind]
    row = host.delivery(cell.delivery)
    chain = [entry for entry in sandbox.ledger("x")["entries"] if entry["account"] == cell.account]
    story = host.explain(cell.delivery)
    assert [entry["text"] for entry in chain] == cell.texts, story
    assert row["state"] == "sent", story
    assert row["url"] == chain[0]["url"]
    assert [entry.get("replyTo") for entry in chain] == [None] + [entry["id"] for entry in chain[:-1]]
    faults = {entry["id"]: entry["hits"] for entry in sandbox.http.get("/_sandbox/faults")["faults"]}
    assert faults[cell.fault] == 1, "the fault was not met"
    results[fault, kind] = row["latencyMs"] / 1000


def write_evidence(folder):
    lines = [
        "# Network matrix",
        "",
        "Made by `make evidence`. A cell is one delivery whose publishing request (in a thread the second one) met the",
        "fault: how it ended, how many copies the platform has of each post, and the seconds from the due time to the end.",
        "The platform can be searched, the rule's time limit is 30 s, and all cells run at once. A failed cell leaves no",
        "table.",
        "",
        "| fault | " + " | ".join(KINDS) + " |",
        "|---|" + "---|" * len(KINDS),
    ]
    for fault in FAULTS:
        cells = [f"sent, 1 copy, {results[fault, kind]:.0f} s" for kind in KINDS]
        lines.append(f"| {fault} | " + " | ".join(cells) + " |")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "network-matrix.md").write_text("\n".join(lines) + "\n")
