"""What stands outside of a host in tests: a receiver of webhooks and a mail server. Both remember all they saw."""

import base64
import hashlib
import hmac
import http.server
import json
import socket
import socketserver
import ssl
import subprocess
import threading


class Receiver:
    """Takes webhooks as a customer's program does: checks the signature over the very bytes, then answers."""

    def __init__(self, port=0):
        self.secrets = []
        self.lock = threading.Lock()
        self.seen = []
        self.forged = 0
        # Takes the request's number, from 1; answers status, headers and body.
        self.answer = lambda number, event: (200, {}, b"")
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.take(self, body)

            def log_message(self, *arguments):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request, address):
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/events?key=of-the-receiver"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, handler, body):
        event = json.loads(body)
        genuine = self.is_genuine(handler.headers, body)
        with self.lock:
            if not genuine:
                self.forged += 1
            self.seen.append(
                {"id": handler.headers["webhook-id"], "event": event, "body": body, "genuine": genuine}
            )
            number = len(self.seen)
        status, headers, answer = self.answer(number, event)
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    def is_genuine(self, headers, body):
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        given = headers["webhook-signature"].split(" ")
        for secret in self.secrets:
            key = base64.b64decode(secret.removeprefix("whsec_"))
            code = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
            if any(hmac.compare_digest(code, one) for one in given):
                return True
        return False

    def events(self, kind=None):
        with self.lock:
            return [s["event"] for s in self.seen if kind is None or s["event"]["type"] == kind]

    def ids(self):
        with self.lock:
            return [s["id"] for s in self.seen]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def certificate(folder):
    """A key and a certificate for 127.0.0.1 that signs itself; the paths of both."""
    key, cert = folder / "mail.key", folder / "mail.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60,
    )
    return key, cert


class MailServer:
    """As much of SMTP as a client of ours needs: EHLO, STARTTLS, AUTH, one message after the other."""

    def __init__(self, user=None, password=None, tls=None, implicit=False):
        self.user, self.password = user, password
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certfile=tls[1], keyfile=tls[0])
        self.implicit = implicit
        self.lock = threading.Lock()
        self.mails = []
        self.attempts = 0
        # Takes the number of the attempt, from 1; answers the reply to the message.
        self.reply = lambda number: "250 taken"
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                try:
                    Conversation(outer, self.request).run()
                except (OSError, ssl.SSLError):
                    pass

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Conversation:
    def __init__(self, server, connection):
        self.server = server
        self.connection = connection
        self.is_encrypted = False
        if server.implicit:
            self.encrypt()
        self.file = self.connection.makefile("rb")
        self.is_known = server.user is None
        self.sender, self.recipients = None, []

    def encrypt(self):
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.is_encrypted = True

    def say(self, *lines):
        self.connection.sendall("".join(line + "\r\n" for line in lines).encode())

    def line(self):
        line = self.file.readline()
        if not line:
            raise OSError("closed")
        # A client that refuses our certificate may send anything.
        return line.rstrip(b"\r\n").decode(errors="replace")

    def run(self):
        self.say("220 mail of the tests")
        while True:
            line = self.line()
            verb = line.split(" ")[0].upper()
            if verb == "EHLO":
                self.greet()
            elif verb == "STARTTLS":
                self.say("220 go on")
                self.encrypt()
                self.file = self.connection.makefile("rb")
            elif verb == "AUTH":
                self.authenticate(line)
            elif verb == "MAIL" and self.is_known and (self.is_encrypted or not self.server.context):
                self.sender, self.recipients = line, []
                self.say("250 ok")
            elif verb == "MAIL":
                self.say("530 not like this")
            elif verb == "RCPT":
                self.recipients.append(line)
                self.say("250 ok")
            elif verb == "DATA":
                self.take()
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def greet(self):
        offers = ["mail of the tests", "SIZE 1000000"]
        if self.server.context and not self.is_encrypted:
            offers.append("STARTTLS")
        if self.server.user and (self.is_encrypted or not self.server.context):
            offers.append("AUTH PLAIN")
        self.say(*[f"250-{o}" for o in offers[:-1]], f"250 {offers[-1]}")

    def authenticate(self, line):
        words = line.split(" ")
        if len(words) < 3:
            self.say("334 ")
            words = ["AUTH", "PLAIN", self.line()]
        _, user, password = base64.b64decode(words[2]).decode().split("\0")
        self.is_known = (user, password) == (self.server.user, self.server.password)
        self.say("235 welcome" if self.is_known else "535 who are you")

    def take(self):
        self.say("354 go on")
        lines = []
        while (line := self.file.readline().rstrip(b"\r\n")) != b".":
            lines.append(line[1:] if line.startswith(b".") else line)
        with self.server.lock:
            self.server.attempts += 1
            reply = self.server.reply(self.server.attempts)
            if reply is None:
                # The mail was taken, and nobody is told.
                reply = ""
            if reply == "" or reply.startswith("2"):
                self.server.mails.append(
                    {"from": self.sender, "to": self.recipients, "text": b"\r\n".join(lines), "tls": self.is_encrypted}
                )
        if reply:
            self.say(reply)
        else:
            self.connection.shutdown(socket.SHUT_RDWR)
            raise OSError("silent")
