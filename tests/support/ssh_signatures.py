"""Signatures as `ssh-keygen -Y sign` makes them."""

import base64
import hashlib
import struct
import textwrap

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def sign_as_ssh(key: Ed25519PrivateKey, statement: str, namespace: str = "holdfast-approval") -> str:
    """Sign a statement in OpenSSH's format (PROTOCOL.sshsig)."""

    def pack(*parts: bytes) -> bytes:
        return b"".join(struct.pack(">I", len(part)) + part for part in parts)

    digest = hashlib.sha512(statement.encode()).digest()
    signed = key.sign(b"SSHSIG" + pack(namespace.encode(), b"", b"sha512", digest))
    public = pack(b"ssh-ed25519", key.public_key().public_bytes_raw())
    content = b"SSHSIG" + struct.pack(">I", 1)
    content += pack(public, namespace.encode(), b"", b"sha512", pack(b"ssh-ed25519", signed))
    lines = textwrap.wrap(base64.b64encode(content).decode(), 70)
    return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----"])
