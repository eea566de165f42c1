"""A server that reads requests, however large, and answers each at once."""

import socket
import threading

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
