#!/usr/bin/env python3
"""Writes the JSON Schemas of the plugin protocol and the reference docs/protocol-messages.md from what stands here.

A test holds them against the types of PluginProtocol. A folder of a released version never changes: what is new gets a
new minor version, and a folder of its own. With --check nothing is written; ends with 1 when something is stale.
"""
import hashlib, json, pathlib, sys

VERSION = "1.0"
HERE = pathlib.Path(__file__).parent
REFERENCE = HERE.parent.parent / "docs" / "protocol-messages.md"


def text(doc, **more):
    return {"type": "string", "description": doc, **more}


def integer(doc, low=None, high=None):
    bounds = {name: value for name, value in (("minimum", low), ("maximum", high)) if value is not None}
    return {"type": "integer", "description": doc, **bounds}


def boolean(doc):
    return {"type": "boolean", "description": doc}


def texts(doc):
    return {"type": "array", "items": {"type": "string"}, "description": doc}


def mapping(doc):
    return {"type": "object", "additionalProperties": {"type": "string"}, "description": doc}


def anything(doc):
    return {"description": doc}


def ref(name, doc):
    return {"$ref": f"#/$defs/{name}", "description": doc}


def list_of(name, doc):
    return {"type": "array", "items": {"$ref": f"#/$defs/{name}"}, "description": doc}


def record(doc, required, **members):
    """An object; `required` names the members that must be there, separated by blanks."""
    needed = {"required": required.split()} if required else {}
    return {"type": "object", "description": doc, "properties": {key.rstrip("_"): value for key, value in members.items()}, **needed}


def one_of(doc, *choices):
    return {"description": doc, "oneOf": list(choices)}


RANGE = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 2, "maxItems": 2,
         "description": "First and last byte, both included; without it the whole file."}

