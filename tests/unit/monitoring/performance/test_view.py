"""Performance view: matured cohorts are measured, others estimated; a degraded champion is found."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from feature_repo.settings import Settings
from feature_repo.timestamps import epoch_us
from holdfast.batch_scoring.outcomes import load_cohort_outcomes
from holdfast.batch_scoring.scores_table import read_scores, scores_path
from holdfast.core.plot_style import render_png
from holdfast.ingestion.history_extent import DataGap, read_extent
from holdfast.model_versions.records import PromotionRecord, RollbackRecord
from holdfast.monitoring.metrics_store import read_metrics, write_metrics
from holdfast.monitoring.performance.view import run_performance_view
from holdfast.monitoring.settings import MonitorSettings
from holdfast.monitoring.window import Window
from tests.support.labels import purchase_label
from tests.support.prediction_batches import make_batch, write_log
from tests.support.registered_versions import register_version
from tests.support.scored_shop import MONTHS, copy_scored_shop, promote, score
from tests.support.small_shop import AS_OF, FIRST, KNOWN_AT

LABEL = purchase_label()
RULES = MonitorSettings.model_validate({"outcome": {"min_rows": 30, "resamples": 50}})
WINDOW = Window(AS_OF - timedelta(days=1), AS_OF, KNOWN_AT)


@pytest.fixture
def scored(tmp_path: Path) -> Iterator[tuple[Settings, Any]]:
    """Create a scored shop, with MLflow's client."""
    with copy_scored_shop(tmp_path) as shop:
        yield shop


def _statuses(found: Any) -> dict[str, str]:
    return {f"{row['cohort']} by {row['version']}": row["known"] for row in found.table}


def _row(found: Any, metric: str, subject: str, version: str = "1") -> Any:
    (row,) = (row for row in found.metrics if (row.metric, row.subject, row.version) == (metric, subject, version))
    return row


def test_performance_view_measures_matured_cohorts(scored: tuple[Settings, Any]) -> None:
    settings, _ = scored
    found = run_performance_view(settings, WINDOW, RULES)
    assert _statuses(found) == {
        "2024-06-01 by 1": "estimate",
        "2024-05-01 by 1": "estimate",
        "2024-04-01 by 1": "measured",
        "2024-03-01 by 1": "measured",
        "2024-02-01 by 1": "measured",
        "2024-01-01 by 1": "in hindsight",
    }
    assert found.summary == "6 cohorts: 3 measured, 2 estimated, 1 in hindsight; the next matures on 2024-07-30"
    rows = {row["cohort"]: row for row in found.table}
    assert rows["2024-05-01"]["note"] == "matures on 2024-07-30"
    assert rows["2024-05-01"]["churned"] == ""
    assert rows["2024-01-01"]["note"] == "version 1 was trained on events up to 2024-01-20"
    assert rows["2024-01-01"]["ROC-AUC"] == ""
    assert found.report is not None and found.report() is not None
    assert not found.findings
    assert render_png(found.plot)


