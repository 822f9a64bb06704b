"""Snapshots: reproducible bytes, atomic writes, and independence of later arrivals."""

import errno
import os
import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings
from feature_repo.transformations import BUILDERS
from holdfast.feature_store import snapshots
from holdfast.feature_store.snapshots import (
    NoDataError,
    build_snapshots,
    effective_known_at,
    find_recent_customer,
    read_customers,
    snapshot_path,
)
from holdfast.ingestion.batches import Batch
from tests.support import feature_oracle
from tests.support.feature_oracle import MICROSECOND, Transaction
from tests.support.small_shop import (
    ARRIVALS,
    AS_OF,
    KNOWN_AT,
    LATE_BATCH,
    ingest,
    join_process,
    register_definitions,
    registered_store,
    start_process,
    transactions,
    use_data_folder,
)


def _files(settings: Settings) -> dict[str, bytes]:
    """Read all files except incomplete ones, which readers ignore."""
    found = (path for path in settings.snapshots.rglob("*") if path.is_file())
    return {
        str(path.relative_to(settings.snapshots)): path.read_bytes()
        for path in found
        if not any(part.startswith(".writing-") for part in path.parts)
    }


class TestBuildSnapshots:
    def test_rebuilt_snapshots_have_the_same_bytes(self, shop: Settings) -> None:
        first = build_snapshots(shop, registered_store(), AS_OF, KNOWN_AT)
        before = _files(shop)
        assert len(before) == len(BUILDERS) == 3
        assert all(item.built for item in first)
        shutil.rmtree(shop.snapshots)
        build_snapshots(shop, registered_store(), AS_OF, KNOWN_AT)
        assert _files(shop) == before

    def test_existing_snapshots_are_not_changed(self, shop: Settings) -> None:
        paths = [item.path for item in build_snapshots(shop, registered_store(), AS_OF, KNOWN_AT)]
        for path in paths:
            path.write_bytes(b"as it was")  # would be noticed if it were read or written again
        stats = [(path.stat().st_mtime_ns, path.stat().st_ino) for path in paths]
        again = build_snapshots(shop, registered_store(), AS_OF, KNOWN_AT)
        assert not any(item.built for item in again)
        assert [(path.stat().st_mtime_ns, path.stat().st_ino) for path in paths] == stats

    def test_only_the_missing_snapshot_is_built(self, shop: Settings) -> None:
        paths = [item.path for item in build_snapshots(shop, registered_store(), AS_OF, KNOWN_AT)]
        before = _files(shop)
        paths[1].unlink()
        assert [item.built for item in build_snapshots(shop, registered_store(), AS_OF, KNOWN_AT)] == [
            False,
            True,
            False,
        ]
        assert _files(shop) == before

    @pytest.mark.parametrize("view", BUILDERS)
    def test_snapshot_has_expected_values_and_timestamps(self, shop: Settings, view: str) -> None:
        snapshot = {item.view: item for item in build_snapshots(shop, registered_store(), AS_OF, KNOWN_AT)}[view]
        table = pq.read_table(snapshot.path)
        rows = table.drop_columns(["as_of", "known_at"]).to_pylist()
        expected = feature_oracle.FEATURES[view](transactions(), AS_OF)
        for row in rows:
            expected_values = expected[row["customer_id"]]
            assert [row[name] is None for name in expected_values] == [
                value is None for value in expected_values.values()
            ]
            known = {name: value for name, value in expected_values.items() if value is not None}
            assert {name: row[name] for name in known} == pytest.approx(known, rel=1e-12)
        assert table["customer_id"].to_pylist() == sorted(expected) == read_customers(snapshot)
        assert set(table["as_of"].to_pylist()) == {AS_OF}
        assert set(table["known_at"].to_pylist()) == {KNOWN_AT}
        assert str(table.schema.field("as_of").type) == "timestamp[us, tz=UTC]"


def _batch(arrival: datetime, first: datetime | None) -> Batch:
    return Batch("id", "source", "0", "0", arrival, 1, 1, 0, 0, 0, first, first)