DEFS = {
    "Empty": record("Nothing.", ""),
    "Meta": record("Names a call and its limits.", "call",
                   call=text("Opaque name; repeated in every request that the plugin makes for this call."),
                   deadlineMs=integer("Time to answer, from now, in milliseconds; 60000 if absent."),
                   attempt=integer("Number of the attempt, from 1.")),
    "PluginIdentity": record("Id and version of a plugin.", "id version", id=text("As in the manifest."), version=text("As in the manifest."),
                             sdk=text("The kit, such as `swift/1.0.0`; only in the plugin's answer.")),
    "Account": record("One account on the platform.", "", id=text("The platform's id; empty before the first account/identify."),
                      name=text("Display name."), handle=text("The name people write."), url=text("Public page."),
                      origin=text("Origin or address that a person confirmed, for platforms with many servers."),
                      capabilities=ref("Capabilities", "The last answer to account/capabilities.")),
    "Job": record("What is the same at every run of a delivery.", "key now seed", key=text("UUID of the delivery."),
                  now=text("The time to go by, RFC 3339 in UTC.", format="date-time"), seed=text("Seed of random numbers.")),
    "MediaItem": record("A file the host holds.", "handle type bytes", handle=text("Names the file in requests; valid for this call."),
                        type=text("Media type."), bytes=integer("Size.", 0), width=integer("Pixels."), height=integer("Pixels."),
                        sha256=text("Hexadecimal."), alt=text("Alternative text."), filename=text("File name without a folder.")),
    "Segment": record("One further post of a thread.", "", text=text("The text."), media=list_of("MediaItem", "Files in order.")),
    "PublishedSegment": record("One post of a thread that is out.", "remoteId", remoteId=text("The platform's id.", minLength=1), url=text("Public address.")),
    "RenderedSegment": record("One further post of a thread as it would appear.", "text", text=text("Rendering it again gives the same text."), length=ref("TextLength", "Its length.")),
    "Post": record("What is to be published.", "", text=text("The text; in post/publish as rendered."), title=text("Title."),
                   excerpt=text("Short form."), content=text("The whole content; only if the manifest's `input` asks for it."),
                   url=text("The page the post points to."), tags=texts("Topics without #."), mentions=texts("Handles without @."),
                   media=list_of("MediaItem", "Files in order."),
                   segments=list_of("Segment", "The posts that follow this one in a thread, in order."), options={"type": "object", "description": "Settings only this platform knows."}),
    "TextLength": record("Length as the platform counts it.", "count limit unit", count=integer("Length."), limit=integer("The most that is allowed."),
                         unit=text("How it is counted.")),
    "Finding": record("Something about a field of a post.", "field severity code message", field=text("Member of the post, such as `text` or `media[1]`."),
                      severity=text("`error` stops the post, `warning` does not.", enum=["error", "warning"]), code=text("A word for programs."),
                      message=text("A sentence for the author."), actual=text("What came."), allowed=text("What is allowed.")),
    "Capabilities": record("What an account may publish.", "text",
                           text=record("Limits of the text.", "limit unit", limit=integer("The most the platform takes."),
                                       target=integer("The length to aim at; the limit if absent."), unit=text("`characters`, `graphemes`, `weighted`, `bytes`.")),
                           media=record("Limits of the files.", "", images=integer("Most images."), imageBytes=integer("Most bytes of an image."),
                                        imageTypes=texts("Accepted media types."), altLimit=integer("Most characters of an alternative text."),
                                        videos=integer("Most videos."), videoBytes=integer("Most bytes of a video."), videoTypes=texts("Accepted media types.")),
                           segments=integer("Most posts of a thread, the first one included; 1 if absent: threads are refused before they come here."),
                           features=texts("Such as `delete`, `reconcile`, `threads`.")),
    "AccountIdentity": record("Whose token the host holds.", "id name", id=text("The platform's id; the same for ever."), name=text("Display name."),
                              handle=text("The name people write."), url=text("Public page."), followers=integer("Followers."), type=text("Such as `person` or `page`.")),
    "Validation": record("What is wrong with a post.", "", findings=list_of("Finding", "In the order of the fields."), length=ref("TextLength", "Of the text as rendered.")),
    "Rendering": record("A post's text as it would appear.", "text", text=text("Rendering it again gives the same text."), length=ref("TextLength", "Its length."),
                        segments=list_of("RenderedSegment", "The further posts of a thread."), findings=list_of("Finding", "What was changed or is wrong.")),
    "Evidence": record("What the host's journal knows of a step.", "step rule class state", step=text("Name of the step."), rule=text("Name of the rule."),
                       class_=text("`prepare` or `commit`."), try_=integer("Number of the try, from 1."), state=text("`started` or `done`.", enum=["started", "done"]),
                       outcome=text("`accepted`, `rejected`, `unknown` or `notSent`."), status=integer("HTTP status."), sentAt=text("RFC 3339.", format="date-time"),
                       lastByteAt=text("RFC 3339.", format="date-time"), remoteId=text("The platform's id, if the rule says where it stands.")),
    "Error": record("Why something did not work.", "code message", code=integer("JSON-RPC code."), message=text("A sentence for people; never a secret."),
                    data=record("What the host needs to decide.", "", kind=text("Name of the error; see the table of errors."),
                                retry=text("What may be done; follows from the kind if absent."), retryAfterMs=integer("When trying again makes sense, from now.", 0),
                                field=text("The field of the input that is wrong."), userMessage=text("For the author of the post, where it differs."),
                                upstream=record("What the platform said.", "", status=integer("HTTP status."), code=text("Its own code."), requestId=text("Its own number.")),
                                steps=texts("Steps to forget (`prepareExpired`)."))),
    "HTTPAnswer": record("A complete HTTP answer.", "status", status=integer("HTTP status."), headers=mapping("Those that the rule exposes, in lower case."),
                         captured=mapping("Handles of what the host took out and keeps, by the names of the manifest."),
                         json=anything("The body, if it is JSON."), text=text("The body, if it is not."), truncated=boolean("The body was longer than the rule allows and was cut."),
                         remoteId=text("What a commit made, where no answer of the platform says so: a search found it, or a person confirmed it. The status is 200 and there is no body."),
                         replayed=boolean("The journal answered; nothing was sent this time.")),
    "Part": one_of("One part of a form.",
                   record("A text.", "name text", name=text("Name of the field."), text=text("The value."), filename=text("File name to send."), type=text("Media type to send.")),
                   record("A file.", "name media", name=text("Name of the field."), media=text("Handle."), range=RANGE, filename=text("File name to send."), type=text("Media type to send."))),
}

