"""The chain of the audit trail, written a second time from its description, with other libraries."""

import hashlib
import hmac
import json
import struct
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import vault

COLUMNS = (
    "seq, id, xid::text::bigint, (extract(epoch FROM created_at) * 1000000)::bigint, site_id, user_id, action, subject, "
    "details::text, address, user_agent, prev_hash, hash, mac, mac_key"
)


def fields(*values):
    """Their number, then each behind its length; numbers are 8 bytes, what is missing has the length FFFFFFFF."""
    out = struct.pack(">I", len(values))
    for value in values:
        if value is None:
            out += b"\xff\xff\xff\xff"
            continue
        if isinstance(value, int):
            value = struct.pack(">q", value)
        elif isinstance(value, str):
            value = value.encode()
        out += struct.pack(">I", len(value)) + value
    return out


def genesis(chain):
    return hashlib.sha256(fields("rostrum.audit.chain.v1", chain)).digest()


def canonical(seq, previous, *content):
    """Content: id, transaction, microseconds, site, user, action, subject, details, address, user agent."""
    assert len(content) == 10
    return fields("rostrum.audit.row.v1", seq, previous, *content)


def derive(key, info):
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(key)


def code(key, digest):
    return hmac.new(derive(key, b"rostrum.audit.mac.v1"), digest, hashlib.sha256).digest()


def signer(key):
    return Ed25519PrivateKey.from_private_bytes(derive(key, b"rostrum.audit.head.v1"))


def public_key(key):
    return signer(key).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def head_message(head):
    return fields(
        "rostrum.audit.head.v1",
        head["kind"],
        head["chain"],
        head["seq"],
        bytes.fromhex(head["hash"]),
        head["atUs"],
        head["key"],
    )


def check_head(head):
    """Raises unless the signature is right under the key that the head names itself."""
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(head["publicKey"]))
    key.verify(bytes.fromhex(head["signature"]), head_message(head))


def open_key(host_key, row):
    """The key of the trail in a row `id, wrapped_by, wrapped` of vault_keys."""
    number, wrapped_by, wrapped = row
    return vault.open_sealed(host_key, wrapped_by, vault.AUDIT_KEY, vault.place(0, "", number, "audit", 0), wrapped)


def check_rows(rows, chain, keys):
    """Goes along all rows with COLUMNS, by seq; returns the hash of each by its number. Raises at the first wrong one."""
    previous, found = genesis(chain), {}
    for expected, row in enumerate(rows, 1):
        seq, content, (before, digest, mac, key) = row[0], row[1:11], row[11:]
        assert seq == expected, f"row {expected} is missing"
        assert bytes(before) == previous, f"row {seq} does not follow"
        previous = hashlib.sha256(canonical(seq, previous, *content)).digest()
        assert bytes(digest) == previous, f"row {seq} was changed"
        assert bytes(mac) == code(keys[key], previous), f"the code of row {seq} is wrong"
        found[seq] = previous
    return found


def make_vectors():
    chain, key, key_id = "6f0c7d1e-52a4-4be0-9c5e-3f6d8a1b2c3d", bytes(range(32)), 7
    rows = [
        (1, 501, 1_700_000_000_000_001, None, None, "site.create", "site:1", "{}", None, None),
        (2, 501, 1_700_000_000_000_001, 1, 4, "post.update", "post:12", '{"version": 2}', "192.0.2.1", "curl/8"),
        (5, 499, 1_700_000_000_500_000, 1, 4, "post.delete", "post:12", '{"why": "Ärger – \\"x\\""}', "2001:db8::1", ""),
    ]
    names = ("id", "transaction", "at", "site", "user", "action", "subject", "details", "address", "userAgent")
    previous, out = genesis(chain), []
    for seq, row in enumerate(rows, 1):
        data = canonical(seq, previous, *row)
        previous = hashlib.sha256(data).digest()
        out.append(
            {**dict(zip(names, row)), "seq": seq, "canonical": data.hex(), "hash": previous.hex(), "mac": code(key, previous).hex()}
        )
    head = {
        "v": 1, "kind": "head", "chain": chain, "seq": len(rows), "hash": previous.hex(), "atUs": 1_700_000_001_000_002,
        "key": key_id, "publicKey": public_key(key).hex(),
    }
    head["signature"] = signer(key).sign(head_message(head)).hex()
    check_head(head)
    return {
        "chain": chain, "keyId": key_id, "key": key.hex(), "publicKey": public_key(key).hex(),
        "genesis": genesis(chain).hex(), "rows": out, "head": head,
    }


if __name__ == "__main__":
    json.dump(make_vectors(), sys.stdout, indent=2, ensure_ascii=False)
    print()