class TestEffectiveKnownAt:
    NOON = datetime(2024, 1, 10, 12, tzinfo=UTC)

    def test_is_the_last_arrival_before_known_at(self) -> None:
        old = self.NOON - timedelta(days=30)
        batches = [_batch(self.NOON + timedelta(days=n), old) for n in range(3)]
        for known_at, day in (
            (self.NOON, 0),
            (self.NOON + timedelta(days=1.5), 1),
            (datetime.max.replace(tzinfo=UTC), 2),
        ):
            assert effective_known_at(batches, self.NOON, known_at) == self.NOON + timedelta(days=day)

    def test_arrival_at_known_at_is_included(self) -> None:
        batches = [_batch(self.NOON, self.NOON - timedelta(days=1))]
        assert effective_known_at(batches, self.NOON, self.NOON) == self.NOON
        with pytest.raises(NoDataError):
            effective_known_at(batches, self.NOON, self.NOON - MICROSECOND)

    def test_batches_without_earlier_events_are_ignored(self) -> None:
        old, later = self.NOON - timedelta(days=1), self.NOON + timedelta(days=5)
        batches = [_batch(self.NOON, old), _batch(later, self.NOON), _batch(later + MICROSECOND, None)]
        assert effective_known_at(batches, self.NOON, later + MICROSECOND) == self.NOON
        batches.append(_batch(later, self.NOON - MICROSECOND))
        assert effective_known_at(batches, self.NOON, later) == later

    def test_later_events_leave_snapshots_valid(self, shop: Settings) -> None:
        build_snapshots(shop, registered_store(), AS_OF, KNOWN_AT)
        before = _files(shop)
        arrival = KNOWN_AT + timedelta(days=3)
        ingest(shop.data, [Transaction("new", AS_OF + timedelta(days=1), 5.0, arrival)], arrival)
        again = build_snapshots(shop, registered_store(), AS_OF, arrival + timedelta(days=1))
        assert [item.built for item in again] == [False] * 3
        assert _files(shop) == before

    def test_earlier_events_build_new_snapshots(self, shop: Settings) -> None:
        build_snapshots(shop, registered_store(), AS_OF, KNOWN_AT)
        before = _files(shop)
        arrival = KNOWN_AT + timedelta(days=3)
        ingest(shop.data, [Transaction("new", AS_OF - timedelta(days=1), 5.0, arrival)], arrival)
        again = build_snapshots(shop, registered_store(), AS_OF, arrival + timedelta(days=1))
        assert [(item.built, item.known_at) for item in again] == [(True, arrival)] * 3
        assert "new" in read_customers(again[0])
        after = _files(shop)
        assert len(after) == 6
        assert before.items() <= after.items()


def test_build_snapshots_without_data_raises(tmp_path: Path, shop: Settings) -> None:
    for settings, as_of, known_at in (
        (Settings(data=tmp_path / "empty"), AS_OF, KNOWN_AT),
        (shop, datetime(2020, 1, 1, tzinfo=UTC), KNOWN_AT),
        (shop, AS_OF, ARRIVALS[0][1] - MICROSECOND),
    ):
        with pytest.raises(NoDataError) as error:
            build_snapshots(settings, registered_store(), as_of, known_at)
        for part in (f"{as_of:%Y-%m-%d %H:%M} UTC", f"{known_at:%Y-%m-%d %H:%M} UTC", "python -m flows.ingest"):
            assert part in str(error.value)
    assert not (tmp_path / "empty").exists()


def test_find_recent_customer_returns_a_customer_with_the_latest_purchase(shop: Settings) -> None:
    known_at = build_snapshots(shop, registered_store(), AS_OF, KNOWN_AT)[0].known_at
    last = {
        customer: values["last_purchase_us"]
        for customer, values in feature_oracle.purchase_history(transactions(), AS_OF).items()
    }
    assert last[find_recent_customer(shop, AS_OF, known_at)] == max(last.values())


