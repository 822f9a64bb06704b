"""Tests of the registry client: lookups, downloads, tags and failures."""

import hashlib
import os
import shutil
import socket
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.errors import HoldfastError
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME, SERVED_MODEL_TAG, ServedModel
from holdfast.models.registered_version import (
    TRAFFIC_TAG,
    NoRegistryError,
    NoSuchAliasError,
    NotServableError,
    RegisteredVersion,
    RegistryUnavailableError,
    Traffic,
)
from holdfast.models.registry_client import FAIL_FAST_ENV, RegistryClient, set_fail_fast_env
from tests.support.registry import Registry, build_contract, fit_classifier, make_registry, serialize_model

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Registry with one valid version and no alias."""
    registry = make_registry(tmp_path_factory.mktemp("registry"))
    registry.register_model()
    return registry


@pytest.fixture
def champion(registered: Registry) -> Iterator[Registry]:
    """Registry with version 1 as champion."""
    registered.set_alias(CHAMPION, "1")
    yield registered
    registered.set_alias(CHAMPION, None)


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the short timeouts of a service."""
    for name, value in FAIL_FAST_ENV.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of temporary files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


class TestLookups:
    def test_download_by_alias_returns_contract_and_file_of_the_version(
        self, champion: Registry, scratch: Path
    ) -> None:
        before = dict(os.environ)
        contract, content = RegistryClient(champion.uri).download_by_alias(CHAMPION)
        assert content == champion.model_path("1").read_bytes()
        tag = champion.client.get_model_version(MODEL_NAME, "1").tags[SERVED_MODEL_TAG]
        assert contract == ServedModel.model_validate_json(tag).model_copy(update={"model_version": "1"})
        assert contract.model_sha256 == hashlib.sha256(content).hexdigest()
        assert list(scratch.iterdir()) == []
        assert dict(os.environ) == before

    def test_get_by_alias_moved_alias_returns_the_new_version(self, champion: Registry) -> None:
        registry = RegistryClient(champion.uri)
        assert registry.get_by_alias(CHAMPION).number == "1"
        version = champion.register_model(seed=1)
        champion.set_alias(CHAMPION, version)
        assert registry.get_by_alias(CHAMPION).number == version
        champion.set_traffic(version, '{"mode": "shadow"}')
        assert registry.get_by_alias(CHAMPION).traffic() == Traffic(mode="shadow")

    @pytest.mark.usefixtures("short_timeouts")
    def test_get_by_alias_replaced_database_is_read(self, champion: Registry, tmp_path: Path) -> None:
        database = Path(shutil.copy(Path(champion.uri.removeprefix("sqlite:///")), tmp_path / "mlflow.db"))
        registry = RegistryClient(f"sqlite:///{database}")
        assert registry.get_by_alias(CHAMPION).number == "1"
        champion.set_alias(CHAMPION, version := champion.register_model(seed=2))
        newer = shutil.copy(Path(champion.uri.removeprefix("sqlite:///")), tmp_path / "newer.db")
        Path(newer).rename(database)
        assert registry.get_by_alias(CHAMPION).number == version

    def test_get_by_alias_missing_alias_raises_no_such_alias(self, registered: Registry) -> None:
        with pytest.raises(
            NoSuchAliasError, match=r"no champion in the registry.*flows\.train.*flows\.promote"
        ) as error:
            RegistryClient(registered.uri).download_by_alias(CHAMPION)
        assert not isinstance(error.value, NoRegistryError)
        assert isinstance(error.value, HoldfastError)

    def test_get_by_alias_missing_model_raises_no_such_alias(self, registered: Registry, tmp_path: Path) -> None:
        database = shutil.copy(Path(registered.uri.removeprefix("sqlite:///")), tmp_path / "mlflow.db")
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("UPDATE registered_models SET name = 'another'")
        with pytest.raises(NoSuchAliasError, match="no challenger"):
            RegistryClient(f"sqlite:///{database}").get_by_alias(CHALLENGER)


