"""The gate beside a direct client, and the memory of the host under an upload of 1 GiB.

Run by itself: `ROSTRUM_BIN=.build/release python3 Tests/Benchmarks/Driver/egress.py`. Prints one JSON object a line and
ends with 1 if a goal is missed.
"""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
REQUESTS = 4_000
UPLOAD = 1 << 30
ANSWER = b'{"id":"1","text":"ok"}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)


class Sink:
    """Reads requests, however large, and answers each at once."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.received = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        buffer, chunk = b"", bytearray(1 << 20)
        while True:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                count = client.recv_into(chunk)
                if not count:
                    return
                buffer += chunk[:count]
                continue
            length = 0
            for line in buffer[:end].split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            left = length - (len(buffer) - end - 4)
            while left > 0:
                count = client.recv_into(chunk, min(left, len(chunk)))
                if not count:
                    return
                left -= count
            self.received += length
            buffer = buffer[end + 4 + length :]
            client.sendall(HEAD + ANSWER)


def tool(*words):
    folder = Path(os.environ.get("ROSTRUM_BIN", ROOT / ".build" / "release"))
    done = subprocess.run([str(folder / "rostrum-bench"), *words], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def line(name, value, unit, goal):
    report = {"line": name, "value": round(value, 1), "unit": unit, "goal": goal, "met": value <= goal}
    print(json.dumps(report), flush=True)
    return value <= goal


def main():
    sink = Sink()
    gate = tool("gate", "--url", sink.url, "--requests", str(REQUESTS))
    print(json.dumps(gate), file=sys.stderr)
    met = line("host/http over a direct client, p50", gate["overhead"], "µs", 300)
    upload = tool("upload", "--url", sink.url, "--bytes", str(UPLOAD))
    print(json.dumps(upload), file=sys.stderr)
    assert sink.received > UPLOAD, "the upload did not arrive whole"
    met &= line("growth of the host under an upload of 1 GiB", upload["growth"], "MiB", 32)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
