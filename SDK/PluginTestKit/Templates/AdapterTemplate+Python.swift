// swift-format-ignore-file
// Made of SDK/Examples by make-templates.py; change the example, not this file.

extension AdapterTemplate {
  /// The example in SDK/Examples/python.
  static let pythonFiles: [(path: String, text: String)] = [
    (
      "bundle/adapter.py",
##"""
#!/usr/bin/env python3
"""Publishes notes to Microblog. Speaks the plugin protocol (docs/protocol.md) with nothing but the standard library."""
import json, os, queue, sys, threading
ID, VERSION, TEXT_LIMIT, PICTURE_LIMIT, TYPES = "example-python", "1.0.0", 300, 4, ["image/jpeg", "image/png"]
CODES = {"parse": -32700, "invalidRequest": -32600, "methodNotFound": -32601, "invalidParams": -32602, "internal": -32603,
         "versionMismatch": -32002, "draining": -32021, "cancelled": -32800, "authExpired": 1001, "rateLimited": 1010,
         "platformDown": 1012, "contentRejected": 1020, "mediaRejected": 1021, "platformChanged": 1050}
if len(sys.argv) > 1 or sys.stdin.isatty():
    print(f"{ID} {VERSION} is a plugin: a Rostrum host starts it and speaks to it over stdin and stdout.", file=sys.stderr)
    sys.exit(64)
out = os.fdopen(os.dup(1), "wb", 0)
os.dup2(2, 1)  # whatever prints from here on lands on stderr, not between the messages
lock, waiting, running, state = threading.Lock(), {}, {}, {"last": 0, "ready": False, "draining": False}
class Refusal(Exception):
    """An error answer; holds the error object as it travels."""
    def __init__(self, error):
        self.error = error
def refusal(kind, message, **more):
    return Refusal({"code": CODES[kind], "message": message, "data": {"kind": kind, **more}})
def send(**message):
    with lock:
        out.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
def need(values, key, kind):
    if not isinstance(values, dict) or not isinstance(values.get(key), kind):
        raise refusal("invalidParams", f"{key} is missing or has another type", field=key)
    return values[key]
class Call:
    """One call of the host; the answers to its own requests wait in its queue."""
    def __init__(self, params):
        self.name, self.answers = need(params, "_meta", dict).get("call"), queue.Queue()
    def http(self, rule, **request):
        with lock:
            number = state["last"] = state["last"] + 1
            waiting[number] = self.answers
        send(id=number, method="host/http", params={"call": self.name, "rule": rule, **request})
        answer = self.answers.get()
        if "error" in answer:
            raise Refusal(answer["error"])  # the host knows best what it means: it goes back as it came
        return answer["result"]

def body(answer, *good):
    """The JSON object of a good answer; any other answer becomes the error that tells the host what to do."""
    status, found = answer["status"], answer.get("json")
    if status in good and isinstance(found, dict):
        return found
    if status in (401, 403):
        raise refusal("authExpired", "Microblog does not accept the token any more.")
    if status == 429:
        after = answer.get("headers", {}).get("retry-after", "")
        raise refusal("rateLimited", "Microblog asks to slow down.", retryAfterMs=1000 * int(after) if after.isdigit() else 60000)
    if 400 <= status < 500:
        raise refusal("mediaRejected" if status in (413, 415) else "contentRejected", f"Microblog refused it ({status}).")
    raise refusal("platformDown" if status >= 500 else "platformChanged", f"Microblog's answer cannot be used ({status}).")
def text_of(found, key):
    if isinstance(found.get(key), str) and found[key]:
        return found[key]
    raise refusal("platformChanged", f"Microblog's answer lacks {key}.")
def identify(call, params):
    me = body(call.http("me"), 200)
    return {"id": text_of(me, "id"), "name": text_of(me, "name"), "handle": text_of(me, "username")}
def capabilities(call, params):
    media = {"images": PICTURE_LIMIT, "imageBytes": 2097152, "imageTypes": TYPES, "altLimit": 500, "videos": 0}
    return {"text": {"limit": TEXT_LIMIT, "unit": "characters"}, "media": media, "features": ["delete", "reconcile"]}
def validate(call, params):
    text, media = need(params, "post", dict).get("text") or "", params["post"].get("media") or []
    rules = [(len(text) > TEXT_LIMIT, "text", "tooLong", f"Microblog takes {TEXT_LIMIT} characters."),
             (not text.strip() and not media, "text", "empty", "A note needs a text or a picture."),
             (len(media) > PICTURE_LIMIT, "media", "tooMany", f"Microblog takes {PICTURE_LIMIT} pictures."),
             (any(item.get("type") not in TYPES for item in media), "media", "badType", "Microblog takes JPEG and PNG.")]
    findings = [{"field": field, "severity": "error", "code": code, "message": why} for bad, field, code, why in rules if bad]
    return {"findings": findings, "length": {"count": len(text), "limit": TEXT_LIMIT, "unit": "characters"}}
def render(call, params):
    return {"text": need(params, "post", dict).get("text") or "", **validate(call, params)}

def publish(call, params):
    post, pictures = need(params, "post", dict), []
    for number, item in enumerate(post.get("media") or [], 1):  # each step has a name of its own, the same at every run
        answer = call.http("uploadPicture", step=f"picture-{number}", headers={"content-type": item["type"]}, media={"handle": item["handle"]})
        pictures.append({"id": text_of(body(answer, 201), "id"), "alt": item.get("alt") or ""})
    note = body(call.http("createNote", step="note", json={"text": post.get("text") or "", "pictures": pictures}), 201)
    return {"remoteId": text_of(note, "id"), "url": note.get("url"), "warnings": []}
def reconcile(call, params):
    post, job = need(params, "post", dict), need(params, "job", dict)
    found = body(call.http("listNotes", query={"since": job["now"], "limit": "200"}), 200)
    for note in found.get("notes", []):
        if note.get("text") == (post.get("text") or "") and note.get("pictures") == len(post.get("media") or []):
            return {"verdict": "found", "remoteId": text_of(note, "id"), "url": note.get("url")}
    return {"verdict": "absent"} if found.get("more") is False else {"verdict": "unknown", "why": "there are more than 200 notes"}
def delete(call, params):
    answer = call.http("deleteNote", step="delete", path={"id": need(params, "remoteId", str)})
    return {"deleted": True} if answer["status"] in (204, 404) else body(answer)
METHODS = {"account/identify": identify, "account/capabilities": capabilities, "post/validate": validate, "post/render": render,
           "post/publish": publish, "post/reconcile": reconcile, "post/delete": delete}

def initialize(params):
    if state["ready"]:
        raise refusal("invalidRequest", "initialize came twice")
    if not str(need(params, "protocol", dict).get("min")).startswith("1."):
        raise refusal("versionMismatch", "this plugin speaks protocol 1.0")
    state["ready"] = True
    return {"protocol": "1.0", "plugin": {"id": ID, "version": VERSION}, "methods": sorted(METHODS)}
def drain():
    for thread in [thread for thread, _ in list(running.values()) if thread is not threading.current_thread()]:
        thread.join()
    return {}
def answer(number, work):
    try:
        send(id=number, result=work())
    except Refusal as error:
        send(id=number, error=error.error)
    except Exception as error:  # its text may hold anything, so it stays here
        send(id=number, error=refusal("internal", f"the plugin failed with {type(error).__name__}").error)
    running.pop(number, None)
def start(number, work, call=None):
    running[number] = (threading.Thread(target=answer, args=(number, work), daemon=True), call)
    running[number][0].start()
def request(number, method, params):
    if type(number) is not int or not isinstance(params, dict):
        raise refusal("invalidRequest", "id or params has another type")
    if method in ("initialize", "health/check", "shutdown"):
        return send(id=number, result=initialize(params) if method == "initialize" else {})
    if not state["ready"]:
        raise refusal("invalidRequest", "initialize comes first")
    if method == "drain":
        state["draining"] = True
        return start(number, drain)
    if method not in METHODS:
        raise refusal("methodNotFound", "there is no such method")
    if state["draining"]:
        raise refusal("draining", "the plugin takes nothing new")
    call = Call(params)
    start(number, lambda: METHODS[method](call, params), call)
def receive(message):
    method, number, params = message.get("method"), message.get("id"), message.get("params", {})
    if method is None and type(number) is int and number in waiting:
        waiting.pop(number).put(message)
    elif method == "$/cancel" and isinstance(params, dict) and running.get(params.get("id"), (0, None))[1]:
        running[params["id"]][1].answers.put({"error": refusal("cancelled", "the call was canceled").error})
    elif method is not None and "id" in message:
        try:
            request(number, method, params)
        except Refusal as error:
            send(id=number if type(number) is int else None, error=error.error)
for line in sys.stdin.buffer:
    if line.startswith(b"{"):
        try:
            receive(json.loads(line))
        except (ValueError, RecursionError, TypeError):
            send(id=None, error=refusal("parse", "a frame is not a message").error)
os._exit(0)

"""##
    ),
    (
      "test_adapter.py",
##"""
"""Tests of the adapter as a host sees it: a process that speaks in lines. Run with `python3 -m unittest`."""
import json, pathlib, subprocess, sys, unittest

PROGRAM = pathlib.Path(__file__).parent / "bundle" / "adapter.py"


class AdapterTests(unittest.TestCase):
    def setUp(self):
        self.process = subprocess.Popen([sys.executable, PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        manifest = json.loads((PROGRAM.parent / "manifest.json").read_text())
        plugin = {"id": manifest["id"], "version": manifest["version"]}
        self.call(1, "initialize", protocol={"min": "1.0", "max": "1.0"}, plugin=plugin)
        answer = self.read()
        self.assertEqual(answer["result"]["methods"], manifest["methods"])

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
    ),
    (
      "bundle/manifest.json",
##"""
{
  "schema": "rostrum-plugin/1",
  "id": "example-python",
  "name": "Microblog (Python)",
  "kind": "platform",
  "version": "1.0.0",
  "description": "Publishes notes with pictures to Microblog, the simulated platform of the sandbox. An example in Python.",
  "license": "Apache-2.0",
  "protocol": { "min": "1.0", "max": "1.0" },
  "executable": "adapter.py",
  "runtime": { "interpreter": "/usr/bin/python3", "readPaths": ["/usr/lib"] },
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
    ),
    (
      "bundle/README.md",
##"""
# Microblog, in Python

Publishes notes with pictures to Microblog, the simulated platform of `rostrum-sandbox`. Connect an account with its access token.

"""##
    ),
    (
      "conformance.json",
##"""
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
    ),
  ]
}
