"""Drift view on the log of a real service: no finding after a normal day, findings for broken inputs."""

import functools
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from feature_repo.settings import Settings
from feature_repo.timestamps import DAY_US
from holdfast.core.plot_style import render_png
from holdfast.core.prediction_log import ScoredBatch, read_predictions
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.definition_versions import list_versions
from holdfast.feature_store.version_retirement import retire_version
from holdfast.models.contract import MODEL_NAME, model_inputs
from holdfast.models.fingerprint import fingerprint
from holdfast.models.label import RECENCY_FEATURE, LabelTerms
from holdfast.monitoring.drift.psi import SCORE
from holdfast.monitoring.drift.reference import NoReferenceError, load_reference, load_training_rows
from holdfast.monitoring.drift.view import latest_predictions, run_drift_view, select_active
from holdfast.monitoring.metrics_store import read_metrics, write_metrics
from holdfast.monitoring.result import ViewResult
from holdfast.monitoring.settings import DriftRules, MonitorSettings
from holdfast.training.mlflow_client import open_tracking
from tests.support.definition_versions import change_window, open_only, register_changed
from tests.support.labels import purchase_label
from tests.support.main_job import STATE
from tests.support.prediction_batches import write_log
from tests.support.registered_versions import register_version
from tests.support.served_shop import NOON, copy_served_shop, day_window, serve
from tests.support.small_shop import AS_OF, KNOWN_AT, use_data_folder

RULES = MonitorSettings(drift=DriftRules(min_rows=50))


@functools.cache
def known_day() -> Path:
    """Create a normal day with two versions trained at ``AS_OF`` and their stored references; read only."""
    with copy_served_shop(Path(tempfile.mkdtemp(dir=STATE, prefix="known-"))) as settings:
        client = open_tracking(settings)
        for version in ("1", "2"):
            for name, time in (("as_of", AS_OF), ("known_at", KNOWN_AT)):
                client.set_model_version_tag(MODEL_NAME, version, f"holdfast.{name}", time.isoformat())
            load_reference(client, settings, version)
        return settings.data


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Settings]:
    """Point this process to a copy of the known day."""
    with use_data_folder(
        Path(shutil.copytree(known_day(), tmp_path / "data")), HOLDFAST_CLOCK=NOON.isoformat()
    ) as settings:
        yield settings


def log_again(
    settings: Settings, change: Callable[[pd.DataFrame], pd.DataFrame], version: str = "1", days: int = 0
) -> None:
    """Replace the log by the predictions of version 1, changed."""
    frame = read_predictions(settings.predictions).to_pandas()
    inputs = [feature.name for feature in model_inputs(open_only(settings.data))]
    frame = change(frame[frame["version"] == "1"].reset_index(drop=True))
    as_of = frame["as_of"].astype("datetime64[us, UTC]").astype("int64").to_numpy() + days * DAY_US
    shutil.rmtree(settings.predictions)
    batch = ScoredBatch(
        version=version,
        route="champion",
        answered_at_us=int(NOON.timestamp() * 1e6),
        request_ids=frame["request_id"].tolist(),
        customer_ids=frame["customer_id"].tolist(),
        as_of_us=as_of,
        input_names=inputs,
        inputs=frame[inputs].to_numpy(dtype=float),
        views=["customer_purchase_history"],
        timestamps_us=np.zeros((len(frame), 1), dtype=np.int64),
        predictions=frame["churn_probability"].to_numpy(),
        stale=np.zeros(len(frame), dtype=bool),
    )
    write_log(settings.predictions, batch)


def value(found: ViewResult, metric: str, subject: str, version: str = "1") -> float:
    (row,) = [row for row in found.metrics if (row.metric, row.subject, row.version) == (metric, subject, version)]
    return row.value


