"""End-to-end tests of `make run` on real data: its state, its output, and a second run.

The second run comes last; it changes no state, so that later tests can read the state.
"""

import json
import re
from datetime import UTC, datetime

import pandas as pd
import pytest

from tests.support.main_job import MainJob, file_states, run

AS_OF = datetime(1998, 7, 1, tzinfo=UTC)
STAGES = ["ingest", "features", "train", "promote", "package", "serve"]
METRICS = {"roc_auc", "pr_auc", "brier", "log_loss", "ece"}
BASELINES = {"base_rate", "recency", "rfm", "bg_nbd", "pareto_nbd"}
PREDICTION_FIELDS = {
    "customer_id",
    "churn_probability",
    "will_churn",
    "threshold",
    "model_version",
    "feature_service",
    "feature_timestamp",
    "feature_age_seconds",
    "stale",
    "active",
    "explanation",
}
NOISE = re.compile(
    r"Warning|\b(WARN|WARNING|INFO|ERROR|DEBUG)\b|Traceback|deprecat|experimental|site-packages|\.py:\d+"
)


def test_summary_has_all_fields(main_job: MainJob) -> None:
    summary = main_job.summary
    required = [
        "as_of",
        "transactions_ingested",
        "transactions_quarantined",
        "customers",
        "feature_views",
        "training_rows",
        "test_rows",
        "model_name",
        "model_version",
        "metrics",
        "intervals",
        "baselines",
        "gates",
        "parity",
        "prediction",
        "seconds",
    ]
    assert set(required) - set(summary) == set()
    assert set(summary["metrics"]) == METRICS
    assert {name: set(values) for name, values in summary["baselines"].items()} == dict.fromkeys(BASELINES, METRICS)
    assert summary["gates"]["failed"] == []
    assert summary["gates"]["passed"] >= 15
    assert set(summary["prediction"]) == PREDICTION_FIELDS
    assert list(summary["seconds"]) == STAGES
    assert all(0 < seconds < 300 for seconds in summary["seconds"].values())


def test_main_job_transactions_are_ingested_or_quarantined(main_job: MainJob) -> None:
    summary = main_job.summary
    assert summary["transactions_ingested"] + summary["transactions_quarantined"] == 69_659
    assert summary["transactions_quarantined"] == 80
    batches = main_job.data / "batches"
    rows = pd.concat([pd.read_parquet(file) for file in batches.glob("*/transactions.parquet")])
    assert len(rows) == summary["transactions_ingested"]
    assert rows["customer_id"].nunique() == summary["customers"]
    assert sum(len(pd.read_parquet(file)) for file in batches.glob("*/quarantine.parquet")) == 80


def test_summary_time_is_the_midnight_after_the_last_transaction(main_job: MainJob) -> None:
    assert datetime.fromisoformat(main_job.summary["as_of"]) == AS_OF
    assert main_job.summary["prediction"]["feature_timestamp"] == "1998-07-01T00:00:00Z"
    assert main_job.summary["prediction"]["feature_age_seconds"] == 0
    assert main_job.summary["prediction"]["stale"] is False


