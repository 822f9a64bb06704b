"""Tests of the feature store: UTC in every time zone, atomic registry writes, configuration, imports."""

import json
import os
import signal
import sqlite3
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from feature_repo.names import ENTITY_KEY, FEATURE_SERVICE, REQUEST_TIME
from feature_repo.settings import Settings
from holdfast.feast_stores.open_store import open_store
from holdfast.feast_stores.sqlite_connection import UtcConnection
from tests.support.definition_versions import version_files
from tests.support.feature_oracle import microseconds
from tests.support.main_job import environment_of, run
from tests.support.small_shop import (
    AS_OF,
    KNOWN_AT,
    build_features,
    join_process,
    registered_store,
    start_process,
)


def _build(report: Path) -> None:
    time.tzset()
    build_features(Settings.from_environment())
    _read(report)


def _read(report: Path) -> None:
    """Write the online features of some customers as JSON, with the time zone of the process."""
    time.tzset()
    store = registered_store()
    response = store.get_online_features(
        features=store.get_feature_service(FEATURE_SERVICE),
        entity_rows=[{ENTITY_KEY: f"c{n:03d}", REQUEST_TIME: microseconds(AS_OF)} for n in range(50)],
        include_feature_view_version_metadata=False,
    )
    values = {name: [repr(value) for value in column] for name, column in response.to_dict().items()}
    stamps = sorted({stamp.ToMicroseconds() for result in response.proto.results for stamp in result.event_timestamps})
    report.write_text(json.dumps({"zone": time.strftime("%z"), "values": values, "stamps": stamps}))


@pytest.mark.long
class TestTimeZones:
    @pytest.mark.parametrize(("writer", "reader"), [("UTC", "America/New_York"), ("Asia/Kolkata", "UTC")])
    def test_sqlite_store_other_time_zone_reads_the_same_times(
        self, shop: Settings, tmp_path: Path, writer: str, reader: str
    ) -> None:
        assert join_process(start_process(_build, shop.data, tmp_path / "writer.json", TZ=writer)) == 0
        assert join_process(start_process(_read, shop.data, tmp_path / "reader.json", TZ=reader)) == 0
        written, read = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("writer", "reader"))
        assert written.pop("zone") != read.pop("zone")
        assert written == read
        stored = [stamp for stamp in read["stamps"] if stamp]  # on-demand features carry none
        assert stored == [microseconds(AS_OF)]

    def test_connection_stores_and_reads_whole_seconds_around_the_repeated_hour(self) -> None:
        with closing(sqlite3.connect(":memory:", factory=UtcConnection)) as connection:
            connection.execute("CREATE TABLE times (event_ts timestamp, seconds INTEGER)")
            for hour in range(3, 9):
                time = datetime(2024, 11, 3, hour, 30, 1, tzinfo=UTC)
                for stored in (time, time.replace(tzinfo=None)):
                    connection.execute("INSERT INTO times VALUES (?, ?)", (stored, int(time.timestamp())))
            rows = connection.execute("SELECT event_ts, seconds FROM times").fetchall()
        assert [time.replace(tzinfo=UTC).timestamp() for time, _ in rows] == [seconds for _, seconds in rows]
        assert all(time.tzinfo is None for time, _ in rows)


def _die_writing_the_registry(when: str) -> None:
    from feast.infra.registry.file import FileRegistryStore

    original = FileRegistryStore._write_registry

    def fatal(self: Any, proto: Any) -> None:
        original(self, proto)
        if when == "half":
            os.truncate(self._filepath, 40)
        os.kill(os.getpid(), signal.SIGKILL)

    FileRegistryStore._write_registry = fatal
    store = open_store()
    store.refresh_registry()
    service = store.get_feature_service(FEATURE_SERVICE)
    service.description = "Half written."
    store.registry.apply_feature_service(service, store.project)


