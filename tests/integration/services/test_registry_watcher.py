"""The registry watcher on an MLflow registry: in a database, and on a server that restarts."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sklearn.preprocessing import FunctionTransformer

from feature_repo.settings import NO_TELEMETRY
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME
from holdfast.models.registry_client import FAIL_FAST_ENV, RegistryClient
from holdfast.runtime.processes import free_port
from services.errors import NotReadyError
from services.models.registry_watcher import RegistryWatcher
from services.models.serving_state import ServingState
from tests.support.registry import DEFINITIONS, Registry, build_contract, fit_classifier, make_registry, serialize_model
from tests.support.registry_watch import missing_model, running_watcher
from tests.support.server_processes import running_server, wait_for_response
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long

OTHER = DEFINITIONS | {"on_demand": "other"}


@pytest.fixture(scope="module")
def module_registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return make_registry(tmp_path_factory.mktemp("registry"))


@pytest.fixture(autouse=True)
def _everything_is_logged(service_log: pytest.LogCaptureFixture) -> None:
    service_log.set_level("INFO", "bentoml.holdfast")


@pytest.fixture(autouse=True)
def _short_timeouts_for_this_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set FAIL_FAST_ENV for these tests only, as a service sets it for its process."""
    for name, value in FAIL_FAST_ENV.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def registry(module_registry: Registry) -> Iterator[Registry]:
    """A registry without aliases; version numbers continue from test to test."""
    yield module_registry
    for alias in (CHAMPION, CHALLENGER):
        module_registry.client.delete_registered_model_alias(MODEL_NAME, alias)


def _champion(watch: RegistryWatcher) -> str:
    return watch.models.champion.contract.model_version


def _until(watch: RegistryWatcher, *expected: Callable[[ServingState], bool]) -> ServingState:
    for holds in expected:
        wait_for(lambda: holds(watch.state), 60, lambda: watch.state)  # noqa: B023  called before the next one
    return watch.state


def _looks(watch: RegistryWatcher, number: int = 3) -> None:
    """Wait for this number of polls."""
    for _ in range(number):
        before = watch.state.last_success
        _until(watch, lambda state, before=before: state.last_success != before)  # type: ignore[misc]


class TestReconcile:
    def test_watcher_start_serves_registry_champion(self, registry: Registry) -> None:
        registry.set_alias(CHAMPION, version := registry.register_model())
        before = time.time()
        with running_watcher(registry.uri) as watch:
            assert _champion(watch) == version
            state = watch.state
            assert (state.champion, state.loaded_from, state.reachable) == (version, "registry", True)
            assert state.last_success is not None
            assert before <= state.last_success <= time.time()
            assert (state.unservable, state.note) == ({}, None)

    def test_watcher_follows_promotion_and_rollback(self, registry: Registry) -> None:
        first, second = registry.register_model(1), registry.register_model(2)
        registry.set_alias(CHAMPION, first)
        with running_watcher(registry.uri) as watch:
            for version in (second, first):
                registry.set_alias(CHAMPION, version)
                _until(watch, lambda state, version=version: state.champion == version)  # type: ignore[misc]
                assert _champion(watch) == version

    def test_watcher_follows_challenger_traffic(self, registry: Registry) -> None:
        registry.set_alias(CHAMPION, champion := registry.register_model(1))
        challenger = registry.register_model(2)
        with running_watcher(registry.uri) as watch:
            registry.set_alias(CHALLENGER, challenger)
            _looks(watch)
            assert watch.models.challenger is None
            for traffic, mode, share in (
                ('{"mode": "shadow"}', "shadow", 0.0),
                ('{"mode": "canary", "share": 0.05}', "canary", 0.05),
                ('{"mode": "canary", "share": 0.25}', "canary", 0.25),
                ('{"mode": "off"}', None, 0.0),
            ):
                registry.set_traffic(challenger, traffic)
                state = _until(watch, lambda s, m=mode, x=share: (s.mode, s.share) == (m, x))  # type: ignore[misc]
                assert (watch.models.mode, watch.models.share) == (mode, share)
                assert state.challenger == (challenger if mode else None)
                assert _champion(watch) == champion

    def test_watcher_ends_lease_while_registry_is_down(self, registry: Registry) -> None:
        registry.set_alias(CHAMPION, champion := registry.register_model(1))
        registry.set_alias(CHALLENGER, challenger := registry.register_model(2))
        database = Path(registry.uri.removeprefix("sqlite:///"))
        with running_watcher(registry.uri) as watch:
            until = datetime.now(UTC) + timedelta(seconds=2)
            registry.set_traffic(challenger, f'{{"mode": "canary", "share": 0.5, "until": "{until.isoformat()}"}}')
            _until(watch, lambda state: state.challenger == challenger)
            away = database.rename(database.with_suffix(".away"))
            try:
                _until(watch, lambda state: state.challenger is None)
                assert datetime.now(UTC) >= until
                assert (_champion(watch), watch.models.challenger, watch.state.reachable) == (champion, None, False)
            finally:
                away.rename(database)

    def test_watcher_removed_alias_is_logged_and_champion_stays(
        self, registry: Registry, service_log: pytest.LogCaptureFixture
    ) -> None:
        registry.set_alias(CHAMPION, version := registry.register_model())
        with running_watcher(registry.uri) as watch:
            registry.set_alias(CHAMPION, None)
            state = _until(watch, lambda state: bool(state.note))
            assert state.note == "The model registry names no champion. The models in service stay."
            assert (state.champion, state.reachable) == (version, True)
            _looks(watch)
        assert service_log.text.count("names no champion") == 1


