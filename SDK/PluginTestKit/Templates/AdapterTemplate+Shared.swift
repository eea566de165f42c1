// swift-format-ignore-file
// Made of SDK/Examples by make-templates.py; change the example, not this file.

extension AdapterTemplate {
  /// The text of `bundle/manifest.json`.
  static let manifest = ##"""
{
  "schema": "rostrum-plugin/1",
  "id": "@id@",
  "name": "@name@",
  "kind": "platform",
  "version": "1.0.0",
  "description": "Publishes notes with pictures to Microblog, the simulated platform of the sandbox. An example in @language@.",
  "license": "Apache-2.0",
  "protocol": { "min": "1.0", "max": "1.0" },
  "executable": "@executable@",@runtime@
  "methods": [
    "account/capabilities", "account/identify", "post/delete", "post/publish", "post/reconcile", "post/render",
    "post/validate"
  ],
  "secrets": {
    "token": { "label": "Access token of the account", "source": "entered" }
  },
  "account": { "fields": [] },
  "egress": [
    {
      "rule": "me",
      "class": "read",
      "method": "GET",
      "origin": "https://api.microblog.example",
      "path": "/microblog/v1/me",
      "calls": ["account/*"],
      "slots": { "header.authorization": { "secret": "token", "format": "Bearer {}" } },
      "maxBody": 65536,
      "timeoutMs": 15000
    },
    {
      "rule": "uploadPicture",
      "class": "prepare",
      "repeatable": true,
      "method": "POST",
      "origin": "https://api.microblog.example",
      "path": "/microblog/v1/pictures",
      "calls": ["post/publish"],
      "slots": { "header.authorization": { "secret": "token", "format": "Bearer {}" } },
      "body": "media",
      "exposeHeaders": ["date", "retry-after"],
      "maxBody": 65536,
      "timeoutMs": 60000
    },
    {
      "rule": "createNote",
      "class": "commit",
      "method": "POST",
      "origin": "https://api.microblog.example",
      "path": "/microblog/v1/notes",
      "calls": ["post/publish"],
      "slots": { "header.authorization": { "secret": "token", "format": "Bearer {}" } },
      "body": "json",
      "outcome": [{ "status": [200, 201], "pointer": "/id", "exists": false, "class": "unknown" }],
      "remoteId": "/id",
      "exposeHeaders": ["date", "retry-after"],
      "maxBody": 65536,
      "timeoutMs": 20000
    },
    {
      "rule": "listNotes",
      "class": "read",
      "lookup": true,
      "method": "GET",
      "origin": "https://api.microblog.example",
      "path": "/microblog/v1/notes",
      "query": ["limit", "since"],
      "calls": ["post/reconcile"],
      "slots": { "header.authorization": { "secret": "token", "format": "Bearer {}" } },
      "maxBody": 786432,
      "timeoutMs": 20000
    },
    {
      "rule": "deleteNote",
      "class": "commit",
      "method": "DELETE",
      "origin": "https://api.microblog.example",
      "path": "/microblog/v1/notes/{id}",
      "calls": ["post/delete"],
      "slots": { "header.authorization": { "secret": "token", "format": "Bearer {}" } },
      "outcome": [{ "status": [404], "class": "accepted" }],
      "exposeHeaders": ["date", "retry-after"],
      "maxBody": 65536,
      "timeoutMs": 20000
    }
  ],
  "reconcile": { "absence": "certain", "settleMs": 2000 },
  "limits": { "inFlight": 32, "memoryMiB": 96, "startMs": 5000, "callMs": 120000 }
}

"""##

  /// The text of `bundle/README.md`.
  static let readMe = ##"""
# Microblog, in @language@

Publishes notes with pictures to Microblog, the simulated platform of `rostrum-sandbox`. Connect an account with its
access token.

"""##

  /// The text of `conformance.json`.
  static let cases = ##"""
{
  "schema": "rostrum-conformance/1",
  "account": { "id": "u-1", "name": "Alice", "handle": "alice" },
  "posts": [
    { "name": "text", "post": { "text": "Hello, world" }, "render": "Hello, world" },
    {
      "name": "two pictures",
      "post": {
        "text": "Look",
        "media": [
          { "handle": "m-1", "type": "image/png", "bytes": 0, "alt": "A grey dot" },
          { "handle": "m-2", "type": "image/png", "bytes": 0 }
        ]
      }
    },
    { "name": "300 characters", "post": { "text": "éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé" } }
  ],
  "refused": [
    { "name": "nothing", "field": "text", "code": "empty", "post": { "text": "  " } },
    { "name": "301 characters", "field": "text", "code": "tooLong", "post": { "text": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" } },
    {
      "name": "five pictures",
      "field": "media",
      "code": "tooMany",
      "post": {
        "text": "a",
        "media": [
          { "handle": "m-1", "type": "image/png", "bytes": 0 }, { "handle": "m-2", "type": "image/png", "bytes": 0 },
          { "handle": "m-3", "type": "image/png", "bytes": 0 }, { "handle": "m-4", "type": "image/png", "bytes": 0 },
          { "handle": "m-5", "type": "image/png", "bytes": 0 }
        ]
      }
    },
    {
      "name": "a film",
      "field": "media",
      "code": "badType",
      "post": { "text": "a", "media": [{ "handle": "m-1", "type": "video/mp4", "bytes": 100 }] }
    }
  ],
  "answers": [
    { "rule": "me", "status": 200, "json": { "id": "u-1", "username": "alice", "name": "Alice" } },
    { "rule": "uploadPicture", "status": 201, "json": { "id": "pic-{{n}}" } },
    {
      "rule": "createNote",
      "status": 201,
      "json": { "id": "{{n}}", "url": "https://microblog.example/notes/alice/{{n}}", "createdAt": "{{now}}" }
    },
    { "rule": "listNotes", "when": "absent", "status": 200, "json": { "notes": [], "more": false } },
    {
      "rule": "listNotes",
      "when": "published",
      "status": 200,
      "json": {
        "notes": [{ "id": "1", "text": "{{commit:/text}}", "createdAt": "{{now}}", "pictures": "{{count:/pictures}}" }],
        "more": false
      }
    },
    { "rule": "deleteNote", "status": 204 }
  ],
  "failures": [
    { "rule": "createNote", "status": 401, "json": { "error": { "code": "unauthorized" } }, "kind": "authExpired" },
    {
      "rule": "createNote",
      "status": 429,
      "headers": { "retry-after": "7" },
      "json": { "error": { "code": "slow_down" } },
      "kind": "rateLimited",
      "retryAfterMs": 7000
    },
    { "rule": "createNote", "status": 422, "json": { "error": { "code": "invalid" } }, "kind": "contentRejected" },
    { "rule": "createNote", "status": 503, "text": "<h1>busy</h1>", "kind": "platformDown" },
    { "rule": "createNote", "status": 200, "text": "<h1>hello</h1>", "kind": "platformChanged" }
  ]
}

"""##

  /// The text of `test_adapter.py`.
  static let processTests = ##"""
"""Tests of the adapter as a host sees it: a process that speaks in lines. Run with `python3 -m unittest`."""
import json, pathlib, subprocess, unittest

BUNDLE = pathlib.Path(__file__).parent / "bundle"
MANIFEST = json.loads((BUNDLE / "manifest.json").read_text())
INTERPRETER = [MANIFEST["runtime"]["interpreter"]] if "runtime" in MANIFEST else []


class AdapterTests(unittest.TestCase):
    def setUp(self):
        command = INTERPRETER + [BUNDLE / MANIFEST["executable"]]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        plugin = {"id": MANIFEST["id"], "version": MANIFEST["version"]}
        self.call(1, "initialize", protocol={"min": "1.0", "max": "1.0"}, plugin=plugin)
        answer = self.read()
        self.assertEqual(answer["result"]["methods"], MANIFEST["methods"])

    def tearDown(self):
        self.process.stdin.close()
        self.assertEqual(self.process.wait(), 0)
        self.process.stdout.close()

    def send(self, **message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def call(self, number, method, **params):
        self.send(id=number, method=method, params=params)

    def read(self):
        return json.loads(self.process.stdout.readline())

    def publish(self, **post):
        job = {"key": "k", "now": "2026-01-02T03:04:05Z", "seed": "s"}
        self.call(2, "post/publish", _meta={"call": "c-1"}, account={"id": "1", "name": "a"}, job=job, post=post)

    def test_publishes(self):
        self.publish(text="Hello")
        request = self.read()
        self.assertEqual((request["params"]["rule"], request["params"]["step"]), ("createNote", "note"))
        self.send(id=request["id"], result={"status": 201, "json": {"id": "7", "url": "https://microblog.example/7"}})
        self.assertEqual(self.read()["result"]["remoteId"], "7")

    def test_lets_an_unknown_outcome_pass(self):
        self.publish(text="Hello")
        error = {"code": 1040, "message": "lost", "data": {"kind": "outcomeUnknown", "retry": "reconcile"}}
        self.send(id=self.read()["id"], error=error)
        self.assertEqual(self.read()["error"], error)

    def test_finds_a_text_that_is_too_long(self):
        self.call(2, "post/validate", _meta={"call": "c-1"}, account={"id": "1", "name": "a"}, post={"text": "a" * 301})
        self.assertEqual([finding["code"] for finding in self.read()["result"]["findings"]], ["tooLong"])


if __name__ == "__main__":
    unittest.main()

"""##
}