def test_drift_view_normal_day_has_no_finding(day: Settings) -> None:
    found = run_drift_view(day, day_window(), RULES)
    assert list(found.findings) == []
    assert "0 of 44 features and scores drifted" in found.summary
    assert value(found, "psi_population", "total_amount") < 0.05
    assert value(found, "customers", "predictions") == 300
    assert 0.3 < value(found, "active_share", "predictions") < 0.9
    assert {row["feature"] for row in found.table} >= {"total_amount", SCORE}
    assert render_png(found.plot)
    assert list(found.notes) == []
    assert found.report is not None and "mean_gap_days" in str(found.report().dict())
    write_metrics(day, "drift", day_window().start, day_window().as_of, found.metrics)
    assert not read_metrics(day, "drift")["breached"].any()


def test_drift_view_settings_of_today_have_no_effect(day: Settings) -> None:
    expected = run_drift_view(day, day_window(), RULES)
    shutil.rmtree(day.monitoring / "reference")  # joined again, by the label of each version
    found = run_drift_view(day.model_copy(update={"horizon_days": 30, "activity_days": 1}), day_window(), RULES)
    assert (found.summary, found.table, found.metrics) == (expected.summary, expected.table, expected.metrics)


def test_drift_view_broken_input_has_finding_with_figures(day: Settings) -> None:
    log_again(day, lambda rows: rows.assign(total_amount=0.0, mean_gap_days=np.nan))
    found = run_drift_view(day, day_window(), RULES)
    assert {item.subject for item in found.findings} == {"total_amount", "mean_gap_days"}
    payload = next(item.payload for item in found.findings if item.subject == "total_amount")
    assert payload["version"] == "1" and payload["psi"] > payload["limit"] == 0.25 and payload["p_value"] < 1e-6
    assert payload["as_of"] == day_window().as_of.isoformat()
    assert {row.subject for row in found.metrics if row.breached} == {"total_amount", "mean_gap_days"}
    assert render_png(found.plot)
    assert found.report is not None and found.report() is not None


def test_drift_view_changed_scores_have_finding(day: Settings) -> None:
    log_again(day, lambda rows: rows.assign(churn_probability=rows["churn_probability"] ** 3))
    assert [item.subject for item in run_drift_view(day, day_window(), RULES).findings] == [SCORE]


def test_drift_view_counts_repeated_requests_once(day: Settings) -> None:
    before = run_drift_view(day, day_window(), RULES)
    serve(day, NOON, [f"c{number:03d}" for number in range(40)] * 2)
    after = run_drift_view(day, day_window(), RULES)
    for metric, subject in (("customers", "predictions"), ("psi", "total_amount")):
        assert value(after, metric, subject) == value(before, metric, subject)


def test_latest_predictions_selects_last_of_repeated_requests() -> None:
    times = pd.to_datetime([3, 1, 2, 2], unit="D", utc=True)
    log = {"customer_id": ["a", "a", "b", "a"], "as_of": times, "answered_at": times, "version": ["1", "1", "1", "2"]}
    rows = latest_predictions(pa.table(pd.DataFrame(log | {"churn_probability": [0.1, 0.2, 0.3, 0.4]})))
    assert sorted(rows["1"][SCORE]) == [0.1, 0.3]
    assert rows["2"][SCORE].tolist() == [0.4]


def test_select_active_excludes_unknown_recency() -> None:
    rows = pd.DataFrame({RECENCY_FEATURE: [10.0, 180.0, 181.0, np.nan]})
    assert select_active(rows, LabelTerms().activity).index.tolist() == [0, 1]


def test_drift_view_empty_window_is_empty(day: Settings) -> None:
    found = run_drift_view(day, day_window(AS_OF + timedelta(days=30)), RULES)
    assert found.summary == "No prediction was logged in the window."
    assert [(row.metric, row.value) for row in found.metrics] == [("customers", 0)]
    assert found.report is None and render_png(found.plot)


