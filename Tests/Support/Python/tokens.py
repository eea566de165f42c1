"""A platform that gives tokens, for tests of renewals."""

import base64
import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class TokenServer:
    """The tokens of one account, and a profile. It counts, and is as strict as the strictest platform."""

    def __init__(self, rotation, client="BENCH_ID:BENCH_SECRET"):
        self.rotation = rotation
        self.client = client.encode()
        self.lock = threading.Lock()
        self.refresh = ["refresh-0"]
        self.access = ["access-0"]
        self.requests = self.replays = 0
        self.dead = False
        self.revoked = []
        # Called when a token was given and before the answer leaves.
        self.before_answer = lambda: None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
                given = self.headers["authorization"].split(" ")[1]
                if base64.b64decode(given) != outer.client:
                    self.reply(401, {"error": "invalid_client"})
                elif self.path.endswith("/revoke"):
                    outer.revoked.append(form["token"])
                    self.reply(200, {"revoked": True})
                else:
                    status, answer = outer.answer(form["refresh_token"])
                    outer.before_answer()
                    self.reply(status, answer)

            def do_GET(self):
                known = self.headers["authorization"] == f"Bearer {outer.access[-1]}"
                profile = {"id": "7", "name": "Account", "username": "account"}
                self.reply(200 if known else 401, {"data": profile} if known else {"title": "Unauthorized"})

            def reply(self, status, answer):
                body = json.dumps(answer).encode()
                try:
                    self.send_response(status)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # Who asked was killed.

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.http.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, given):
        with self.lock:
            self.requests += 1
            good = self.refresh[-2:] if self.rotation == "grace" else self.refresh[-1:]
            if self.dead or given not in good:
                if given in self.refresh and self.rotation == "strict":
                    self.replays += 1
                    self.dead = True
                return 400, {"error": "invalid_grant"}
            number = len(self.access)
            self.access.append(f"access-{number}")
            if self.rotation != "none" and given == self.refresh[-1]:
                self.refresh.append(f"refresh-{number}")
            return 200, {
                "token_type": "bearer", "access_token": self.access[-1], "refresh_token": self.refresh[-1], "expires_in": 7200,
            }

    def overrides(self, at):
        return f"https://api.x.com={at}"

    def close(self):
        self.http.shutdown()
        self.http.server_close()
