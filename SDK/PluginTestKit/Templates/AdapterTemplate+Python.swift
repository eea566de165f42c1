// swift-format-ignore-file
// Made of SDK/Examples by make-templates.py; change the example, not this file.

extension AdapterTemplate {
  /// What stands for the words in the shared files.
  static let pythonWords = ["@language@": "Python", "@executable@": "adapter.py", "@runtime@": "\n  \"runtime\": { \"interpreter\": \"/usr/bin/python3\", \"readPaths\": [\"/usr/lib\"] },"]

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
    ("test_adapter.py", processTests),
    ("bundle/manifest.json", manifest),
    ("bundle/README.md", readMe),
    ("conformance.json", cases),
  ]
}
