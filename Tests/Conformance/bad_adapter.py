"""The example in Python with one fault: `bad_adapter.py CHECK` breaks what that check of the suite looks at.

Each fault is a change of the example's text; one that does not fit the text any more ends with status 99.
"""
import pathlib, sys

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "SDK" / "Examples" / "python" / "bundle" / "adapter.py"
LOOP = "for line in sys.stdin.buffer:"
START = "lock, waiting, running, state ="
RECONCILE = 'post, job = need(params, "post", dict), need(params, "job", dict)'

FAULTS = {
    "start.initialize": [('"1.0.0", 300', '"9.9.9", 300')],
    "start.version": [('startswith("1.")', 'startswith("")')],
    "start.order": [('if not state["ready"]:', "if False:")],
    "start.twice": [('if state["ready"]:', "if False:")],
    "start.by-hand": [("sys.exit(64)", "sys.exit(0)")],
    "stream.byte-at-a-time": [(LOOP, 'for line in iter(lambda: os.read(0, 65536), b""):')],
    "stream.thousand-frames": [(LOOP, 'for line in iter(lambda: os.read(0, 65536), b""):')],
    "stream.concurrent": [("    call = Call(params)\n", "    call = Call(params)\n    len(running) > 16 and os._exit(3)\n")],
    "stream.unknown-members": [("    if method in (", '    if "later" in params:\n        raise refusal("invalidParams", "later")\n    if method in (')],
    "stream.unknown-notification": [('method is not None and "id" in message', "method is not None")],
    "stream.unknown-method": [('raise refusal("methodNotFound", "there is no such method")', "return send(id=number, result={})")],
    "stream.large-frame": [(LOOP, LOOP + "\n    len(line) > 500000 and os._exit(3)")],
    "stream.bad-params": [("if not isinstance(values, dict) or not isinstance(values.get(key), kind):", "if False:")],
    "stream.hostile-frames": [("except (ValueError, RecursionError, TypeError):", "except ZeroDivisionError:")],
    "stream.clean-output": [('    state["ready"] = True\n', '    state["ready"] = True\n    out.write(b"ready\\n")\n')],
    "liveness.health-under-load": [("    if method in (", "    __import__('time').sleep(2 if running else 0)\n    if method in (")],
    "liveness.cancel": [("        answer = self.answers.get()\n", "        answer = self.answers.get()\n        __import__('time').sleep(3)\n")],
    "liveness.slow-reader": [(START, "os.set_blocking(out.fileno(), False)\n" + START)],
    "liveness.blocked-stderr": [(LOOP, LOOP + "\n    print('x' * 100000, file=sys.stderr, flush=True)")],
    "liveness.end-of-input": [("os._exit(0)", "os._exit(3)")],
    "liveness.host-gone": [("os._exit(0)", "[entry[0].join() for entry in list(running.values())]\nos._exit(0)")],
    "liveness.terminate": [(START, "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + START)],
    "liveness.no-children": [(START, "import subprocess; child = subprocess.Popen(['/bin/sleep', '100'])\n" + START)],
    "liveness.flat": [("def render(call, params):\n", "def render(call, params):\n    os.dup(0)\n")],
    "purity.same": [('return {"text": need', 'return {"extra": os.urandom(4).hex(), "text": need')],
    "purity.alone": [("def validate(call, params):\n", "def validate(call, params):\n    call.http('me')\n")],
    "purity.idempotent": [('.get("text") or "", **validate', '.get("text", "") + "!", **validate')],
    "purity.accepted": [("rules = [(len(text) > TEXT_LIMIT", "rules = [(len(text) > 3")],
    "purity.refused": [("for bad, field, code, why in rules if bad]", "for bad, field, code, why in rules if False]")],
    "publish.once": [('call.http("createNote"', 'call.http("createNotes"')],
    "publish.same": [('json={"text": post.get("text") or ""', 'json={"text": os.urandom(4).hex()')],
    "publish.replay": [('step="note"', 'step="note-" + os.urandom(4).hex()')],
    "publish.crash-before": [('step=f"picture-{number}"', 'step=f"picture-{os.urandom(4).hex()}"')],
    "publish.crash-after": [('step="note"', 'step="note-" + os.urandom(4).hex()')],
    "publish.power-cut-before": [(RECONCILE, 'return {"verdict": "found", "remoteId": "1"}')],
    "publish.power-cut-after": [(RECONCILE, 'return {"verdict": "absent"}')],
    "publish.lost-answer": [('raise Refusal(answer["error"])', 'raise refusal("contentRejected", "it failed")')],
    "publish.not-sent": [(RECONCILE, 'return {"verdict": "found", "remoteId": "1"}')],
    "publish.kinds": [("if status == 429:", "if False:")],
    "publish.odd-answers": [("    except Exception as error:", "    except ZeroDivisionError as error:"), ("isinstance(found, dict)", "True"),
                            ("isinstance(found.get(key), str) and found[key]", "found[key]"), ("    except Refusal as error:\n        send", "    except (Refusal, TypeError) as error:\n        os._exit(3)\n        send")],
    "publish.delete": [("in (204, 404)", "in (204,)")],
    "secrets.environment": [(START, "'EXTRA' in os.environ or os.execve(sys.executable, [sys.executable] + ORIGINAL, {**os.environ, 'EXTRA': '1'})\n" + START)],
    "secrets.credentials": [('call.http("createNote", step="note"', 'call.http("createNote", step="note", headers={"authorization": "Bearer x"}')],
    "secrets.canary": [('f"Microblog refused it ({status})."', 'f"Microblog refused it: {found}"')],
    "secrets.denied": [('raise Refusal(answer["error"])', 'return {"status": 201, "json": {"id": "1"}}')],
    "jail.descriptors": [(START, "import socket; door = socket.socket()\n" + START)],
    "lifecycle.drain": [("    for thread in [thread for", "    return {}\n    for thread in [thread for")],
    "lifecycle.shutdown": [('"health/check", "shutdown")', '"health/check")')],
    "lifecycle.side-by-side": [("def publish(call, params):\n", "def publish(call, params):\n    import fcntl; alone = open(__file__); fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB); __import__('time').sleep(1)\n")],
    "robustness.mutated-frames": [("        except (ValueError, RecursionError, TypeError):", "        except (ValueError, RecursionError, TypeError):\n            os.kill(os.getpid(), 11)")],
}

ORIGINAL, (fault, *rest) = list(sys.argv), sys.argv[1:]
source = EXAMPLE.read_text()
for old, new in FAULTS[fault]:
    if source.count(old) < 1:
        print(f"{fault}: the example has no {old!r} any more", file=sys.stderr)
        sys.exit(99)
    source = source.replace(old, new)
sys.argv = [str(EXAMPLE), *rest]
exec(compile(source, str(EXAMPLE), "exec"), {"__name__": "__main__", "__file__": str(EXAMPLE), "ORIGINAL": ORIGINAL})
