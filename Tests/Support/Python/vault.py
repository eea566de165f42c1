"""The format of sealed values, written a second time from its description, with another library."""

import hashlib
import hmac
import os
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKENS, CLIENT_SECRET, CODE_VERIFIER, PROVIDER_KEY, DATA_KEY = 1, 2, 3, 4, 5
SPOOL_RECORD, CAPTURED_URL, CAPTURED_SECRET, WEBHOOK_SECRET, AUDIT_KEY = 6, 7, 8, 9, 10


def place(site, platform, connection, field, generation):
    """A count, then each part behind its length; numbers are 8 bytes, all most significant first."""
    parts = [
        b"rostrum.vault.v1",
        struct.pack(">q", site),
        platform.encode(),
        struct.pack(">q", connection),
        field.encode(),
        struct.pack(">q", generation),
    ]
    return struct.pack(">I", len(parts)) + b"".join(struct.pack(">I", len(part)) + part for part in parts)


def seal(key, key_id, kind, where, plaintext, nonce=None):
    header = b"S\x01\x01" + bytes([kind]) + struct.pack(">I", key_id)
    nonce = nonce or os.urandom(12)
    return header + nonce + AESGCM(key).encrypt(nonce, plaintext, header + where)


def open_sealed(key, key_id, kind, where, blob):
    header = b"S\x01\x01" + bytes([kind]) + struct.pack(">I", key_id)
    if len(blob) < 36 or blob[:8] != header:
        raise ValueError("not a blob of this key and kind")
    return AESGCM(key).decrypt(blob[8:20], blob[20:], header + where)


def check_value(key):
    return hmac.new(key, b"rostrum.kcv.v1", hashlib.sha256).digest()[:8]


def data_key(host_key, row):
    """The data key in a row `id, site_id, wrapped_by, wrapped` of vault_keys."""
    number, site, wrapped_by, wrapped = row
    return open_sealed(host_key, wrapped_by, DATA_KEY, place(site, "", number, "dek", 0), wrapped)


def encode_secrets(values):
    """The secrets of a connection: version, count, then names and values behind their lengths, by name."""
    out = b"\x01" + struct.pack(">H", len(values))
    for name, value in sorted((name.encode(), value.encode()) for name, value in values.items()):
        out += struct.pack(">H", len(name)) + name + struct.pack(">I", len(value)) + value
    return out


def decode_secrets(data):
    assert data[0] == 1
    (count,), offset, values = struct.unpack(">H", data[1:3]), 3, {}
    for _ in range(count):
        pair = []
        for form in (">H", ">I"):
            (length,) = struct.unpack_from(form, data, offset)
            offset += struct.calcsize(form)
            pair.append(data[offset : offset + length].decode())
            offset += length
        values[pair[0]] = pair[1]
    assert offset == len(data)
    return values
