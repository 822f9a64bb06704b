"""API keys: who may ask, and under which name. Only hashes of keys are kept anywhere.

A key is made here, of 256 bits of randomness, never chosen by a person. Nobody can try that many, so a slow, salted
hash, which protects guessable passwords, would protect nothing more and cost each request milliseconds: plain SHA-256
is right. The comparison takes the same time wherever two hashes differ, and all hashes are compared each time, so
time says nothing about them.

Several keys are valid at once, also under one name: add the new one, move the callers, remove the old one.
``python -m services.api.api_keys NAME`` makes a key; it is shown once.
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
_PREFIX = "holdfast_"  # by which scanners for leaked secrets, and people, know one
_LONGEST = 256
_LOOK_AGAIN_SECONDS = 1.0
_MAKE_ONE = "Make a key and its line with `python -m services.api.api_keys NAME`."

_Key = tuple[bytes, str]  # SHA-256, name


class ApiKeysError(HoldfastError):
    """The keys cannot be read. Says where and what to do, never what was read: it may be a key."""


class _NoKeysError(ApiKeysError):
    """There are none, and that is certain."""


class KeyRing:
    """The valid keys. A file is read again when it changes.

    One that then holds none, or is gone, has no valid key any more: that is how the last one is revoked. What cannot
    be read or understood then leaves the keys as they were, and is tried again.
    """

    def __init__(self, fixed: tuple[_Key, ...], file: Path | None) -> None:
        self._fixed = self._keys = fixed
        self._file = file
        self._warned = False
        self._problem = ""
        self._state: object = None
        self._next_look = time.monotonic() + _LOOK_AGAIN_SECONDS
        if file is not None:
            self._state = _state(file)
            self._keys = self._with_file(file)

    @classmethod
    def from_settings(cls, keys: str | None, file: Path | None) -> "KeyRing":
        """The keys of the environment and those of the file; ``name:sha256-hex`` by line or comma, ``#`` comments.

        Raises:
            ApiKeysError: Either is given, but is not readable, holds anything else, or no key at all. Whoever asks
                for keys never gets a service that is open to everybody.
        """
        return cls(_parse(keys, VARIABLE) if keys is not None else (), file)

    @property
    def configured(self) -> bool:
        """Whether callers need a key: whether any was asked for at the start, and not how many are valid now."""
        return bool(self._fixed) or self._file is not None

    def name_of(self, header_value: str | None) -> str | None:
        """The name of the key in an ``Authorization: Bearer KEY`` or ``X-API-Key: KEY`` header; None if not valid."""
        if self._file is not None and time.monotonic() >= self._next_look:
            self._look_again(self._file)
        if not header_value or len(header_value) > _LONGEST:
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

    def _look_again(self, file: Path) -> None:
        self._next_look = time.monotonic() + _LOOK_AGAIN_SECONDS
        state = _state(file)
        if state == self._state:
            self._problem = ""
            return
        try:
            self._keys = self._with_file(file)
        except _NoKeysError as error:
            self._keys = self._fixed
            LOG.warning("%s None of its keys is valid any more.", error)
        except ApiKeysError as error:
            if self._problem != str(error):
                LOG.error("%s The API keys read before stay valid.", error)
            self._problem = str(error)
            return
        else:
            LOG.info("API keys read again from %s: %s", file, ", ".join(sorted({name for _, name in self._keys})))
        self._problem = ""
        self._state = state  # from before reading: a change in between is seen at the next look

    def _with_file(self, file: Path) -> tuple[_Key, ...]:
        source = f"{file} ({FILE_VARIABLE})"
        try:
            text, mode = file.read_bytes().decode("utf-8-sig", errors="replace"), file.stat().st_mode
        except OSError as error:
            kind = _NoKeysError if isinstance(error, FileNotFoundError) else ApiKeysError
            raise kind(f"{source} cannot be read: {error.strerror}.") from None
        keys = _unambiguous(self._fixed + _parse(text, source), source)
        if mode & (stat.S_IROTH | stat.S_IWOTH) and not self._warned:
            self._warned = True
            what = "change" if mode & stat.S_IWOTH else "read"
            LOG.warning("%s: every user of this machine may %s it. Run `chmod 600 %s`.", source, what, file)
        return keys


def _state(file: Path) -> object:
    """Differs when the file was written, replaced, or given other permissions."""
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
                raise ApiKeysError(f"{source}: line {number} is not `name:sha256-hex`. {_MAKE_ONE}")
            name, digest = match[1], bytes.fromhex(match[2])
            if hashlib.sha256(name.encode()).digest() == digest:
                raise ApiKeysError(
                    f"{source}: line {number} has the key itself where its user's name belongs. {_MAKE_ONE}"
                )
            keys.append((digest, name))
    if not keys:
        raise _NoKeysError(f"{source} names no key. {_MAKE_ONE} To serve without keys, unset the variable.")
    return _unambiguous(tuple(keys), source)


def _unambiguous(keys: tuple[_Key, ...], source: str) -> tuple[_Key, ...]:
    names = dict(keys)
    for digest, name in keys:
        if names[digest] != name:
            raise ApiKeysError(f"{source}: {name} and {names[digest]} have the same key. {_MAKE_ONE}")
    return tuple(names.items())


def make_key(name: str) -> tuple[str, str]:
    """A new key, and the line to store of it.

    Raises:
        ApiKeysError: No such name is allowed.
    """
    if not _NAME.fullmatch(name):
        raise ApiKeysError("A name has 1 to 64 letters, digits, dots, dashes or underscores, and starts with no mark.")
    key = _PREFIX + secrets.token_urlsafe(32)
    return key, f"{name}:{hashlib.sha256(key.encode()).hexdigest()}"


def main() -> None:
    """Print a new key and its line."""
    parser = argparse.ArgumentParser(prog="python -m services.api.api_keys", description="Make an API key.")
    parser.add_argument("name", help="who uses it; the log says it when keys are read again")
    try:
        key, line = make_key(parser.parse_args().name)
    except ApiKeysError as error:
        parser.error(str(error))
    sys.stdout.write(f"key:  {key}\nline: {line}\n")
    sys.stderr.write(f"Give the key to its user: it is not shown again. Add the line to {FILE_VARIABLE}'s file.\n")


if __name__ == "__main__":
    main()