class TestNoDatabase:
    def test_get_by_alias_missing_database_raises_and_creates_nothing(self, tmp_path: Path) -> None:
        registry = RegistryClient(f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}")
        registry.warm_up()
        with pytest.raises(NoRegistryError, match=r"no champion.*flows\.train"):
            registry.get_by_alias(CHAMPION)
        assert list(tmp_path.iterdir()) == []

    def test_get_by_alias_database_without_tables_is_not_changed(self, tmp_path: Path) -> None:
        """MLflow would make its tables at the same time as the training that makes them, and one would fail."""
        (tmp_path / "mlflow.db").touch()
        with pytest.raises(NoRegistryError):
            RegistryClient(f"sqlite:///{tmp_path / 'mlflow.db'}").get_by_alias(CHAMPION)
        assert (tmp_path / "mlflow.db").stat().st_size == 0

    def test_get_by_alias_other_file_raises_unavailable(self, tmp_path: Path) -> None:
        (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
        with pytest.raises(RegistryUnavailableError, match=r"cannot be read: .*not a database"):
            RegistryClient(f"sqlite:///{tmp_path / 'mlflow.db'}").get_by_alias(CHAMPION)


class TestFile:
    def test_download_model_changed_byte_raises_not_servable(self, champion: Registry, scratch: Path) -> None:
        champion.set_alias(CHAMPION, version := champion.register_model(seed=3))
        file = champion.model_path(version)
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        with pytest.raises(NotServableError, match=rf"file of version {version} .*changed or damaged"):
            RegistryClient(champion.uri).download_by_alias(CHAMPION)
        assert list(scratch.iterdir()) == []

    def test_download_model_missing_file_raises_unavailable_until_restored(
        self, champion: Registry, scratch: Path
    ) -> None:
        champion.set_alias(CHAMPION, version := champion.register_model(seed=4))
        file = champion.model_path(version)
        content = file.read_bytes()
        file.unlink()
        registry = RegistryClient(champion.uri)
        with pytest.raises(RegistryUnavailableError, match=f"Version {version} of {MODEL_NAME} cannot be downloaded"):
            registry.download_by_alias(CHAMPION)
        file.write_bytes(content)
        assert registry.download_by_alias(CHAMPION)[1] == content
        assert list(scratch.iterdir()) == []


def _version(tags: dict[str, str]) -> RegisteredVersion:
    return RegisteredVersion("7", tags)


def _tag(**changed: Any) -> str:
    contract = build_contract(model := fit_classifier(), serialize_model(model))
    return contract.model_copy(update=changed).model_dump_json()


class TestTags:
    @pytest.mark.parametrize(
        ("tag", "message"),
        [
            (lambda: None, r"Version 7 .*no tag holdfast\.served_model.*not registered by Holdfast's training"),
            (lambda: "not JSON", r"holdfast\.served_model of version 7 .*is not a model contract: Invalid JSON"),
            (lambda: "{}", r"version 7 .*is not a model contract: model_name: Field required"),
            (lambda: _tag(examples=[]), "Version 7 .*an early release.*without example scores"),
            (lambda: _tag(model_sha256=""), "Version 7 .*an early release, without the SHA-256"),
        ],
    )
    def test_contract_invalid_tag_raises_with_remedy(self, tag: Callable[[], str | None], message: str) -> None:
        text = tag()
        with pytest.raises(NotServableError, match=rf"{message}.*Train again with `python -m flows\.train`") as error:
            _version({} if text is None else {SERVED_MODEL_TAG: text}).contract()
        assert "\n" not in str(error.value)

    def test_contract_has_the_version_number_of_the_registry(self) -> None:
        assert _version({SERVED_MODEL_TAG: _tag(model_version="3")}).contract().model_version == "7"

    @pytest.mark.parametrize(
        ("text", "traffic"),
        [
            (None, Traffic(mode="off")),
            ('{"mode": "off"}', Traffic(mode="off")),
            ('{"mode": "shadow"}', Traffic(mode="shadow")),
            ('{"mode": "canary", "share": 0.05}', Traffic(mode="canary", share=0.05)),
            ('{"mode": "canary", "share": 0.5, "who": "ann"}', Traffic(mode="canary", share=0.5)),
            ('{"mode": "shadow", "until": null}', Traffic(mode="shadow")),
            ('{"mode": "shadow", "until": "2026-01-01T00:00:00Z"}', Traffic(mode="shadow", until=NEW_YEAR)),
        ],
    )
    def test_traffic_returns_the_tag(self, text: str | None, traffic: Traffic) -> None:
        assert _version({} if text is None else {TRAFFIC_TAG: text}).traffic() == traffic

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "canary",
            "{}",
            '{"mode": "all"}',
            '{"mode": "canary"}',
            '{"mode": "canary", "share": 0.51}',
            '{"mode": "canary", "share": -0.1}',
            '{"mode": "canary", "share": NaN}',
            '{"mode": "shadow", "share": 0.1}',
            '{"mode": "shadow", "until": "tomorrow"}',
            '{"mode": "shadow", "until": "2026-01-01T00:00:00"}',
        ],
    )
    def test_traffic_invalid_tag_raises(self, text: str) -> None:
        with pytest.raises(NotServableError, match=r"holdfast\.traffic of version 7 .*flows\.traffic"):
            _version({TRAFFIC_TAG: text}).traffic()


