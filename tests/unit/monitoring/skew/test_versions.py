"""Skew view of models with several versions of the feature definitions: each is recomputed by its own."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from feature_repo.settings import Settings
from feature_repo.timestamps import epoch_us
from holdfast.batch_scoring.population import ScoringPopulation, load_all_customers
from holdfast.core.definition_hashes import list_stored_views
from holdfast.core.plot_style import render_png
from holdfast.core.prediction_log import ScoredBatch
from holdfast.feast_stores.open_store import open_store, version_folder
from holdfast.feature_store.definition_versions import list_versions
from holdfast.feature_store.historical_features import join_features
from holdfast.feature_store.version_retirement import retire_version
from holdfast.models.contract import ScoredExample, model_inputs
from holdfast.models.fingerprint import fingerprint
from holdfast.monitoring.metrics_store import write_metrics
from holdfast.monitoring.settings import MonitorSettings
from holdfast.monitoring.skew.findings import describe_open_skew
from holdfast.monitoring.skew.view import run_skew_view
from holdfast.training.mlflow_client import open_tracking
from tests.support.definition_versions import ADDED, CHANGES, add_feature, change_window, register_changed
from tests.support.feature_oracle import Transaction
from tests.support.labels import purchase_label
from tests.support.prediction_batches import write_log
from tests.support.registered_versions import copy_base_shop, register_version
from tests.support.served_shop import NOON, day_window
from tests.support.small_shop import AS_OF, KNOWN_AT, ingest

pytestmark = pytest.mark.long

RULES = MonitorSettings()


@pytest.fixture
def morning(tmp_path: Path) -> Iterator[Settings]:
    """Create the shop with features and model version 1, before the first request."""
    with copy_base_shop(tmp_path) as (settings, client):
        register_version(client)
        yield settings


def register_model(settings: Settings, definitions: str) -> str:
    """Register a model version on a version of the feature definitions; it is not loaded."""
    names = [feature.name for feature in model_inputs(open_store(definitions=definitions))]
    empty: list[float | None] = [None for _ in names]
    return register_version(
        open_tracking(settings),
        fingerprint=fingerprint(open_store(definitions=definitions), purchase_label()),
        inputs=names,
        reference=empty,
        examples=[ScoredExample(inputs=empty, churn_probability=0.5)],
    )


def log_predictions(
    settings: Settings, version: str, definitions: str, changed: Mapping[tuple[str, str], float] | None = None
) -> ScoringPopulation:
    """Log a prediction of each customer at ``NOON`` by a model version; ``changed``: customer and input to a value."""
    rows = load_all_customers(settings, definitions, AS_OF, KNOWN_AT)
    store = open_store(KNOWN_AT, definitions=definitions)
    entities = pd.DataFrame({"customer_id": rows.ids, "event_timestamp": AS_OF, "as_of_us": epoch_us(NOON)})
    joined = join_features(store, entities).to_pandas().set_index("customer_id").loc[rows.ids]
    names = [feature.name for feature in rows.inputs]
    x = joined[names].to_numpy(dtype=np.float64)
    for (customer, name), value in (changed or {}).items():
        x[rows.ids.index(customer), names.index(name)] = value
    views = [view.name for view in list_stored_views(store)]
    batch = ScoredBatch(
        version=version,
        route="champion",
        answered_at_us=epoch_us(NOON),
        request_ids=rows.ids,
        customer_ids=rows.ids,
        as_of_us=np.full(len(rows.ids), epoch_us(NOON)),
        input_names=names,
        inputs=x,
        views=views,
        timestamps_us=np.full((len(rows.ids), len(views)), epoch_us(AS_OF)),
        predictions=np.full(len(rows.ids), 0.5),
        stale=np.zeros(len(rows.ids), dtype=bool),
    )
    write_log(settings.predictions, batch)
    return replace(rows, x=x)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_skew_view_recomputes_each_version_by_its_definitions(morning: Settings, change: Callable[[Any], None]) -> None:
    """Two models with other feature definitions answered on the same day."""
    first, second = list_versions(morning)[0], register_changed(change)
    old = log_predictions(morning, "1", first)
    new = log_predictions(morning, register_model(morning, second), second)
    assert (old.inputs, old.x.tolist()) != (new.inputs, new.x.tolist())
    found = run_skew_view(morning, day_window(), RULES)
    assert found.summary == f"{old.x.size + new.x.size:,} values of {len(new.ids)} customers compared, 0 differences"
    assert not found.findings
    assert found.notes == []
    subjects = {row.subject for row in found.metrics if row.metric == "mismatches"}
    assert subjects == {feature.name for feature in [*old.inputs, *new.inputs]}
    assert found.report is not None and found.report() is not None


def test_skew_view_names_the_version_whose_value_differs(morning: Settings) -> None:
    """A wrong value of one model, and late data that one of two models lacked have one cause each."""
    first, second = list_versions(morning)[0], register_changed(add_feature)
    log_predictions(morning, "1", first)
    number = register_model(morning, second)
    log_predictions(morning, number, second, {("c001", ADDED): 99.0})
    found = run_skew_view(morning, day_window(), RULES)
    (finding,) = found.findings
    assert (finding.subject, finding.payload["features"]) == ("customer_recent_activity.unexplained", {ADDED: 1})
    assert (finding.payload["versions"], finding.payload["count"]) == ([number], 1)
    late = Transaction("c001", AS_OF - timedelta(days=3), 70.25, KNOWN_AT + timedelta(days=1))
    ingest(morning.data, [late], late.ingested_at)
    found = run_skew_view(morning, day_window(), RULES)
    assert {(row["version"], row["likely cause"]) for row in found.table} == {
        ("1", "late data"), (number, "late data"), (number, "unexplained"),
    }  # fmt: skip
    recomputed = {row["version"]: row["recomputed"] for row in found.table if row["feature"].endswith(":amount_30d")}
    assert len(set(recomputed.values())) == 1, "both versions have this feature"


def test_skew_view_values_of_other_definitions_are_unexplained(morning: Settings) -> None:
    """The check can fail: values of the changed definitions, logged by the model of the old ones, differ."""
    second = register_changed(change_window)
    values = log_predictions(morning, "1", second)
    found = run_skew_view(morning, day_window(), RULES)
    assert {finding.subject for finding in found.findings} == {"customer_recent_activity.unexplained"}
    assert sum(finding.payload["customers"] for finding in found.findings) > len(values.ids) / 4


def test_skew_view_changed_code_and_applied_definitions_do_not_matter(
    morning: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The served version is recomputed from its registered SQL and function, whatever this checkout has."""
    from feature_repo import transformations
    from feature_repo.on_demand_feature_views import customer_request_time

    rows = log_predictions(morning, "1", list_versions(morning)[0])
    shutil.rmtree(morning.snapshots)
    monkeypatch.setattr(customer_request_time, "feature_transformation", None)
    monkeypatch.setattr(transformations, "BUILDERS", {})
    for change in CHANGES.values():
        change(open_store())
    found = run_skew_view(morning, day_window(), RULES)
    assert found.summary == f"{rows.x.size:,} values of {len(rows.ids)} customers compared, 0 differences"