HTTP = dict(call=text("Name of the call that this is for (`_meta.call`)."), rule=text("Name of an egress rule."),
            step=text("Name of the request within the job; required for prepare and commit."), path=mapping("Values for the holes of the rule's path, not encoded."),
            query=mapping("Keys that the rule grants."), headers=mapping("Headers that the rule grants, in lower case."), json=anything("Body: JSON."),
            form=mapping("Body: an urlencoded form."), text=text("Body: text."), multipart=list_of("Part", "Body: a multipart form."),
            media=record("Body: a file, streamed by the host.", "handle", handle=text("Handle."), range=RANGE), timeoutMs=integer("A shorter limit than the rule's.", 1),
            captures=mapping("Handles of what earlier answers held, by the names that the rule uses."))
META = ref("Meta", "Names the call.")
ACCOUNT, JOB, POST = ref("Account", "The account."), ref("Job", "The delivery."), ref("Post", "The post.")

# name -> (direction, what it asks, params, result); no result: a notification
MESSAGES = {
    "initialize": ("host", "Opens the conversation; nothing else may come before it.",
                   record("", "protocol plugin",
                          protocol=record("Versions the host speaks.", "min max", min=text("Such as `1.0`."), max=text("Such as `1.0`.")),
                          host=record("The host.", "", name=text("Its name."), version=text("Its version.")),
                          plugin=ref("PluginIdentity", "What the host believes to have started."),
                          limits=record("Bounds of the conversation.", "", frameBytes=integer("Most bytes of a frame; 1048576 if absent."),
                                        inFlight=integer("Most calls at once; 256 if absent."))),
                   record("", "protocol plugin", protocol=text("The version to speak: the highest both know."), plugin=ref("PluginIdentity", "What this is."),
                          methods=texts("Methods it answers: those of the manifest."))),
    "initialized": ("host", "The host accepted the answer.", DEFS["Empty"], None),
    "health/check": ("host", "Asks for a sign of life; to be answered within a second, without any work.", DEFS["Empty"], DEFS["Empty"]),
    "drain": ("host", "Asks to finish what is under way and to take nothing new; answered when all is done.", DEFS["Empty"], DEFS["Empty"]),
    "shutdown": ("host", "The end of stdin comes next; the plugin then exits with 0.", DEFS["Empty"], DEFS["Empty"]),
    "account/identify": ("host", "Asks whose token the host holds.", record("", "_meta account", _meta=META, account=ACCOUNT), DEFS["AccountIdentity"]),
    "account/capabilities": ("host", "Asks what the account may publish.", record("", "_meta account", _meta=META, account=ACCOUNT), DEFS["Capabilities"]),
    "post/validate": ("host", "Asks what the platform would refuse. Pure: no requests to the host.", record("", "_meta account post", _meta=META, account=ACCOUNT, post=POST), DEFS["Validation"]),
    "post/render": ("host", "Asks for the text as it would appear. Pure: no requests to the host.", record("", "_meta account post", _meta=META, account=ACCOUNT, post=POST), DEFS["Rendering"]),
    "post/publish": ("host", "Asks to publish a rendered post. May come again after a crash, with the same input.",
                     record("", "_meta account job post", _meta=META, account=ACCOUNT, job=JOB, post=POST),
                     one_of("", record("It is out.", "remoteId", remoteId=text("The platform's id.", minLength=1), url=text("Public address."),
                                                                     segments=list_of("PublishedSegment", "All posts of a thread, the first one included."), warnings=texts("What did not go quite as asked.")),
                            record("Call again later.", "wait", wait=record("A wait that outlives the call.", "afterMs", afterMs=integer("Milliseconds.", 0), why=text("For people."))),
                            record("Some segments are out.", "partial", partial=record("How far it came.", "remoteId sent total error", remoteId=text("Id of the first segment."),
                                                                                     url=text("Address of the first segment."), sent=integer("Segments that are out."),
                                                                                     total=integer("Segments in all."), segments=list_of("PublishedSegment", "Those that are out, the first one included."), error=ref("Error", "Why the rest is not."))))),
    "post/reconcile": ("host", "Asks for a post whose publishing ended without a known outcome.",
                       record("", "_meta account job post", _meta=META, account=ACCOUNT, job=JOB, post=POST, evidence=list_of("Evidence", "What the journal knows, in order.")),
                       one_of("", record("It is there.", "verdict remoteId", verdict={"const": "found"}, remoteId=text("The platform's id."), url=text("Public address.")),
                              record("A complete search did not find it.", "verdict", verdict={"const": "absent"}),
                              record("Nobody can tell.", "verdict", verdict={"const": "unknown"}, why=text("For people.")))),
    "post/delete": ("host", "Asks to remove a post; one that is gone counts as removed.",
                    record("", "_meta account job remoteId", _meta=META, account=ACCOUNT, job=JOB, remoteId=text("The platform's id.")),
                    record("", "deleted", deleted=boolean("Whether it is gone."))),
    "host/http": ("plugin", "Asks the host for one HTTP request by a rule of the manifest. At most one kind of body.", record("", "call rule", **HTTP), DEFS["HTTPAnswer"]),
    "host/http.open": ("plugin", "The same for an answer that comes as server-sent events.", record("", "call rule parse", **HTTP, parse={"const": "sse"}),
                       record("", "status", stream=text("Names the stream in `$/stream`; absent if the platform did not answer with events."), **DEFS["HTTPAnswer"]["properties"])),
    "host/http.credit": ("plugin", "Makes room for more events of a stream; it begins with 64 events and 256 KiB.",
                         record("", "call stream", call=text("The call that opened it."), stream=text("The stream."), events=integer("Events to add."), bytes=integer("Bytes to add.")), DEFS["Empty"]),
    "host/http.close": ("plugin", "Ends a stream; its last `$/stream` still comes.", record("", "call stream", call=text("The call that opened it."), stream=text("The stream.")), DEFS["Empty"]),
    "host/media.stat": ("plugin", "Asks for the facts of a file.", record("", "call handle", call=text("The call."), handle=text("Handle.")), DEFS["MediaItem"]),
    "host/media.read": ("plugin", "Reads bytes of a file, for probing; uploads name the file instead.",
                        record("", "call handle offset length", call=text("The call."), handle=text("Handle."), offset=integer("First byte.", 0), length=integer("Most bytes.", 1, 196608)),
                        record("", "base64", base64=text("The bytes."))),
    "host/progress": ("plugin", "Says how far a call has come.", record("", "call", call=text("The call."), fraction={"type": "number", "description": "0 to 1."}, note=text("For people.")), None),
    "host/log": ("plugin", "A line for the host's log.", record("", "level message", level=text("`debug`, `info`, `notice`, `warning`, `error`, `fault`."),
                                                             message=text("A sentence without what varies."), fields=mapping("What varies; no secrets.")), None),
    "$/stream": ("host", "Events of a stream, or its end.",
                 record("", "stream seq", stream=text("The stream."), seq=integer("Counts the messages, from 1 without gaps."),
                        events={"type": "array", "description": "Events in order.",
                                "items": record("One event, or a piece of a long one.", "data", event=text("Its type; `message` if absent."), data=text("Its data."),
                                                id=text("Its id."), more=boolean("The data goes on in the next event."))},
                        end=record("How it ended; nothing follows.", "reason", reason=text("`complete`, `closed`, `cancelled`, `timeout`, `connectionLost`, `tooLarge`."),
                                   events=integer("Events of the whole stream."), bytes=integer("Bytes of the whole stream."), usage=anything("The last value at the rule's `usage` pointer."))), None),
    "$/cancel": ("both", "The answer to this request is not wanted any more; it must still come, within two seconds.", record("", "id", id=integer("Number of the request.", 1)), None),
}


