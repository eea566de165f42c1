"""Small files of each kind, made so that no two seeds give the same bytes."""

import json
import struct
import zlib


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(seed):
    """One pixel; the seed makes it another file."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    color = bytes([seed & 255, seed >> 8 & 255, seed >> 16 & 255])
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + color)) + chunk(b"IEND", b"")
    )


def gif(seed):
    return (
        b"GIF89a\x01\0\x01\0\x80\0\0" + bytes([seed & 255] * 6)
        + b"!\xf9\x04\0\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"
    )


def mp4(seconds, size=0, seed=0):
    """A film without pictures: what matters is the length in its header. Filled up to `size` bytes."""
    movie = struct.pack(">4I", 0, 0, 0, 1000) + struct.pack(">I", seconds * 1000) + bytes(80)
    header = struct.pack(">I", len(movie) + 8) + b"mvhd" + movie
    film = b"\0\0\0\x14ftypisom\0\0\x02\0isom" + struct.pack(">I", len(header) + 8) + b"moov" + header
    rest = max(0, size - len(film) - 8)
    if rest == 0:
        return film
    pattern = struct.pack(">I", seed) + bytes(range(256))
    return film + struct.pack(">I", rest + 8) + b"free" + (pattern * (rest // len(pattern) + 1))[:rest]


TYPES = {b"\x89PNG": "image/png", b"GIF8": "image/gif"}


def upload(host, data, alt=""):
    """Brings a file to the host; returns it as an attachment of a post."""
    query = f"siteId={host.site}" + (f"&alt={alt}" if alt else "")
    headers = {"Content-Type": TYPES.get(data[:4], "video/mp4")}
    status, _, answer = host.http.raw("POST", f"/api/media?{query}", data, headers)
    assert status == 201, answer
    return {"mediaId": json.loads(answer)["data"]["id"]}