def _tampered(registry: Registry) -> str:
    version = registry.register_model(3)
    file = registry.model_path(version)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    return version


def _of_another_score(registry: Registry) -> str:
    content = serialize_model(fit_classifier(4))
    contract = build_contract(fit_classifier(5), content)
    return registry.register(content, contract.model_dump_json())


def _untrusted(registry: Registry) -> str:
    content = serialize_model(FunctionTransformer(os.system))
    return registry.register(content, build_contract(fit_classifier(), content).model_dump_json())


def _without_a_file(registry: Registry) -> str:
    content = serialize_model(model := fit_classifier(6))
    return registry.register(None, build_contract(model, content).model_dump_json())


BAD: dict[str, tuple[Callable[[Registry], str], str]] = {
    "tampered": (_tampered, "changed or damaged"),
    "scores otherwise": (_of_another_score, "scores its example 0 with"),
    "untrusted": (_untrusted, "not trusted"),
    "no file": (_without_a_file, "cannot be downloaded"),
    "no JSON": (lambda registry: registry.register(b"", "no JSON"), "is not a model contract"),
    "no contract": (lambda registry: registry.register(b"", None), "no tag holdfast.served_model"),
    "before examples": (lambda registry: registry.register_model(examples=[]), "registered by an early release"),
    "before digests": (lambda registry: registry.register_model(model_sha256=""), "registered by an early release"),
    "other definitions": (lambda registry: registry.register_model(fingerprint=OTHER), "other definitions"),
}