class TestRegistryFile:
    @pytest.mark.long
    @pytest.mark.parametrize("when", ["half", "before the replacement"])
    def test_write_registry_killed_old_file_remains(self, open_shop: Settings, when: str) -> None:
        before = (open_shop.feast / "registry.db").read_bytes()
        assert join_process(start_process(_die_writing_the_registry, open_shop.data, when)) == -signal.SIGKILL
        assert (open_shop.feast / "registry.db").read_bytes() == before
        assert open_store().get_feature_service(FEATURE_SERVICE).description != "Half written."

    def test_write_registry_failure_leaves_only_the_old_file(
        self, open_shop: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from feast.infra.registry.file import FileRegistryStore

        before = {path.name: path.read_bytes() for path in open_shop.feast.iterdir() if path.is_file()}

        def full(self: Any, proto: Any) -> None:
            self._filepath.write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(FileRegistryStore, "_write_registry", full)
        store = open_store()
        service = store.get_feature_service(FEATURE_SERVICE)
        with pytest.raises(OSError, match="No space left"):
            store.registry.apply_feature_service(service, store.project)
        assert {path.name: path.read_bytes() for path in open_shop.feast.iterdir() if path.is_file()} == before


class TestOpenStore:
    def test_open_store_state_is_in_the_data_folder(self, open_shop: Settings) -> None:
        assert {"registry.db", "online_store.db"} <= {path.name for path in open_shop.feast.iterdir()}

    def test_open_store_known_at_applies_to_this_store_only(self, shop: Settings) -> None:
        store, other = open_store(KNOWN_AT - timedelta(days=1)), open_store()
        assert store.config.offline_store.known_at == KNOWN_AT - timedelta(days=1)
        assert other.config.offline_store.known_at is None

    def test_open_store_reads_the_configuration_of_the_variable(
        self, shop: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from holdfast.feast_stores.settings import FEATURE_REPO

        other = tmp_path / "other.yaml"
        text = (FEATURE_REPO / "feature_store.yaml").read_text()
        other.write_text(text.replace("feast/online_store.db", "feast/other.db"))
        monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", str(other))
        assert open_store().config.online_store.path == "feast/other.db"


_SERVICE = """
import sys
from holdfast.feast_stores.open_store import open_store
from holdfast.online_features.reader import OnlineReader
reader = OnlineReader(open_store(definitions=sys.argv[1]), "churn_v1")
assert not reader.read(["c001"], 1_720_000_000_000_000).faults.any()
print(sorted({"ibis", "duckdb", "redis", "dask", "holdfast.feast_stores.snapshot_offline_store"} & set(sys.modules)))
"""
_CHECKS = """
import importlib, sys, typeguard
importlib.import_module(sys.argv[1])
import feast

@typeguard.typechecked
def checked(number: int) -> None: ...

def instrumented(function):
    return any("typeguard" in name for name in function.__code__.co_names)

print(instrumented(checked), [instrumented(f) for f in (feast.Entity.__init__, feast.FeatureView.__init__)])
"""


@pytest.mark.long
class TestImports:
    def test_open_store_imports_no_offline_store(self, open_shop: Settings) -> None:
        environment = environment_of(open_shop.data)
        command = [sys.executable, "-c", _SERVICE, version_files(open_shop.data).name]
        assert run(command, environment).splitlines() == ["[]"]

    @pytest.mark.parametrize("first", ["holdfast.feature_store.snapshots", "flows.features", "services.churn", "feast"])
    def test_feast_imports_disable_type_checks_of_feast_only(self, tmp_path: Path, first: str) -> None:
        script = tmp_path / "checks.py"  # typeguard reads the source of what it checks
        script.write_text(_CHECKS)
        printed = run([sys.executable, str(script), first], environment_of(tmp_path))
        assert printed.splitlines()[-1] == ("True [True, True]" if first == "feast" else "True [False, False]")

    def test_offline_store_module_returns_the_store_by_name(self) -> None:
        from holdfast.feast_stores import offline_store, snapshot_offline_store

        assert offline_store.SnapshotOfflineStore is snapshot_offline_store.SnapshotOfflineStore
        with pytest.raises(AttributeError, match="no attribute 'AnotherStore'"):
            offline_store.AnotherStore  # noqa: B018
