"""Signatures of approvals by the SSH keys of persons, made with ``ssh-keygen -Y sign``.

Prefect's password is shared, so the form of an approval does not show which person filled it in. With a file of
approvers an approval counts only with a signature, whose private key is not on this machine.
"""

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from feature_repo.errors import SettingsError
from holdfast.core.secret_files import find_exposure
from holdfast.model_versions.records import ApprovalRecord

_NAMESPACE = "holdfast-approval"
_KEY_TYPE = b"ssh-ed25519"
_MAGIC = b"SSHSIG"
_HASHES = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}
_LONGEST = 4096


@dataclass(frozen=True)
class Approver:
    """Person that may approve.

    Attributes:
        names: Name of the person, then the person's user names on this machine.
        key: Public Ed25519 key, 32 bytes.
    """

    names: tuple[str, ...]
    key: bytes


def read_approvers(file: Path) -> list[Approver]:
    """Read the file of approvers, in the format of OpenSSH's allowed signers.

    Args:
        file: A line for each person: names separated by commas, ``ssh-ed25519``, the public key, a comment.

    Returns:
        The persons.

    Raises:
        SettingsError: The file cannot be read, other users may change it, or a line has another form.
    """
    try:
        with file.open(encoding="utf-8") as stream:
            problem = find_exposure(file.stat())
            lines = stream.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The file of approvers {file} cannot be read: {error}.") from error
    if problem:
        raise SettingsError(f"The file of approvers {file} {problem}: `chmod go-w {file}`, and check its lines.")
    found = [_parse_line(file, number, line) for number, line in enumerate(lines, 1) if line.partition("#")[0].strip()]
    if not found:
        raise SettingsError(f"The file of approvers {file} names no person.")
    return found


def approval_statement(model_name: str, version: str, record: ApprovalRecord) -> str:
    """Build the text that an approver signs.

    Args:
        model_name: Name of the registered model.
        version: Version number.
        record: The request: its evidence and its flow run, so that no later request accepts the signature.

    Returns:
        One line.
    """
    return f"approve {model_name} version {version} gates {record.gates} request {record.flow_run}"


def signing_command(statement: str) -> str:
    """Build the command that signs a statement.

    Args:
        statement: The statement.

    Returns:
        Command for a shell on the approver's own machine.
    """
    return f"printf %s '{statement}' | ssh-keygen -Y sign -n {_NAMESPACE} -f ~/.ssh/id_ed25519"


def find_signer(approvers: list[Approver], statement: str, signature: str) -> Approver | None:
    """Find the person that signed a statement.

    Args:
        approvers: Persons that may approve.
        statement: The statement.
        signature: Output of ``ssh-keygen -Y sign``; line breaks may be missing, as after pasting into a form.

    Returns:
        The person; None if no approver made the signature of this statement.
    """
    parts = _parse_signature(signature)
    if parts is None:
        return None
    key, hash_name, signed = parts
    digest = _HASHES[hash_name](statement.encode()).digest()
    content = _MAGIC + b"".join(map(_pack, (_NAMESPACE.encode(), b"", hash_name, digest)))
    for approver in approvers:
        if approver.key == key:
            try:
                Ed25519PublicKey.from_public_bytes(key).verify(signed, content)
            except (InvalidSignature, ValueError):
                return None
            return approver
    return None


def _parse_line(file: Path, number: int, line: str) -> Approver:
    names, *rest = line.split()
    try:
        kind, key, rest_of_key = _unpack(base64.b64decode(rest[1], validate=True), 2)
        if rest[0].encode() == kind == _KEY_TYPE and len(key) == 32 and not rest_of_key:
            return Approver(tuple(filter(None, names.split(","))), key)
    except (IndexError, ValueError, struct.error):
        pass
    raise SettingsError(
        f"Line {number} of the file of approvers {file} is not `name ssh-ed25519 key`, as in ~/.ssh/id_ed25519.pub "
        "after the name of the person."
    )


def _parse_signature(text: str) -> tuple[bytes, bytes, bytes] | None:
    """Return public key, name of the hash and signature of an SSH signature for approvals; None for other texts."""
    for mark in ("-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"):
        text = text.replace(mark, "")
    try:
        content = base64.b64decode("".join(text[:_LONGEST].split()), validate=True)
        if content[:10] != _MAGIC + struct.pack(">I", 1):
            return None
        public, namespace, _, hash_name, signature, rest = _unpack(content[10:], 5)
        (key_type, key, no_more), (kind, signed, no_rest) = _unpack(public, 2), _unpack(signature, 2)
    except (binascii.Error, ValueError, struct.error):
        return None
    is_known = key_type == kind == _KEY_TYPE and hash_name in _HASHES and namespace == _NAMESPACE.encode()
    return (key, hash_name, signed) if is_known and not (rest or no_more or no_rest) else None


def _unpack(content: bytes, count: int) -> list[bytes]:
    """Return ``count`` strings with a length before each (RFC 4251), and the rest."""
    parts = []
    for _ in range(count):
        (length,) = struct.unpack(">I", content[:4])
        if length > len(content) - 4:
            raise ValueError("the text ends early")
        parts.append(content[4 : 4 + length])
        content = content[4 + length :]
    return [*parts, content]


def _pack(part: bytes) -> bytes:
    return struct.pack(">I", len(part)) + part
