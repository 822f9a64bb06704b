"""Spend view: expected and observed spend of the score tables of a small shop."""

import json
import math
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from feature_repo.settings import Settings
from holdfast.batch_scoring.outcomes import load_spend
from holdfast.batch_scoring.score_store import list_score_tables
from holdfast.batch_scoring.scores_table import read_scores, write_scores
from holdfast.core.plot_style import render_png
from holdfast.core.types import Floats
from holdfast.ingestion.tables import scan_table
from holdfast.models.contract import CHAMPION, SERVED_MODEL_TAG, PredictedExample
from holdfast.models.label import LabelDefinition
from holdfast.monitoring.metrics_store import write_metrics
from holdfast.monitoring.settings import MonitorSettings
from holdfast.monitoring.spend.findings import expected_ranges
from holdfast.monitoring.spend.performance import measure_cohort
from holdfast.monitoring.spend.view import run_spend_view
from holdfast.monitoring.window import Window
from holdfast.retraining.policy import decide_retraining
from holdfast.retraining.settings import RetrainingRules
from holdfast.retraining.signals import read_signals
from holdfast.training.bootstrap import CustomerBootstrap
from holdfast.training.evaluation_report import EVALUATION_FILE, Interval
from holdfast.training.label_query import declared_label
from holdfast.training.mlflow_client import open_tracking
from holdfast.training.mlflow_tracking import PREDICTIONS_FILE
from holdfast.training.regression.report import RegressionEvaluation, SpendGroup
from tests.support.registry import build_contract
from tests.support.scored_shop import MONTHS, TRAINED, copy_scored_shop
from tests.support.small_shop import AS_OF, KNOWN_AT

SPEND = "holdfast-spend"
RULES = MonitorSettings.model_validate({"outcome": {"min_rows": 20, "resamples": 50}, "drift": {"min_rows": 20}})
WINDOW = Window(AS_OF - timedelta(days=1), AS_OF, KNOWN_AT)
Predict = Callable[[Floats, np.random.Generator], Floats]


def _good(spend: Floats, rng: np.random.Generator) -> Floats:
    """Predict with a random error that keeps the mean."""
    found: Floats = (0.6 * spend + 0.4 * spend.mean()) * rng.uniform(0.8, 1.2, len(spend))
    return found


def _evaluation(mean: float) -> RegressionEvaluation:
    known = Interval(value=0.5, low=0.3, high=0.7)
    total = Interval(value=1.0, low=0.8, high=1.2)
    group = SpendGroup(name="2024-01-01", rows=50, observed=mean, predicted=mean, total=total, bias=known)
    return RegressionEvaluation(
        chosen="tweedie",
        reason="",
        rows=50,
        cutoffs=[TRAINED],
        known_mean=mean,
        metrics={"model": {"spearman": known, "total": total}},
        gains={},
        months=[group],
        slices=[],
        fold_deviance={},
        family_gains={},
        over_mean=None,
    )


def _label(settings: Settings) -> LabelDefinition:
    return declared_label(settings, "spend")


def _observed(settings: Settings, rows: pd.DataFrame, as_of: Any) -> Floats:
    """Return the spend of the customers after the scoring time, or after the last one whose horizon has closed."""
    cutoff = min(as_of, MONTHS[3])
    return np.nan_to_num(load_spend(settings, _label(settings), rows[["customer_id"]].assign(cutoff=cutoff), KNOWN_AT))


def _write_spend(settings: Settings, predict: Predict) -> float:
    """Write expected spend of version 1 into every score table; returns the mean of the observed.

    The tables without outcomes have expectations of earlier ones, so that these do not drift.
    """
    rng, means, known = np.random.default_rng(5), [], np.array([])
    for table in list_score_tables(settings):
        rows, about = read_scores(table.path), pq.read_schema(table.path).metadata
        active = rows["active"].to_numpy()
        observed, expected = _observed(settings, rows, table.as_of), np.zeros(len(rows))
        if table.as_of > MONTHS[3]:
            expected[active] = rng.choice(known, active.sum())
        else:
            expected[active] = np.maximum(predict(observed[active], rng), 0)
            known = np.concatenate([known, expected[active]])
        means.append(observed[active].mean())
        risk = rows["churn_probability"] * expected
        rows = rows.assign(expected_spend=expected, value_at_risk=risk, spend_version="1")
        write_scores(rows, table.path, {b"holdfast": about[b"holdfast"]})
    return float(np.mean(means))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Settings]:
    with copy_scored_shop(tmp_path) as (settings, _):
        yield settings