def used_defs(schema, found=None):
    """The shared types that a schema names, directly or not, in the order of DEFS."""
    found = set() if found is None else found
    if isinstance(schema, dict):
        name = schema.get("$ref", "").removeprefix("#/$defs/")
        if name and name not in found:
            found.add(name)
            used_defs(DEFS[name], found)
        for value in schema.values():
            used_defs(value, found)
    elif isinstance(schema, list):
        for value in schema:
            used_defs(value, found)
    return found


def schema_of(method):
    direction, about, params, result = MESSAGES[method]
    found = used_defs(params) | (used_defs(result) if result else set())
    properties = {"params": {"description": "What is sent.", **{key: value for key, value in params.items() if value != ""}}}
    if result:
        properties["result"] = {"description": "The good answer.", **{key: value for key, value in result.items() if value != ""}}
    sender = {"host": "the host", "plugin": "the plugin", "both": "either side"}[direction]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": method,
        "description": f"{about} Sent by {sender}; " + ("answered." if result else "not answered."),
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "$defs": {name: DEFS[name] for name in DEFS if name in found},
    }


def file_name(method):
    return method.replace("$/", "").replace("/", ".") + ".json"


def type_of(schema):
    if "$ref" in schema:
        return schema["$ref"].removeprefix("#/$defs/")
    if "const" in schema:
        return json.dumps(schema["const"])
    if schema.get("type") == "array":
        return "list of " + type_of(schema["items"])
    if schema.get("type") == "object" and "additionalProperties" in schema:
        return "map of strings"
    return schema.get("type", "any")