class TestUnservable:
    @pytest.mark.parametrize("name", BAD)
    @pytest.mark.parametrize("role", [CHAMPION, CHALLENGER])
    def test_watcher_bad_version_is_logged_and_old_version_stays(
        self, registry: Registry, role: str, name: str, service_log: pytest.LogCaptureFixture
    ) -> None:
        register_bad, reason = BAD[name]
        registry.set_alias(CHAMPION, good := registry.register_model(1))
        bad = register_bad(registry)
        registry.set_traffic(bad, '{"mode": "canary", "share": 0.5}')
        with running_watcher(registry.uri) as watch:
            models = watch.models
            registry.set_alias(role, bad)
            state = _until(watch, lambda state: bool(state.unservable))
            assert list(state.unservable) == [bad]
            assert reason in state.unservable[bad]
            assert (bad in state.unavailable) == (name == "no file")
            _looks(watch, 5)
            assert watch.models is models
            assert (state.champion, state.challenger, state.reachable) == (good, None, True)
            if role == CHALLENGER:  # first: beside another champion it would be refused for another reason
                registry.set_alias(CHALLENGER, None)
            registry.set_alias(CHAMPION, better := registry.register_model(2))
            _until(watch, lambda state: state.champion == better and state.unservable == {})
        assert service_log.text.count(f"Version {bad} is named by the registry, but not served") == 1

    def test_watcher_bad_version_at_start_serves_bento_model(self, registry: Registry) -> None:
        registry.set_alias(CHAMPION, bad := _tampered(registry))
        with running_watcher(registry.uri) as watch:
            assert _champion(watch) == "baked"
            assert (watch.state.loaded_from, list(watch.state.unservable)) == ("bento", [bad])
        with (
            running_watcher(registry.uri, missing_model) as watch,
            pytest.raises(NotReadyError, match="changed or damaged") as error,
        ):
            _ = watch.models
        assert error.value.message == f"Model version {bad} cannot be served."  # without internals

    def test_watcher_repaired_file_is_served(self, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
        registry.set_alias(CHAMPION, version := registry.register_model(7))
        content = registry.model_path(version).read_bytes()
        registry.model_path(version).write_bytes(b"damaged")
        with running_watcher(registry.uri) as watch:
            registry.model_path(version).write_bytes(content)
            _looks(watch)
            assert _champion(watch) == "baked"
            monkeypatch.setattr(
                "services.models.model_selector.time", SimpleNamespace(monotonic=lambda: float("inf"), time=time.time)
            )
            _until(watch, lambda state: state.champion == version)

    def test_watcher_thread_survives_unexpected_error(
        self, registry: Registry, monkeypatch: pytest.MonkeyPatch, service_log: pytest.LogCaptureFixture
    ) -> None:
        def fails(*_: object) -> None:
            raise RuntimeError("a defect")

        registry.set_alias(CHAMPION, version := registry.register_model())
        with running_watcher(registry.uri) as watch:
            with monkeypatch.context() as patch:
                patch.setattr("services.models.model_selector.ModelSelector.reconcile", fails)
                wait_for(lambda: "a defect" in service_log.text, 60, lambda: service_log.text)
                time.sleep(0.2)
            registry.set_alias(CHAMPION, another := registry.register_model(1))
            assert _champion(watch) == version
            _until(watch, lambda state: state.champion == another)
        assert service_log.text.count("Unexpected error") == 1


class TestStart:
    def test_watcher_without_registry_serves_bento_model(self) -> None:
        with running_watcher(None) as watch:
            assert _champion(watch) == "baked"
            assert (watch.state.loaded_from, watch.state.reachable, watch.state.note) == ("bento", None, None)

    def test_watcher_without_any_model_is_not_ready(self, service_log: pytest.LogCaptureFixture) -> None:
        for _ in range(2):
            with (
                running_watcher(None, missing_model) as watch,
                pytest.raises(NotReadyError, match="not in the model store"),
            ):
                _ = watch.models
        assert service_log.text.count("Not ready: The model holdfast-churn:latest is not in the model store") == 2

    def test_watcher_without_database_creates_none_and_finds_first_champion(
        self, registry: Registry, tmp_path: Path, service_log: pytest.LogCaptureFixture
    ) -> None:
        database = tmp_path / "mlflow.db"
        with running_watcher(f"sqlite:///{database}") as watch:
            state = watch.state
            assert (state.champion, state.reachable, state.last_success) == ("baked", None, None)
            assert state.note == "The model registry has not named a champion yet. The models in service stay."
            assert list(tmp_path.iterdir()) == []
            registry.set_alias(CHAMPION, version := registry.register_model())
            database.symlink_to(registry.uri.removeprefix("sqlite:///"))
            _until(watch, lambda state: state.champion == version and state.note is None)
        assert service_log.text.count("has not named a champion yet") == 1

    def test_watcher_start_with_hanging_registry_ends_at_timeout(
        self, monkeypatch: pytest.MonkeyPatch, service_log: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
        with socket.create_server(("127.0.0.1", 0)) as silent:
            uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
            RegistryClient(uri).warm_up()
            began = time.monotonic()
            with running_watcher(uri, start_timeout=0.3) as watch:
                assert time.monotonic() - began < 1.5
                assert (_champion(watch), watch.state.reachable) == ("baked", None)
                state = _until(watch, lambda state: state.reachable is False)
                assert (state.champion, state.loaded_from) == ("baked", "bento")
        assert service_log.text.count("has not responded within 0.3 s") == 1
        assert service_log.text.count("cannot be read; the models in service stay") == 1


class TestUnreachable:
    def test_watcher_outage_is_logged_once_at_start_and_end(
        self, registry: Registry, tmp_path: Path, service_log: pytest.LogCaptureFixture
    ) -> None:
        registry.set_alias(CHAMPION, version := registry.register_model())
        registry.set_alias(CHALLENGER, challenger := registry.register_model(1))
        registry.set_traffic(challenger, '{"mode": "shadow"}')
        link = tmp_path / "mlflow.db"
        link.symlink_to(registry.uri.removeprefix("sqlite:///"))
        with running_watcher(f"sqlite:///{link}") as watch:
            models = watch.models
            link.rename(tmp_path / "away")
            unreachable = _until(watch, lambda state: state.reachable is False)
            time.sleep(0.3)
            assert watch.models is models
            assert watch.state.last_success == unreachable.last_success
            registry.set_alias(CHAMPION, challenger)
            (tmp_path / "away").rename(link)
            _until(watch, lambda state: state.reachable is True, lambda state: state.champion == challenger)
        assert models.champion.contract.model_version == version
        assert service_log.text.count("cannot be read; the models in service stay") == 1
        assert service_log.text.count("can be read again") == 1


def test_watcher_models_are_consistent_for_readers(registry: Registry) -> None:
    first, second = registry.register_model(1), registry.register_model(2)
    registry.set_alias(CHAMPION, first)
    registry.set_alias(CHALLENGER, second)
    registry.set_traffic(first, '{"mode": "canary", "share": 0.1}')
    registry.set_traffic(second, '{"mode": "canary", "share": 0.2}')
    whole = {(first, second, "canary", 0.2), (second, first, "canary", 0.1), (first, None, None, 0), (second, None, None, 0)}  # fmt: skip  # noqa: E501
    observed: set[tuple[str, str | None, str | None, float]] = set()
    ended, rows = threading.Event(), [[0.0, 0.5, 1.0]]

    def read(watch: RegistryWatcher) -> None:
        import numpy as np

        while not ended.is_set():
            models = watch.models
            challenger = models.challenger.contract.model_version if models.challenger else None
            observed.add((models.champion.contract.model_version, challenger, models.mode, models.share))
            models.champion.churn_probabilities(np.array(rows))
            models.routes_to_canary("anybody")

    with running_watcher(registry.uri, poll_seconds=0.01) as watch:
        threads = [threading.Thread(target=read, args=(watch,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for champion, challenger in ((second, first), (first, second)) * 3:
            registry.set_alias(CHAMPION, champion)
            registry.set_alias(CHALLENGER, challenger)
            _until(watch, lambda s, c=champion, x=challenger: (s.champion, s.challenger) == (c, x))  # type: ignore[misc]
        ended.set()
        for thread in threads:
            thread.join()
    assert observed <= whole
    assert {(first, second, "canary", 0.2), (second, first, "canary", 0.1)} <= observed


def test_watcher_follows_restarted_server(tmp_path: Path, service_log: pytest.LogCaptureFixture) -> None:
    """Over HTTP with default settings, a moved alias is served within ten seconds."""
    port, store = free_port(), tmp_path / "server"
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{store}/mlflow.db", "--artifacts-destination", str(store / "files")]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment = bare | NO_TELEMETRY | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    store.mkdir()
    with running_server(command, environment, tmp_path / "first.log") as server:
        wait_for_response(server, f"{uri}/health")
        registry = make_registry(store, uri)
        registry.set_alias(CHAMPION, first := registry.register_model(1))
        second = registry.register_model(2)
        with running_watcher(uri, poll_seconds=3.0, start_timeout=3.0) as watch:
            assert (_champion(watch), watch.state.loaded_from) == (first, "registry")
            moved = time.monotonic()
            registry.set_alias(CHAMPION, second)
            _until(watch, lambda state: state.champion == second)
            assert time.monotonic() - moved < 10
        with running_watcher(uri, poll_seconds=0.5) as watch:
            server.end(signal.SIGTERM)
            _until(watch, lambda state: state.reachable is False)
            assert _champion(watch) == second
            with running_watcher(uri, poll_seconds=0.5) as started_now:
                assert (_champion(started_now), started_now.state.reachable) == ("baked", False)
                with running_server(command, environment, tmp_path / "second.log") as again:
                    wait_for_response(again, f"{uri}/health")
                    _until(watch, lambda state: state.reachable is True)
                    _until(started_now, lambda state: state.champion == second)
                    log = service_log.text
    assert log.count("cannot be read; the models") == log.count("can be read again") == 2  # once per watch