def _prepare(settings: Settings, predict: Predict, reference: Predict | None = None) -> Any:
    """Register version 1 of the spend model with its test, and write its scores."""
    mean, client = _write_spend(settings, predict), open_tracking(settings, SPEND)
    client.create_registered_model(SPEND)
    run = client.create_run(client.get_experiment_by_name(SPEND).experiment_id).info.run_id
    client.log_text(run, _evaluation(mean).model_dump_json(), EVALUATION_FILE)
    tables = [read_scores(table.path).query("active")["expected_spend"] for table in list_score_tables(settings)]
    tested = (reference or (lambda spend, _: spend))(pd.concat(tables).to_numpy(), np.random.default_rng(1))
    file = settings.data / PREDICTIONS_FILE
    pd.DataFrame({"model": tested}).to_parquet(file)
    client.log_artifact(run, str(file))
    label = _label(settings)
    example = PredictedExample(inputs=[0.0, 1.0, None], value=1.0)
    fields = {"model_name": SPEND, "label_name": "spend", "label_sql": label.sql, "predicted_examples": [example]}
    contract = build_contract(None, b"", **fields)
    tags = {SERVED_MODEL_TAG: contract.model_dump_json(), "holdfast.as_of": TRAINED.isoformat()}
    client.create_model_version(SPEND, "nowhere", run, tags=tags)
    client.set_registered_model_alias(SPEND, CHAMPION, "1")
    return client


def test_spend_view_good_model_is_measured_without_findings(shop: Settings) -> None:
    _prepare(shop, _good)
    found = run_spend_view(shop, WINDOW, RULES)
    assert {row["cohort"]: row["known"] for row in found.table} == {
        "2024-01-01": "in hindsight",
        **dict.fromkeys(("2024-02-01", "2024-03-01", "2024-04-01"), "measured"),
        **dict.fromkeys(("2024-05-01", "2024-06-01"), "open"),
    }
    assert found.summary == "6 cohorts of the spend model: 3 measured; the next horizon closes on 2024-07-30"
    assert (list(found.findings), found.notes) == ([], [])
    assert not any(row.breached for row in found.metrics)
    values = {(row.metric, row.subject): row for row in found.metrics}
    tenths = [values[("expected", f"2024-04-01 tenth {number}")] for number in range(1, 11)]
    total = values[("expected", "2024-04-01")]
    assert sum(row.value * row.rows for row in tenths) == pytest.approx(total.value * total.rows)
    assert values[("deviance_saved", "2024-04-01")].low > 0
    assert render_png(found.plot)
    json.dumps(list(found.table))


@pytest.mark.parametrize(
    ("predict", "text"),
    [
        (lambda spend, rng: 3 * _good(spend, rng), "predicted / observed total "),
        (lambda spend, rng: _good(spend, rng) / 3, "predicted / observed total 0."),
        (lambda spend, rng: rng.permutation(_good(spend, rng)), "rank correlation"),
        (lambda spend, rng: spend.max() - spend, "Tweedie deviance saved over the mean spend"),
    ],
)
def test_spend_view_wrong_predictions_have_a_finding_that_names_the_model(
    shop: Settings, predict: Predict, text: str
) -> None:
    _prepare(shop, predict)
    found = run_spend_view(shop, WINDOW, RULES)
    (finding,) = [item for item in found.findings if item.event == "holdfast.quality.dropped"]
    assert (finding.subject, finding.payload["model"]) == ("spend.version-1", "spend")
    assert finding.summary.startswith("Spend model version 1 is worse than in its test on the ")
    assert text in finding.summary
    assert {row.subject for row in found.metrics if row.breached and row.metric != "psi"} == {"2024-04-01"}
    assert found.is_evaluated(finding.key)