class TestLateData:
    """Row of 2023 that arrives in 2024 and is unknown in between."""

    CUTOFF, CLOSED = datetime(2023, 9, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
    EARLY, LATE = ARRIVALS[0][1], ARRIVALS[LATE_BATCH][1]

    def _assemble(self, settings: Settings, known_at: datetime) -> Any:
        from holdfast.training.dataset import assemble_training_set

        build_snapshots(settings, registered_store(), self.CUTOFF, known_at)
        return assemble_training_set(settings, register_definitions(), [self.CUTOFF], self.CLOSED, known_at)

    def test_training_set_contains_known_data_only(self, tmp_path: Path) -> None:
        from holdfast.feature_store.feast_registry import apply_definitions

        rows = transactions()
        with use_data_folder(tmp_path / "data") as settings:
            ingest(settings.data, [row for row in rows if row.ingested_at == self.EARLY], self.EARLY)
            apply_definitions(registered_store())
            built_early = self._assemble(settings, self.EARLY)
            ingest(settings.data, [row for row in rows if row.ingested_at == self.LATE], self.LATE)
            early_again = self._assemble(settings, self.LATE - MICROSECOND)
            late = self._assemble(settings, self.LATE)
            much_later = self._assemble(settings, self.LATE + timedelta(days=400))
        assert built_early.digests() == early_again.digests()
        assert late.digests() == much_later.digests()
        for data, known_at in ((early_again, self.EARLY), (late, self.LATE)):
            known = feature_oracle.known(rows, self.CUTOFF, known_at)
            labels = feature_oracle.churn_labels(
                feature_oracle.known(rows, self.CLOSED, known_at), [self.CUTOFF], 90, 180
            )
            assert dict(zip(data.keys["customer_id"], data.y, strict=True)) == {k[0]: v for k, v in labels.items()}
            expected = feature_oracle.purchase_history(known, self.CUTOFF)
            assert data.column("total_amount").tolist() == [
                expected[customer]["total_amount"] for customer in data.keys["customer_id"]
            ]
        totals = [dict(zip(d.keys["customer_id"], d.column("total_amount"), strict=True)) for d in (built_early, late)]
        assert sum(totals[0][c] != totals[1][c] for c in totals[0].keys() & totals[1].keys()) >= 5

    def test_point_in_time_join_uses_the_snapshots_of_known_at(self, shop: Settings) -> None:
        from holdfast.feature_store.feast_registry import apply_definitions

        apply_definitions(registered_store())
        for known_at in (self.EARLY, self.LATE):
            build_snapshots(shop, registered_store(), self.CUTOFF, known_at)

        def totals(known_at: datetime | None) -> dict[str, float]:
            store = registered_store(known_at)
            entities = pd.DataFrame({"customer_id": customers, "event_timestamp": self.CUTOFF, "as_of_us": 0})
            service = store.get_feature_service(FEATURE_SERVICE)
            table = store.get_historical_features(features=service, entity_df=entities).to_df()
            return dict(zip(table["customer_id"], table["total_amount"], strict=True))

        expected = {
            known_at: {
                customer: values["total_amount"]
                for customer, values in feature_oracle.purchase_history(
                    feature_oracle.known(transactions(), self.CUTOFF, known_at), self.CUTOFF
                ).items()
            }
            for known_at in (self.EARLY, self.LATE)
        }
        customers = sorted(expected[self.EARLY])
        late = {customer: expected[self.LATE][customer] for customer in customers}
        assert late != expected[self.EARLY]
        assert totals(self.LATE - MICROSECOND) == expected[self.EARLY]
        assert totals(self.LATE) == late
        assert totals(None) == late
        assert all(np.isnan(value) for value in totals(self.EARLY - MICROSECOND).values())


def _killed(step: str, call: int) -> None:
    """Build the snapshots, and kill the process at the n-th call of a step."""
    holder: Any = {"write_table": pq, "fsync": os, "replace": Path}[step]
    original, calls = getattr(holder, step), 0

    def fatal(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < call:
            return original(*arguments, **options)
        if step == "write_table":
            original(*arguments, **options)
            os.truncate(arguments[1], 500)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(holder, step, fatal)
    build_snapshots(Settings(), registered_store(), AS_OF, KNOWN_AT)


@pytest.mark.long
class TestFaults:
    @pytest.mark.parametrize(("step", "call"), [("write_table", 1), ("write_table", 2), ("fsync", 2), ("replace", 3)])
    def test_build_snapshots_after_killed_run_gives_the_same_files(self, shop: Settings, step: str, call: int) -> None:
        build_snapshots(shop, registered_store(), AS_OF, KNOWN_AT)
        expected = _files(shop)
        shutil.rmtree(shop.snapshots)
        assert join_process(start_process(_killed, shop.data, step, call)) == -signal.SIGKILL
        left = _files(shop)
        assert len(left) == call - 1
        assert left.items() <= expected.items()
        build_snapshots(shop, registered_store(), AS_OF, KNOWN_AT)
        assert _files(shop) == expected

    def test_incomplete_files_of_a_killed_run_are_not_read(self, shop: Settings) -> None:
        from holdfast.feature_store.feast_registry import apply_definitions

        assert join_process(start_process(_killed, shop.data, "write_table", 1)) == -signal.SIGKILL
        assert list(shop.snapshots.rglob("*.parquet")), "nothing was left behind: this test shows nothing"
        build_snapshots(shop, registered_store(), AS_OF, KNOWN_AT)
        apply_definitions(registered_store())
        entities = pd.DataFrame({"customer_id": ["c000"], "event_timestamp": AS_OF, "as_of_us": 0})
        store = registered_store()
        service = store.get_feature_service(FEATURE_SERVICE)
        table = store.get_historical_features(features=service, entity_df=entities).to_df()
        assert table["purchase_days"].notna().all()

    def test_full_disk_leaves_no_files(self, shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(table: Any, path: Path) -> None:
            path.write_bytes(b"PAR1 half")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

        monkeypatch.setattr(snapshots.pq, "write_table", full)
        with pytest.raises(OSError, match="No space left"):
            build_snapshots(shop, registered_store(), AS_OF, KNOWN_AT)
        assert [path for path in shop.snapshots.rglob("*") if path.is_file()] == []
        monkeypatch.undo()
        with use_data_folder(shop.data):
            assert all(item.built for item in build_snapshots(shop, registered_store(), AS_OF, KNOWN_AT))

    def test_snapshot_path_differs_by_view_as_of_and_known_at(self, shop: Settings) -> None:
        view, other, *_ = registered_store().list_feature_views()
        base = snapshot_path(view, AS_OF, KNOWN_AT)
        others = {
            snapshot_path(other, AS_OF, KNOWN_AT),
            snapshot_path(view, AS_OF + MICROSECOND, KNOWN_AT),
            snapshot_path(view, AS_OF, KNOWN_AT + MICROSECOND),
        }
        assert len(others | {base}) == 4
        assert base == snapshot_path(view, AS_OF.astimezone(), KNOWN_AT.astimezone())
