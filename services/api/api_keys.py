"""API keys: named keys, of which only hashes are stored.

A key has 256 random bits and is never chosen by a person. A slow, salted hash protects guessable passwords; for a key
it would only cost each request milliseconds, so plain SHA-256 is used. All hashes are compared at each request, each in
constant time, so response times reveal nothing about the hashes.

Several keys are valid at once, also with the same name: add the new key, move the callers, remove the old key.
``python -m services.api.api_keys NAME`` creates a key and prints it once.
"""

import argparse
import hashlib
import hmac
import re
import secrets
import stat
import sys
import time
from pathlib import Path

from holdfast.core.errors import HoldfastError
from services.observability.logs import LOG

VARIABLE, FILE_VARIABLE = "HOLDFAST_API_KEYS", "HOLDFAST_API_KEYS_FILE"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_ENTRY = re.compile(rf"({_NAME.pattern})\s*:\s*([0-9a-fA-F]{{64}})", re.ASCII)
_PREFIX = "holdfast_"  # scanners for leaked secrets recognize a key by it
_MAX_LENGTH = 256
_RELOAD_SECONDS = 1.0
_HOW_TO_CREATE = "Create a key and its line with `python -m services.api.api_keys NAME`."

_Key = tuple[bytes, str]  # SHA-256, name


class ApiKeysError(HoldfastError):
    """The keys cannot be read; the message never repeats the content, which may be a key."""


class _NoKeysError(ApiKeysError):
    """The source certainly holds no key."""


class KeyRing:
    """Valid API keys; a file is read again when it changes.

    A file that then holds no key, or was deleted, revokes all its keys. A file that then cannot be read or parsed
    leaves the valid keys unchanged, and is read again later.

    Args:
        keys: Keys ``name:sha256-hex``, separated by lines or commas, with ``#`` comments; None: none.
        file: File with further keys in the same format; None: none.

    Raises:
        ApiKeysError: A source cannot be read, has another format or holds no key: a service that is configured with
            keys never starts without.
    """

    def __init__(self, keys: str | None, file: Path | None) -> None:
        self._fixed = self._keys = _parse(keys, VARIABLE) if keys is not None else ()
        self._file = file
        self._warned = False
        self._problem = ""
        self._state: object = None
        self._next_reload = time.monotonic() + _RELOAD_SECONDS
        if file is not None:
            self._state = _file_state(file)
            self._keys = self._read_file(file)

    @property
    def configured(self) -> bool:
        """Return True if keys were configured at the start, even if all are revoked now."""
        return bool(self._fixed) or self._file is not None

    def find_name(self, header_value: str | None) -> str | None:
        """Return the name of the key in a header.

        Args:
            header_value: Value of ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``; None without such a header.

        Returns:
            Name of the key; None if it is not valid.
        """
        if self._file is not None and time.monotonic() >= self._next_reload:
            self._reload_if_changed(self._file)
        if not header_value or len(header_value) > _MAX_LENGTH:
            return None
        scheme, _, rest = header_value.strip().partition(" ")
        key = rest.strip() if scheme.lower() == "bearer" else header_value.strip()
        digest = hashlib.sha256(key.encode(errors="replace")).digest()
        found = None
        for stored, name in self._keys:
            if hmac.compare_digest(stored, digest):
                found = name
        return found

    def __repr__(self) -> str:
        return f"KeyRing({len(self._keys)} keys)"

    def _reload_if_changed(self, file: Path) -> None:
        self._next_reload = time.monotonic() + _RELOAD_SECONDS
        state = _file_state(file)
        if state == self._state:
            self._problem = ""
            return
        try:
            self._keys = self._read_file(file)
        except _NoKeysError as error:
            self._keys = self._fixed
            LOG.warning("%s All keys of this file are revoked.", error)
        except ApiKeysError as error:
            if self._problem != str(error):
                LOG.error("%s The previous API keys stay valid.", error)
            self._problem = str(error)
            return
        else:
            LOG.info("API keys reloaded from %s: %s", file, ", ".join(sorted({name for _, name in self._keys})))
        self._problem = ""
        self._state = state  # taken before reading: a change in between is found at the next reload

    def _read_file(self, file: Path) -> tuple[_Key, ...]:
        source = f"{file} ({FILE_VARIABLE})"
        try:
            text, mode = file.read_bytes().decode("utf-8-sig", errors="replace"), file.stat().st_mode
        except OSError as error:
            kind = _NoKeysError if isinstance(error, FileNotFoundError) else ApiKeysError
            raise kind(f"{source} cannot be read: {error.strerror}.") from None
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ApiKeysError(f"{source}: other users can change it, and add keys. Run `chmod 600 {file}`.")
        keys = _require_unique(self._fixed + _parse(text, source), source)
        if mode & stat.S_IROTH and not self._warned:
            self._warned = True
            LOG.warning("%s: every user of this machine can read it. Run `chmod 600 %s`.", source, file)
        return keys


def _file_state(file: Path) -> object:
    """Return a value that differs if the file was written, replaced or given other permissions."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _parse(text: str, source: str) -> tuple[_Key, ...]:
    keys = []
    for number, line in enumerate(text.splitlines(), start=1):
        for entry in filter(None, map(str.strip, line.partition("#")[0].split(","))):
            match = _ENTRY.fullmatch(entry)
            if match is None:
                raise ApiKeysError(f"{source}: line {number} is not `name:sha256-hex`. {_HOW_TO_CREATE}")
            name, digest = match[1], bytes.fromhex(match[2])
            if hashlib.sha256(name.encode()).digest() == digest:
                raise ApiKeysError(
                    f"{source}: line {number} has the key itself in place of the name of its user. {_HOW_TO_CREATE}"
                )
            keys.append((digest, name))
    if not keys:
        raise _NoKeysError(f"{source} names no key. {_HOW_TO_CREATE} To serve without keys, unset the variable.")
    return _require_unique(tuple(keys), source)


def _require_unique(keys: tuple[_Key, ...], source: str) -> tuple[_Key, ...]:
    names = dict(keys)
    for digest, name in keys:
        if names[digest] != name:
            raise ApiKeysError(f"{source}: {name} and {names[digest]} have the same key. {_HOW_TO_CREATE}")
    return tuple(names.items())


def create_key(name: str) -> tuple[str, str]:
    """Create a key.

    Args:
        name: Name of the user of the key.

    Returns:
        The key, and its line for the file of keys.

    Raises:
        ApiKeysError: The name is invalid.
    """
    if not _NAME.fullmatch(name):
        raise ApiKeysError(
            f"The name {name!r} is invalid: use 1 to 64 letters, digits, dots, dashes or underscores, and start with a "
            "letter or digit."
        )
    key = _PREFIX + secrets.token_urlsafe(32)
    return key, f"{name}:{hashlib.sha256(key.encode()).hexdigest()}"


def main() -> None:
    """Create a key and print the key and its line."""
    parser = argparse.ArgumentParser(prog="python -m services.api.api_keys", description="Create an API key.")
    parser.add_argument("name", help="name of the user; logged when keys are reloaded")
    try:
        key, line = create_key(parser.parse_args().name)
    except ApiKeysError as error:
        parser.error(str(error))
    sys.stdout.write(f"key:  {key}\nline: {line}\n")
    sys.stderr.write(f"Give the key to its user: it is not printed again. Add the line to {FILE_VARIABLE}'s file.\n")


if __name__ == "__main__":
    main()