def test_spend_view_drifted_predictions_are_a_signal_for_the_spend_model_only(shop: Settings) -> None:
    def half(spend: Floats, rng: np.random.Generator) -> Floats:
        return spend / 4

    _prepare(shop, _good, half)
    latest = list_score_tables(shop)[-1]
    rows = read_scores(latest.path)
    rows["expected_spend"] *= 5
    write_scores(rows.assign(value_at_risk=rows["churn_probability"] * rows["expected_spend"]), latest.path,
                 pq.read_schema(latest.path).metadata)  # fmt: skip
    found = run_spend_view(shop, WINDOW, RULES)
    (finding,) = [item for item in found.findings if item.event == "holdfast.drift.detected"]
    assert finding.subject == "spend.score"
    for day in (1, 0):
        end = AS_OF - timedelta(days=day)
        write_metrics(shop, "spend", end - timedelta(days=1), end, found.metrics)
    rules = RetrainingRules()
    spend = decide_retraining(read_signals(shop, AS_OF, "1", "regression"), [], rules, AS_OF)
    churn = decide_retraining(read_signals(shop, AS_OF, "1", "classification"), [], rules, AS_OF)
    assert (spend.retrain, churn.retrain) == (True, False)
    assert "holdfast.drift.detected about spend.score in 2 of the latest 2 windows" in spend.why


def test_spend_view_without_spend_measures_nothing(shop: Settings) -> None:
    found = run_spend_view(shop, WINDOW, RULES)
    assert (found.is_empty, list(found.findings)) == (True, [])
    assert not found.is_evaluated("holdfast.quality.dropped:spend.version-1")
    assert "No score table has an expected spend" in found.summary


def test_spend_view_without_the_files_of_the_version_has_notes(shop: Settings) -> None:
    client = _prepare(shop, _good)
    client.set_model_version_tag(SPEND, "1", SERVED_MODEL_TAG, "{}")
    found = run_spend_view(shop, WINDOW, RULES)
    assert "Version 1 is not evaluated" in found.notes[0]
    assert list(found.findings) == []


def test_load_spend_equals_the_label_and_knows_inactive_customers(shop: Settings) -> None:
    table = read_scores(list_score_tables(shop)[2].path)
    active = table.loc[table["active"], "customer_id"].tolist()
    rows = pd.DataFrame({"customer_id": [*active, "unknown"], "cutoff": MONTHS[2]})
    spend = load_spend(shop, _label(shop), rows, KNOWN_AT)
    assert np.isnan(spend[-1])
    connection = ibis.duckdb.connect()
    sold = connection.to_pandas(scan_table(connection, shop)).query("amount > 0")
    end = MONTHS[2] + timedelta(days=shop.horizon_days)
    sold = sold[(sold["event_timestamp"] >= MONTHS[2]) & (sold["event_timestamp"] < end)]
    totals = sold.groupby("customer_id")["amount"].sum()
    assert spend[:-1] == pytest.approx(totals.reindex(active).fillna(0).astype(float).to_numpy())


def test_expected_ranges_of_the_total_reach_as_far_in_both_directions() -> None:
    """Test months that were all too low do not make a month that is as much too high a finding."""
    group = _evaluation(5.0).months[0].model_copy(update={"total": Interval(value=0.9, low=0.8, high=0.97)})
    total = expected_ranges(_evaluation(5.0).model_copy(update={"months": [group]}))["total"]
    assert (total.low, total.high) == (0.8, 1.25)
    assert not total.excludes(Interval(value=1.2, low=1.1, high=1.3))
    assert total.excludes(Interval(value=1.4, low=1.3, high=1.5))
    unknown = group.model_copy(update={"total": Interval(value=math.inf, low=math.nan, high=math.nan)})
    total = expected_ranges(_evaluation(5.0).model_copy(update={"months": [unknown]}))["total"]
    assert (total.low, total.high) == (1.0, 1.0)


def test_measure_cohort_without_spend_leaves_out_what_is_not_defined() -> None:
    bootstrap = CustomerBootstrap(np.array([f"c{number}" for number in range(40)]), 50, 0)
    found = measure_cohort(np.zeros(40), np.full(40, 2.0), 5.0, bootstrap)
    assert "total" not in found
    assert found["deviance_saved"].low > 0
    assert "deviance_saved" not in measure_cohort(np.ones(40), np.full(40, 2.0), float("nan"), bootstrap)