def test_drift_view_too_few_customers_have_note(day: Settings) -> None:
    log_again(day, lambda rows: rows.head(60).assign(total_amount=0.0))
    found = run_drift_view(day, day_window(), MonitorSettings())
    assert list(found.findings) == []
    assert "active customers, at least 200 are needed" in found.notes[0]
    assert "not checked" in found.summary


def test_drift_view_unknown_version_has_note(day: Settings) -> None:
    log_again(day, lambda rows: rows, version="77")
    found = run_drift_view(day, day_window(), RULES)
    assert found.notes == ["Version 77 was not compared: version 77 or its run is no longer in the registry."]
    assert value(found, "customers", "predictions", "77") == 300


def test_load_reference_equals_training_set_and_is_stored(day: Settings) -> None:
    client = open_tracking(day)
    first = load_reference(client, day, "1")
    assert first.names[-1] == SCORE and first.as_of == AS_OF
    assert np.array_equal(first.training[:, :-1], load_training_rows(client, day, "1").x, equal_nan=True)
    assert 0 < len(first.training_population) < 300
    shutil.rmtree(day.snapshots)
    shutil.rmtree(day.feast)  # the definitions are not needed
    again = load_reference(client, day, "1")
    assert np.array_equal(first.training_population, again.training_population, equal_nan=True)
    assert np.array_equal(first.training, again.training, equal_nan=True)


def test_load_reference_with_missing_run_files_raises(day: Settings) -> None:
    client = open_tracking(day)
    run_id = client.get_model_version(MODEL_NAME, "1").run_id
    with sqlite3.connect(day.mlflow / "mlflow.db") as database:
        database.execute(
            "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", ((day.data / "removed").as_uri(), run_id)
        )
    (path,) = (day.monitoring / "reference").glob("1-*.parquet")
    path.unlink()
    with pytest.raises(NoReferenceError, match="version 1"):
        load_reference(client, day, "1")
    found = run_drift_view(day, day_window(), RULES)
    assert "Version 1 was not compared" in found.notes[0]
    assert {row["version"] for row in found.table} == {"2"}


def test_load_reference_of_a_version_on_other_definitions(day: Settings) -> None:
    """Training rows and population have the inputs of the version's definitions, whatever is applied today."""
    client = open_tracking(day)
    before = load_reference(client, day, "1")
    shutil.rmtree(day.monitoring / "reference")
    second = register_changed(change_window)
    number = register_version(client, fingerprint=fingerprint(open_store(definitions=second), purchase_label()))
    for name, time in (("as_of", AS_OF), ("known_at", KNOWN_AT)):
        client.set_model_version_tag(MODEL_NAME, number, f"holdfast.{name}", time.isoformat())
    again, other = load_reference(client, day, "1"), load_reference(client, day, number)
    assert again.names == other.names
    assert np.array_equal(before.training, again.training, equal_nan=True)
    assert np.array_equal(before.training_population, again.training_population, equal_nan=True)
    changed = (before.training != other.training) & ~np.isnan(before.training)
    names = {before.names[column] for column in np.flatnonzero(changed.any(axis=0))}
    windows = {name for name in before.names if name.endswith(("_30d", "_90d", "_180d"))}
    assert {"amount_30d", SCORE} <= names <= windows | {SCORE}
    assert other.on_demand and again.on_demand


def test_drift_view_of_retired_definitions_needs_a_stored_reference(day: Settings) -> None:
    """A reference outlives its definitions; without one, the note states why the version was not compared."""
    (version,) = list_versions(day)
    retire_version(day, version, "nothing uses it")
    assert run_drift_view(day, day_window(), RULES).notes == []
    assert load_reference(open_tracking(day), day, "1").on_demand == []
    shutil.rmtree(day.monitoring / "reference")
    found = run_drift_view(day, day_window(), RULES)
    assert [note.split(" at ")[0] for note in found.notes] == [
        f"Version {number} was not compared: Version {version} of the feature definitions was retired"
        for number in ("1", "2")
    ]
