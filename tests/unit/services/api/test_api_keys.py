"""API keys: only hashes are stored, changes need no restart, keys are never printed."""

import errno
import hashlib
import logging
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import HoldfastError
from services.api import api_keys
from services.api.api_keys import ApiKeysError, KeyRing, create_key

ROOT = Path(__file__).resolve().parents[4]
OLD, NEW, OTHER = "holdfast_old", "holdfast_new", "holdfast_other"


def line(name: str, key: str) -> str:
    """Return the line of a key in the file of keys."""
    return f"{name}:{hashlib.sha256(key.encode()).hexdigest()}"


class Clock:
    """Clock that a test sets."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the key ring."""
    clock = Clock()
    monkeypatch.setattr(api_keys, "time", clock)
    return clock


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with one key, readable by its owner only."""
    path = tmp_path / "keys"
    path.touch(mode=0o600)
    path.write_text(line("shop", OLD))
    return path


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="bentoml.holdfast")
    return caplog


def test_key_ring_without_keys_is_not_configured() -> None:
    ring = KeyRing(None, None)
    assert not ring.configured
    assert ring.find_name(f"Bearer {OLD}") is None


@pytest.mark.parametrize(
    "header", [f"Bearer {OLD}", f"bearer {OLD}", f"BEARER   {OLD} ", OLD, f"  {OLD} "], ids=lambda value: repr(value)
)
def test_find_name_accepts_both_headers(header: str) -> None:
    ring = KeyRing(line("shop", OLD), None)
    assert ring.configured
    assert ring.find_name(header) == "shop"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        " ",
        "Bearer",
        "Bearer ",
        f"Basic {OLD}",
        f"Bearer Bearer {OLD}",
        f"Bearer: {OLD}",
        OLD[:-1],
        OLD + "x",
        OLD.upper(),
        "shop",
        line("shop", OLD),
        hashlib.sha256(OLD.encode()).hexdigest(),
        "\ud800",
        "ключ",
        "x" * 100_000,
    ],
)
def test_find_name_of_invalid_header_is_none(header: str | None) -> None:
    assert KeyRing(line("shop", OLD), None).find_name(header) is None


@given(st.text(max_size=300))
def test_find_name_of_any_text_is_none(header: str) -> None:
    assert KeyRing(line("shop", OLD), None).find_name(header) is None


def test_from_settings_parses_commas_lines_and_comments(file: Path) -> None:
    text = (
        f"# for a, b: c\n{line('shop', OLD)}, {line('shop', NEW).upper().replace('SHOP', 'shop')} # both, for now\r\n\n"
    )
    file.write_bytes(b"\xef\xbb\xbf" + text.encode() + b" crm-2.eu_1 : " + line("", OTHER)[1:].encode())
    for ring in (KeyRing(None, file), KeyRing(text + line("crm-2.eu_1", OTHER), None)):
        assert [ring.find_name(key) for key in (OLD, NEW, OTHER, "no")] == ["shop", "shop", "crm-2.eu_1", None]


def test_from_settings_combines_environment_and_file(file: Path, clock: Clock) -> None:
    ring = KeyRing(line("crm", OTHER), file)
    assert (ring.find_name(OTHER), ring.find_name(OLD)) == ("crm", "shop")
    file.write_text(line("shop", NEW))
    clock.now += 1
    assert [ring.find_name(key) for key in (OTHER, NEW, OLD)] == ["crm", "shop", None]


NO_KEY = {"": "names no key", " \n": "names no key", "# nothing\n,": "names no key", "\xef\xbb\xbf": "names no key"}
BROKEN = {
    OLD: "line 1 is not",
    f"{line('shop', OLD)}\n\nshop:{OLD}": "line 3 is not",
    f"{line('shop', OLD)}, {OTHER}": "line 1 is not",
    line("shop", OLD)[:-1]: "line 1 is not",
    line("shop", OLD) + "0": "line 1 is not",
    line("shop", OLD)[:-1] + "g": "line 1 is not",
    line("", OLD): "line 1 is not",
    line("a b", OLD): "line 1 is not",
    line("-shop", OLD): "line 1 is not",
    line("x" * 65, OLD): "line 1 is not",
    line("süd", OLD): "line 1 is not",
    line("shop", OLD).replace(":", "="): "line 1 is not",
    line(OLD, OLD): "line 1 has the key itself",
    f"{line('shop', OLD)}\n{line('crm', OLD)}": "shop and crm have the same key",
    "\x00\xff": "line 1 is not",
}


@pytest.mark.parametrize("text", [*NO_KEY, *BROKEN])
def test_from_settings_invalid_text_raises_without_content(text: str, file: Path) -> None:
    file.write_bytes(text.encode("latin-1"))
    why = re.escape((NO_KEY | BROKEN)[text])
    as_variable = text.removeprefix("\xef\xbb\xbf")  # only a file begins with a byte order mark
    sources = ((as_variable, None, "HOLDFAST_API_KEYS"), (None, file, f"{file} (HOLDFAST_API_KEYS_FILE)"))
    for keys, path, source in sources:
        with pytest.raises(ApiKeysError, match=f"^{re.escape(source)}.*{why}") as caught:
            KeyRing(keys, path)
        assert caught.value.__cause__ is caught.value.__context__ is None  # whose text would hold what was read
        for secret in (OLD, OTHER, *re.findall("[0-9a-f]{63,}", text)):
            assert secret not in str(caught.value)
    assert issubclass(ApiKeysError, HoldfastError)


def test_from_settings_unreadable_file_raises(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ApiKeysError, match=f"HOLDFAST_API_KEYS_FILE.* cannot be read: {why}"):
            KeyRing(None, path)
        with pytest.raises(ApiKeysError):
            KeyRing(line("shop", OLD), path)


def test_from_settings_conflicting_names_raise(file: Path) -> None:
    with pytest.raises(ApiKeysError, match="crm and shop have the same key"):
        KeyRing(line("crm", OLD), file)
    assert KeyRing(line("shop", OLD), file).find_name(OLD) == "shop"


def test_key_file_rotation_needs_no_restart(file: Path, clock: Clock, log: pytest.LogCaptureFixture) -> None:
    ring = KeyRing(None, file)
    for text, valid in (
        (f"{line('shop', OLD)}\n{line('shop', NEW)}", {OLD, NEW}),
        (line("shop", NEW), {NEW}),
        (f"{line('shop', NEW)}\n{line('crm', OTHER)}", {NEW, OTHER}),
    ):
        file.write_text(text)
        clock.now += 1
        assert {key for key in (OLD, NEW, OTHER) if ring.find_name(key)} == valid
    assert [record.levelname for record in log.records] == ["INFO"] * 3
    assert log.messages[-1] == f"API keys reloaded from {file}: crm, shop"


@pytest.mark.parametrize("how", ["replaced", "linked", "rewritten with the same size and time"])
def test_key_file_change_is_detected(how: str, file: Path, clock: Clock) -> None:
    if how == "linked":  # as Kubernetes does
        file.rename(file.with_name("first"))
        file.symlink_to("first")
    ring = KeyRing(None, file)
    before = file.stat()
    other = file.with_name("second")
    other.touch(mode=0o600)
    other.write_text(line("shop", NEW))
    if how == "replaced":
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(file)
    elif how == "linked":
        file.with_name("link").symlink_to("second")
        file.with_name("link").replace(file)
        file.with_name("first").unlink()
    else:
        time.sleep(0.02)  # the file system's clock ticks every few milliseconds
        file.write_text(line("shop", NEW))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    clock.now += 1
    assert (ring.find_name(NEW), ring.find_name(OLD)) == ("shop", None)


def test_key_file_is_checked_once_a_second(file: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    real = api_keys._file_state
    monkeypatch.setattr(api_keys, "_file_state", lambda path: looks.append(clock.now) or real(path))
    reads: list[Path] = []
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: reads.append(path) or read(path))
    ring = KeyRing(None, file)
    for _ in range(40):
        clock.now += 0.1
        assert ring.find_name(OLD) == "shop"
    assert len(looks) <= 5
    assert reads == [file]


@pytest.mark.parametrize("text", [None, *NO_KEY])
def test_key_file_without_keys_revokes_all(
    text: str | None, file: Path, clock: Clock, log: pytest.LogCaptureFixture
) -> None:
    for keys, left in ((None, None), (line("crm", OTHER), "crm")):
        file.write_text(line("shop", OLD))
        ring = KeyRing(keys, file)
        log.clear()
        if text is None:
            file.unlink()
        else:
            file.write_bytes(text.encode("latin-1"))
        for _ in range(3):
            clock.now += 1
            assert (ring.find_name(OLD), ring.find_name(OTHER)) == (None, left)
            assert ring.configured  # requests still need a key
        (record,) = log.records
        assert record.levelname == "WARNING"
        assert record.getMessage().startswith(f"{file} (HOLDFAST_API_KEYS_FILE) ")
        assert record.getMessage().endswith("All keys of this file are revoked.")
        file.write_text(line("shop", NEW))
        clock.now += 1
        assert (ring.find_name(NEW), ring.find_name(OLD)) == ("shop", None)


def test_key_file_unreadable_is_read_again(
    file: Path, clock: Clock, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = KeyRing(None, file)
    file.write_text(line("shop", NEW))
    with monkeypatch.context() as patch:

        def fail(_: Path) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

        patch.setattr(Path, "read_bytes", fail)
        for _ in range(3):
            clock.now += 1
            assert (ring.find_name(OLD), ring.find_name(NEW)) == ("shop", None)
    assert [record.levelname for record in log.records] == ["ERROR"]
    assert "cannot be read: Input/output error." in log.messages[0]
    clock.now += 1
    assert (ring.find_name(OLD), ring.find_name(NEW)) == (None, "shop")


@pytest.mark.parametrize("text", BROKEN)
def test_key_file_invalid_retains_keys_and_is_logged_once(
    text: str, file: Path, clock: Clock, log: pytest.LogCaptureFixture
) -> None:
    ring = KeyRing(None, file)
    file.write_bytes(text.encode("latin-1"))
    for _ in range(5):
        clock.now += 1
        assert ring.find_name(OLD) == "shop"
        assert ring.configured
    (record,) = log.records
    assert record.levelname == "ERROR" and record.exc_info is None
    message = record.getMessage()
    assert message.startswith(f"{file} (HOLDFAST_API_KEYS_FILE)")
    assert message.endswith("The previous API keys stay valid.")
    assert not re.search(f"{OLD}|{OTHER}|[0-9a-f]{{32}}", message)
    file.write_text(line("shop", NEW))
    file.chmod(0o600)
    clock.now += 1
    assert (ring.find_name(NEW), ring.find_name(OLD)) == ("shop", None)


def test_keys_are_not_in_repr(file: Path) -> None:
    ring = KeyRing(line("crm", OTHER), file)
    ring.find_name(OLD)
    assert repr(ring) == str(ring) == "KeyRing(2 keys)"


@pytest.mark.parametrize(("mode", "what"), [(0o644, "read"), (0o604, "read"), (0o640, None)])
def test_key_file_readable_by_all_is_logged_once(
    mode: int, what: str | None, file: Path, clock: Clock, log: pytest.LogCaptureFixture
) -> None:
    file.chmod(mode)
    ring = KeyRing(None, file)
    file.write_text(line("shop", NEW))
    clock.now += 1
    assert ring.find_name(NEW) == "shop"
    warnings = [record.getMessage() for record in log.records if record.levelname == "WARNING"]
    assert len(warnings) == (what is not None)
    assert all(f"every user of this machine can {what} it" in warning for warning in warnings)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o660])
def test_key_file_that_others_may_write_is_refused(mode: int, file: Path, clock: Clock) -> None:
    """Otherwise another user of the machine could add a key."""
    ring = KeyRing(None, file)
    file.write_text(line("intruder", NEW))
    file.chmod(mode)
    with pytest.raises(ApiKeysError, match="other users can change it, and add keys"):
        KeyRing(None, file)
    clock.now += 1
    assert ring.find_name(NEW) is None


def test_find_name_by_threads_during_changes_succeeds(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "_RELOAD_SECONDS", 0.0)
    ring = KeyRing(None, file)
    found: list[str | None] = []

    def ask() -> None:
        while not stop.is_set():
            found.append(ring.find_name(OLD))

    stop = threading.Event()
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(100):
        temporary = file.with_name("temporary")
        temporary.write_text(f"{line('shop', OLD)}\n{line('crm', str(number))}")
        temporary.replace(file)
    stop.set()
    for thread in threads:
        thread.join()
    assert set(found) == {"shop"}
    assert ring.find_name("99") == "crm"


def test_create_key_is_random_and_its_line_is_valid() -> None:
    made = [create_key("shop") for _ in range(50)]
    assert len({key for key, _ in made}) == 50
    for key, stored in made:
        assert re.fullmatch(r"holdfast_[\w-]{43}", key)  # 256 bits, six each
        assert key not in stored
        assert KeyRing(stored, None).find_name(f"Bearer {key}") == "shop"


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.api.api_keys", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_command_prints_key_and_line() -> None:
    done = _command("shop")
    assert done.returncode == 0
    key, stored = re.fullmatch(r"key:  (\S+)\nline: (\S+)\n", done.stdout).groups()  # type: ignore[union-attr]
    assert KeyRing(stored, None).find_name(key) == "shop"
    assert key not in done.stderr


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a,b", "-a", "x" * 65])
def test_create_key_invalid_name_raises(name: str) -> None:
    with pytest.raises(ApiKeysError, match="1 to 64 letters"):
        create_key(name)


def test_command_help_explains_name() -> None:
    printed = " ".join(_command("--help").stdout.split())
    assert "logged when keys are reloaded" in printed and "metrics" not in printed


def test_command_invalid_name_is_one_line() -> None:
    done = _command("a b")
    assert done.returncode == 2
    assert "use 1 to 64 letters" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr and not done.stdout