def test_skew_view_retired_definitions_cannot_be_recomputed(morning: Settings) -> None:
    """A retirement is a decision: the finding stops no promotion, and the other version is compared."""
    first, second = list_versions(morning)[0], register_changed(change_window)
    number = register_model(morning, second)
    log_predictions(morning, "1", first)
    lost = log_predictions(morning, number, second)
    retire_version(morning, second, "the window was wrong")
    found = run_skew_view(morning, day_window(), RULES)
    (finding,) = found.findings
    assert (finding.subject, finding.severity) == (f"version-{number}.not-computable", "info")
    predictions = f"The inputs of {len(lost.ids)} predictions of version {number} cannot be recomputed."
    assert finding.summary.startswith(f"{predictions} Version {second} of the feature definitions was retired at ")
    assert "because: the window was wrong." in finding.summary
    assert found.summary.endswith(f"0 differences; {len(lost.ids)} predictions could not be recomputed")
    (row,) = [row for row in found.metrics if row.metric == "not_computable"]
    assert (row.value, row.version, row.breached) == (len(lost.ids), number, False)
    assert found.evaluated_subjects == (), "no alert is closed"
    write_metrics(morning, "skew", day_window().start, day_window().as_of, found.metrics)
    assert describe_open_skew(morning) is None


def test_skew_view_lost_definitions_are_critical(morning: Settings) -> None:
    (version,) = list_versions(morning)
    rows = log_predictions(morning, "1", version)
    shutil.rmtree(morning.data / version_folder(version))
    found = run_skew_view(morning, day_window(), RULES)
    (finding,) = found.findings
    assert (finding.subject, finding.severity) == ("version-1.not-computable", "critical")
    assert f"{version} of the feature definitions is not registered" in finding.summary
    assert found.summary.startswith(f"0 values of 0 customers compared, 0 differences; {len(rows.ids)} predictions")
    assert found.report is None and render_png(found.plot)
    write_metrics(morning, "skew", day_window().start, day_window().as_of, found.metrics)
    assert describe_open_skew(morning) is not None