def test_main_job_parity_covers_every_value_of_every_customer(
    main_job: MainJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_DATA", str(main_job.data))
    from holdfast.feast_stores.open_store import open_store

    projections = open_store().get_feature_service(main_job.summary["prediction"]["feature_service"])
    features = sum(len(projection.features) for projection in projections.feature_view_projections)
    assert features == 21
    assert main_job.summary["parity"] == {"values_compared": main_job.summary["customers"] * features, "mismatches": 0}
    assert len(main_job.summary["feature_views"]) == 3


def test_main_job_model_outperforms_baselines(main_job: MainJob) -> None:
    model, baselines = main_job.summary["metrics"], main_job.summary["baselines"]
    assert baselines["base_rate"]["roc_auc"] == 0.5
    assert baselines["base_rate"]["pr_auc"] == pytest.approx(0.60, abs=0.02)  # a constant score has the base rate
    assert model["roc_auc"] >= baselines["recency"]["roc_auc"] + 0.05
    assert model["roc_auc"] < 0.9, "suspiciously good: a feature may leak the label"
    for name in BASELINES:
        assert model["roc_auc"] > baselines[name]["roc_auc"]
        assert model["pr_auc"] > baselines[name]["pr_auc"]
        assert model["brier"] < baselines[name]["brier"]
        assert model["log_loss"] < baselines[name]["log_loss"]
    assert main_job.summary["test_rows"] > 10_000
    assert main_job.summary["training_rows"] > main_job.summary["test_rows"]


def test_main_job_output_contains_only_stages_and_summary(main_job: MainJob) -> None:
    lines = [line.rstrip() for line in main_job.output.splitlines()]
    assert len(lines) < 60
    assert [line for line in lines if NOISE.search(line)] == []
    ticked = [match for line in lines if (match := re.match(r"✓ (\w+) +\d+\.\d s  \S", line))]
    assert [match[1] for match in ticked] == STAGES
    assert lines[: len(STAGES)] == [match.string for match in ticked], "the stages come first"
    assert "✗" not in main_job.output
    assert "\x1b" not in main_job.output, "escape sequences where the output is no terminal"


def test_main_job_output_matches_the_summary(main_job: MainJob) -> None:
    summary, text = main_job.summary, re.sub(r"\s+", " ", main_job.output)
    for expected in (
        f"{summary['transactions_ingested']:,} ingested, {summary['transactions_quarantined']:,} quarantined",
        f"{summary['customers']:,} in 3 feature views",
        f"0 mismatches in {summary['parity']['values_compared']:,} online values",
        f"{summary['model_name']} version {summary['model_version']}",
        f"Test period: {summary['test_rows']:,} rows; trained on {summary['training_rows']:,} rows",
        *(
            " ".join(f"{row[metric]:.3f}" for metric in ("roc_auc", "pr_auc", "brier", "log_loss", "ece"))
            for row in _rows(summary)
        ),
        f"All results: {main_job.data / 'run-summary.json'}",
    ):
        assert expected in text
    printed = main_job.output[main_job.output.index("{") : main_job.output.rindex("}") + 1]
    assert json.loads(printed) == summary["prediction"]


def test_live_prediction_equals_the_offline_prediction(main_job: MainJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """The offline prediction uses the point-in-time join and MLflow's model only."""
    import mlflow

    from holdfast.feast_stores.open_store import open_store

    monkeypatch.setenv("HOLDFAST_DATA", str(main_job.data))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{main_job.data / 'mlflow' / 'mlflow.db'}")
    served = main_job.summary["prediction"]
    store = open_store()
    as_of_us = int(AS_OF.timestamp()) * 1_000_000
    entities = pd.DataFrame(
        {"customer_id": [served["customer_id"]], "event_timestamp": [AS_OF], "as_of_us": [as_of_us]}
    )
    features = store.get_historical_features(
        features=store.get_feature_service(served["feature_service"]), entity_df=entities
    ).to_df()

    uri = f"sqlite:///{main_job.data / 'mlflow' / 'mlflow.db'}"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        version = mlflow.MlflowClient(uri).get_model_version_by_alias(main_job.summary["model_name"], "champion")
        model_uri = f"models:/{version.name}/{version.version}"
        names = mlflow.models.get_model_info(model_uri).signature.inputs.input_names()
        model = mlflow.sklearn.load_model(model_uri)
    finally:
        mlflow.set_tracking_uri(before)
    assert str(version.version) == served["model_version"] == main_job.summary["model_version"]
    churned = list(model.classes_).index(1)
    offline = model.predict_proba(features[names].to_numpy(dtype="float64"))[0, churned]
    assert offline == pytest.approx(served["churn_probability"], rel=0, abs=1e-12)
    assert served["will_churn"] is (served["churn_probability"] >= served["threshold"])


@pytest.mark.long
@pytest.mark.timeout(240)
def test_main_job_second_run_changes_nothing(main_job: MainJob) -> None:
    before = file_states(main_job.data)
    for kind in ("batches", "snapshots", "feast/registry.db", "mlflow/artifacts", "bentoml/bentos", "bentoml/models"):
        assert any(name.startswith(kind) for name in before), f"no file of {kind} is compared"
    versions = _registered_versions(main_job)

    output = run(["make", "run"], main_job.environment)

    after = file_states(main_job.data)
    assert {name: after.get(name) for name in before if after.get(name) != before[name]} == {}, "changed or removed"
    assert sorted(after.keys() - before.keys()) == []
    assert _registered_versions(main_job) == versions
    summary = json.loads((main_job.data / "run-summary.json").read_text())
    assert summary | {"seconds": 0} == main_job.summary | {"seconds": 0}
    assert [line for line in output.splitlines() if NOISE.search(line)] == []
    assert "already ingested: 0 new of 69,659 read" in output
    assert "in place;" in output
    assert "found version 1" in output
    assert "champion is version 1, as before" in output


def _registered_versions(job: MainJob) -> list[tuple[str, str]]:
    """List the registered versions with their runs, and all runs."""
    import sqlite3

    with sqlite3.connect(f"file:{job.data / 'mlflow' / 'mlflow.db'}?mode=ro", uri=True) as database:
        versions = database.execute("SELECT version, run_id FROM model_versions").fetchall()
        runs = database.execute("SELECT run_uuid, status FROM runs").fetchall()
    assert len(versions) == 1
    assert len(runs) > 1
    return sorted(map(tuple, [*versions, *runs]), key=str)


def _rows(summary: dict) -> list[dict[str, float]]:
    return [summary["metrics"], *summary["baselines"].values()]