def table(schema, prefix=""):
    rows = []
    for name, member in schema.get("properties", {}).items():
        needed = "yes" if name in schema.get("required", []) else ""
        rows.append(f"| `{prefix}{name}` | {type_of(member)} | {needed} | {member.get('description', '')} |")
        inner = member.get("items", member)
        if "properties" in inner:
            rows += table(inner, f"{prefix}{name}{'[]' if inner is not member else ''}.")
    return rows


def members(schema, empty):
    if "oneOf" in schema:
        parts = []
        for choice in schema["oneOf"]:
            parts += [f"One of: {choice['description']}", "", *members(choice, empty)]
        return parts
    rows = table(schema)
    return ["| member | type | required | |", "|---|---|---|---|", *rows, ""] if rows else [empty, ""]


def reference():
    lines = [
        f"# Messages of protocol {VERSION}", "",
        "Made by `SDK/Schemas/make-schemas.py`; a test compares it with the types of the kit. The rules of the conversation stand in",
        "[the protocol](protocol.md), the same messages as JSON Schema in `SDK/Schemas/" + VERSION + "`. Members that a reader does not know are ignored.", "",
    ]
    for title, wanted in (("From the host", "host"), ("From the plugin", "plugin"), ("From either side", "both")):
        lines += [f"## {title}", ""]
        for method, (direction, about, params, result) in MESSAGES.items():
            if direction != wanted:
                continue
            lines += [f"### `{method}`", "", about, "", *members(params, "No params.")]
            if result:
                lines += ["Result:", "", *members(result, "Empty.")]
            else:
                lines += ["Not answered.", ""]
    lines += ["## Shared types", ""]
    for name, schema in DEFS.items():
        if name != "Empty":
            lines += [f"### {name}", "", schema["description"], "", *members(schema, "Nothing.")]
    return "\n".join(lines).rstrip() + "\n"


def main():
    files = {HERE / VERSION / file_name(method): json.dumps(schema_of(method), indent=2, ensure_ascii=False) + "\n" for method in MESSAGES}
    sums = [f"{hashlib.sha256(content.encode()).hexdigest()}  {path.name}" for path, content in sorted(files.items())]
    files[HERE / VERSION / "SHA256SUMS"] = "\n".join(sums) + "\n"
    files[REFERENCE] = reference()
    stale = [path for path, content in files.items() if not path.exists() or path.read_text() != content]
    stale += [path for path in (HERE / VERSION).glob("*") if path not in files]
    if "--check" in sys.argv:
        for path in stale:
            print(f"stale: {path.name}; run SDK/Schemas/make-schemas.py", file=sys.stderr)
        return 1 if stale else 0
    (HERE / VERSION).mkdir(exist_ok=True)
    for path, content in files.items():
        path.write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