@pytest.mark.usefixtures("short_timeouts")
class TestUnreachableServer:
    def test_get_by_alias_unreachable_server_raises_unavailable(self) -> None:
        registry = RegistryClient("http://ann:secret@127.0.0.1:9")
        registry.warm_up()
        with pytest.raises(RegistryUnavailableError, match="registry cannot be read") as error:
            registry.get_by_alias(CHAMPION)
        assert "secret" not in str(error.value)

    @pytest.mark.parametrize("set_by_user", [True, False])
    @pytest.mark.parametrize("flow", [True, False])
    def test_fail_fast_env_silent_server_raises_in_seconds(
        self, flow: bool, set_by_user: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in FAIL_FAST_ENV:
            monkeypatch.delenv(name)
        if set_by_user:
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        monkeypatch.setitem(FAIL_FAST_ENV, "MLFLOW_HTTP_REQUEST_TIMEOUT", "60" if set_by_user else "1")
        if not flow:
            assert set(set_fail_fast_env()) == set(FAIL_FAST_ENV) - (
                {"MLFLOW_HTTP_REQUEST_TIMEOUT"} if set_by_user else set()
            )
        before = dict(os.environ)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            registry = RegistryClient(f"http://127.0.0.1:{silent.getsockname()[1]}")
            registry.warm_up()
            began = time.monotonic()
            with pytest.raises(RegistryUnavailableError, match="timeout"):
                (registry.download_by_alias if flow else registry.get_by_alias)(CHAMPION)
            assert 0.9 < time.monotonic() - began < 10
        assert dict(os.environ) == before  # a training in the same process has more time

    def test_get_by_alias_same_failure_has_the_same_message(self) -> None:
        """A caller that logs new messages would otherwise log at each attempt."""
        messages = set()
        for _ in range(2):
            with pytest.raises(RegistryUnavailableError) as error:
                RegistryClient("http://127.0.0.1:9").get_by_alias(CHAMPION)
            messages.add(str(error.value))
        assert len(messages) == 1


def test_client_of_an_embedded_database_cannot_write(champion: Registry) -> None:
    """The service holds such a client: no defect or request in it moves an alias."""
    from mlflow.exceptions import MlflowException

    client = RegistryClient(champion.uri)
    assert client.get_by_alias(CHAMPION).number == "1"
    for change in (
        lambda mlflow: mlflow.set_registered_model_alias(MODEL_NAME, CHALLENGER, "1"),
        lambda mlflow: mlflow.set_model_version_tag(MODEL_NAME, "1", "holdfast.traffic", "{}"),
        lambda mlflow: mlflow.delete_registered_model_alias(MODEL_NAME, CHAMPION),
        lambda mlflow: mlflow.create_registered_model("other"),
    ):
        with pytest.raises(MlflowException, match="readonly database"):
            client._call(change)
    assert client.get_by_alias(CHAMPION).number == "1"