def test_performance_view_cohort_with_a_gap_in_its_horizon_is_not_measured(
    scored: tuple[Settings, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, _ = scored
    gap = DataGap(datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 5, tzinfo=UTC), 0)
    extent = read_extent(settings, KNOWN_AT, AS_OF)
    assert extent is not None
    monkeypatch.setattr("holdfast.training.label_extent.read_extent", lambda *times: replace(extent, gaps=(gap,)))
    found = run_performance_view(settings, WINDOW, RULES)
    statuses = _statuses(found)
    assert statuses["2024-04-01 by 1"] == "measured"
    rows = {row["cohort"]: row for row in found.table}
    for cohort in ("2024-02-01", "2024-03-01"):
        assert statuses[f"{cohort} by 1"] == "estimate"
        assert rows[cohort]["note"] == "outcomes unknown: gap in the data 2024-02-01 to 2024-03-04"


def test_performance_view_settings_of_today_have_no_effect(scored: tuple[Settings, Any]) -> None:
    """The horizon and the activity window may change while the champion serves."""
    settings, _ = scored
    customers = ["c001", "c002"]
    log = make_batch(customers, as_of_us=np.full(2, epoch_us(MONTHS[1])), answered_at_us=epoch_us(MONTHS[1]))
    write_log(settings.predictions, log)
    expected = run_performance_view(settings, WINDOW, RULES)
    changed = settings.model_copy(update={"horizon_days": 30, "activity_days": 1})
    found = run_performance_view(changed, WINDOW, RULES)
    assert (found.summary, found.table, found.metrics) == (expected.summary, expected.table, expected.metrics)


def test_performance_view_each_version_is_evaluated_by_its_label(scored: tuple[Settings, Any]) -> None:
    settings, client = scored
    short = register_version(
        client,
        tags={"holdfast.as_of": MONTHS[0].isoformat()},
        horizon_days=30,
        activity_days=60,
        label_sql=purchase_label(30, 60).sql,
    )
    promote(client, short)
    score(settings, MONTHS[4:5])
    found = run_performance_view(settings, WINDOW, RULES)
    statuses = _statuses(found)
    assert statuses[f"2024-05-01 by {short}"] == "measured"  # 30 days later the data had not ended
    assert statuses["2024-04-01 by 1"] == "measured"
    table = read_scores(scores_path(settings.scores, MONTHS[4]))
    table = table[table["active"]]
    label = purchase_label(30, 60)
    churned = load_cohort_outcomes(settings, label, table, MONTHS[4], KNOWN_AT)
    assert _row(found, "churned", "2024-05-01", short).value == churned.mean()
    assert _row(found, "churned", "2024-05-01", short).rows == len(table)


def test_performance_view_version_without_its_label_is_not_evaluated(scored: tuple[Settings, Any]) -> None:
    settings, client = scored
    early = register_version(client, tags={"holdfast.as_of": MONTHS[0].isoformat()}, label_sql="")
    promote(client, early)
    score(settings, MONTHS[2:3])
    found = run_performance_view(settings, WINDOW, RULES)
    assert not any(name.endswith(f"by {early}") for name in _statuses(found))
    (note,) = [note for note in found.notes if "without the SQL of its label" in note]
    assert note.startswith(f"Version {early} is not evaluated: ")


def test_performance_view_metrics_equal_scikit_learn(scored: tuple[Settings, Any]) -> None:
    settings, _ = scored
    found = run_performance_view(settings, WINDOW, RULES)
    table = read_scores(scores_path(settings.scores, MONTHS[2]))
    table = table[table["active"]]
    churned = load_cohort_outcomes(settings, LABEL, table, MONTHS[2], KNOWN_AT)
    scores, offered = table["churn_probability"].to_numpy(), table["will_churn"].to_numpy()
    expected = {
        "roc_auc": roc_auc_score(churned, scores),
        "pr_auc": average_precision_score(churned, scores),
        "brier": brier_score_loss(churned, scores),
        "bias": scores.mean() - churned.mean(),
        "earned": (3.0 * (offered & churned) - 2.0 * offered).mean(),
    }
    for metric, value in expected.items():
        row = _row(found, metric, "2024-03-01")
        assert row.value == pytest.approx(value)
        assert row.low <= row.value <= row.high
        assert (row.rows, row.estimated) == (len(table), False)
    assert _row(found, "churned", "2024-03-01").value == churned.mean()


def test_performance_view_marks_estimates(scored: tuple[Settings, Any]) -> None:
    settings, _ = scored
    found = run_performance_view(settings, WINDOW, RULES)
    estimated = {(row.metric, row.subject) for row in found.metrics if row.estimated}
    assert estimated == {(m, f"2024-{month}-01") for m in ("roc_auc", "brier", "earned") for month in ("05", "06")}
    assert not any(row.breached for row in found.metrics if row.estimated)
    write_metrics(settings, "outcome", WINDOW.start, WINDOW.as_of, found.metrics)
    assert read_metrics(settings, "outcome")["estimated"].sum() == 6


def test_performance_view_cohort_before_arrival_of_its_data_is_estimated(scored: tuple[Settings, Any]) -> None:
    """The data known in mid-June end on May 31: the horizon of March 1 has closed, the horizon of April 1 has not."""
    settings, _ = scored
    window = Window(AS_OF - timedelta(days=1), AS_OF, datetime(2024, 6, 15, tzinfo=UTC))
    known = _statuses(run_performance_view(settings, window, RULES))
    assert (known["2024-03-01 by 1"], known["2024-04-01 by 1"]) == ("measured", "estimate")


def test_performance_view_degraded_champion_has_finding(scored: tuple[Settings, Any]) -> None:
    settings, client = scored
    version = register_version(client, "inverted", tags={"holdfast.as_of": MONTHS[1].isoformat()})
    promote(client, version)
    score(settings, MONTHS[2:])
    found = run_performance_view(settings, WINDOW, RULES)
    (finding,) = found.findings
    assert (finding.event, finding.severity, finding.subject) == ("holdfast.quality.dropped", "critical", "version-2")
    payload = finding.payload
    assert (payload["version"], payload["cohort"], payload["metric"]) == ("2", "2024-04-01", "roc_auc")
    assert payload["measured"]["high"] < payload["expected"]["low"]
    assert "ROC-AUC" in finding.summary
    json.dumps(payload)
    assert _row(found, "roc_auc", "2024-04-01", "2").breached
    assert _row(found, "roc_auc", "2024-04-01", "2").limit == payload["expected"]["low"]
    before = _row(found, "roc_auc", "2024-03-01", "2")
    assert before.high < before.limit and not before.breached, "an older degradation must not trigger training"
    assert not _row(found, "roc_auc", "2024-02-01", "1").breached
    # The scores of version 1 for the same months were archived.
    assert _statuses(found)["2024-04-01 by 1"] == "measured"
    promote(client, "1")
    assert not run_performance_view(settings, WINDOW, RULES).findings, "only the champion is checked"


def test_performance_view_unreadable_test_metrics_have_note(scored: tuple[Settings, Any]) -> None:
    settings, client = scored
    promote(client, register_version(client, without="evaluation.json"))
    found = run_performance_view(settings, WINDOW, RULES)
    assert "The test metrics of version 2 cannot be read" in found.notes[0]
    assert not found.findings
    assert render_png(found.plot)


def test_performance_view_small_cohorts_are_not_measured(scored: tuple[Settings, Any]) -> None:
    settings, _ = scored
    found = run_performance_view(settings, WINDOW, MonitorSettings.model_validate({"outcome": {"min_rows": 10_000}}))
    assert set(_statuses(found).values()) == {"too few", "in hindsight"}
    assert "at least 10000 are needed" in found.table[0]["note"]
    assert [row.metric for row in found.metrics] == ["mature_cohorts"]
    assert render_png(found.plot)


def _log(settings: Settings, months: list[datetime], per_day: int, **changes: Any) -> None:
    """Log requests for customers of the score tables, on the first days of months, at noon."""
    for month in months:
        table = read_scores(scores_path(settings.scores, month))
        table = table[table["active"]]
        for day in range(3):
            rows = table.iloc[day * per_day : (day + 1) * per_day]
            at = np.full(len(rows), epoch_us(month + timedelta(days=day, hours=12)))
            recency = np.full((len(rows), 1), 30.0)
            fields = {
                "version": "1", "customer_ids": rows["customer_id"].tolist(), "as_of_us": at, "inputs": recency,
                "input_names": ["days_since_last_purchase"], "predictions": rows["churn_probability"].to_numpy(),
                "views": ["history"], "timestamps_us": at[:, np.newaxis], "answered_at_us": epoch_us(AS_OF),
            }  # fmt: skip
            write_log(settings.predictions, make_batch([f"r{i}" for i in range(len(rows))], **fields | changes))


def test_performance_view_groups_requests_by_month(scored: tuple[Settings, Any]) -> None:
    settings, _ = scored
    _log(settings, [MONTHS[1], MONTHS[5]], per_day=20)
    _log(settings, [MONTHS[1]], per_day=20)  # repeated requests
    _log(settings, [MONTHS[1]], per_day=20, route="shadow", version="2")
    _log(settings, [MONTHS[1]], per_day=5, inputs=np.full((5, 1), 400.0))  # earlier, but inactive
    found = run_performance_view(settings, WINDOW, RULES)
    known = {name: status for name, status in _statuses(found).items() if "requests" in name}
    assert known == {"2024-02 requests by 1": "measured", "2024-06 requests by 1": "estimate"}
    row = next(row for row in found.table if row["cohort"] == "2024-02 requests")
    assert row["customers"] == 60
    assert next(row for row in found.table if row["cohort"] == "2024-06 requests")["note"] == "matures on 2024-09-28"
    assert render_png(found.plot)


def test_performance_view_cohort_of_one_class_has_no_auc(scored: tuple[Settings, Any]) -> None:
    settings, _ = scored
    table = read_scores(scores_path(settings.scores, MONTHS[1]))
    table = table[table["active"]]
    stayed = table[~load_cohort_outcomes(settings, LABEL, table, MONTHS[1], KNOWN_AT)]
    at = np.full(len(stayed), epoch_us(MONTHS[1] + timedelta(hours=12)))
    batch = make_batch(
        [f"r{i}" for i in range(len(stayed))], customer_ids=stayed["customer_id"].tolist(), as_of_us=at,
        predictions=stayed["churn_probability"].to_numpy(),
    )  # fmt: skip
    write_log(settings.predictions, batch)
    found = run_performance_view(settings, WINDOW, RULES)
    row = next(row for row in found.table if row["cohort"] == "2024-02 requests")
    assert (row["known"], row["churned"], row["ROC-AUC"]) == ("measured", "0.0%", "")
    assert "all customers stayed: no ranking metrics" in row["note"]
    assert row["Brier"]


def test_performance_view_without_scores_or_versions_is_empty(scored: tuple[Settings, Any]) -> None:
    settings, _ = scored
    shutil.rmtree(settings.scores)
    unscored = run_performance_view(settings, WINDOW, RULES)
    shutil.rmtree(settings.mlflow)
    nothing = run_performance_view(settings, WINDOW, RULES)
    assert unscored.summary == "No customer was scored: there is no cohort to measure."
    assert nothing.summary == "No version was ever registered."
    for found in (unscored, nothing):
        assert [(row.metric, row.value) for row in found.metrics] == [("mature_cohorts", 0.0)]
        assert render_png(found.plot)


def test_list_model_events_has_trainings_promotions_and_rollbacks(scored: tuple[Settings, Any]) -> None:
    from holdfast.model_versions.champion_history import read_champion_history, read_training_times
    from holdfast.monitoring.performance.cohorts import load_score_cohorts
    from holdfast.monitoring.performance.model_events import ModelEvent, list_model_events

    settings, client = scored
    trained = MONTHS[3] - timedelta(days=1)
    version = register_version(client, tags={"holdfast.as_of": trained.isoformat()})
    when = datetime(2026, 1, 1, tzinfo=UTC)
    promote(client, version)
    score(settings, MONTHS[3:5])
    fields: dict[str, Any] = {"when": when, "who": "me", "why": "so"}
    PromotionRecord(previous="1", mode="auto", gates="k", **fields).save(client, version)
    RollbackRecord(to="1", **fields).save(client, version)
    cohorts = load_score_cohorts(settings, FIRST, AS_OF, "month")
    found = list_model_events(settings, read_champion_history(client), read_training_times(client), cohorts)
    assert [(event.kind, event.version, event.time) for event in found if event.version == version] == [
        ("trained", version, trained),
        ("promoted", version, MONTHS[3]),
        ("rolled back", version, MONTHS[4]),
    ]
    on_wall_clock = list_model_events(
        settings.model_copy(update={"clock": "wall"}),
        read_champion_history(client),
        read_training_times(client),
        cohorts,
    )
    assert ModelEvent(when, "promoted", version) in on_wall_clock
    assert ModelEvent(when, "rolled back", version) in on_wall_clock


def test_load_score_cohorts_uses_first_table_of_period(scored: tuple[Settings, Any]) -> None:
    from holdfast.monitoring.performance.cohorts import load_score_cohorts

    settings, _ = scored
    later = MONTHS[4] + timedelta(days=10)
    score(settings, [later])
    assert later not in [cohort.as_of for cohort in load_score_cohorts(settings, FIRST, AS_OF, "month")]
    assert later in [cohort.as_of for cohort in load_score_cohorts(settings, FIRST, AS_OF, "week")]
    assert [cohort.as_of for cohort in load_score_cohorts(settings, MONTHS[4], MONTHS[4], "day")] == [MONTHS[4]]
