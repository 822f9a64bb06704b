"""Train: label, join, choose, test, register. `python -m flows.train --as-of 1998-03-01`"""

import base64
import io
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from prefect import flow, task
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from feature_repo.model_contract import FEATURE_SERVICE, MODEL_NAME, ServedModel, fingerprint
from feature_repo.settings import Settings, load_settings
from flows.clock import resolve_as_of, resolve_known_at, run_name
from flows.features import features_lock, snapshots_task
from flows.training.settings import TrainingSettings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from flows.training.candidates import Candidate
    from flows.training.dataset import TrainingSet
    from flows.training.lineage import Lineage
    from flows.training.selection import Choice, Fitted
    from flows.training.split import TimeSplit
    from flows.training.tracking import Registered

_IN_MEMORY: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}


@dataclass(frozen=True)
class TrainResult:
    """A registered version and what it scored on the test period."""

    model_name: str
    model_version: str
    run_id: str
    trained: bool
    """False when the same data, definitions and settings had given this version before."""
    training_rows: int
    test_rows: int
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    chosen: str
    reason: str


@task(name="definitions are applied", **_IN_MEMORY)
def applied_task(settings: Settings) -> None:
    """Train only on what the registry, and so serving, knows."""
    from feature_repo.stores import open_store
    from flows.feature_store.registry import require_applied

    with features_lock(settings):
        require_applied(open_store())


@task(name="lineage", **_IN_MEMORY)
def lineage_task(settings: Settings, training: TrainingSettings, as_of: datetime, known_at: datetime) -> "Lineage":
    """What this training depends on."""
    from feature_repo.stores import open_store
    from flows.training.lineage import lineage_of

    definition = fingerprint(open_store(), settings.horizon_days, settings.activity_days)
    return lineage_of(settings, training, definition, as_of, known_at)


@task(name="find an earlier result", **_IN_MEMORY)
def find_task(settings: Settings, lineage: "Lineage") -> TrainResult | None:
    """The result of an earlier training of the same data, definitions and settings."""
    from flows.training.tracking import find_version, open_mlflow

    client = open_mlflow(settings)
    registered = find_version(client, lineage)
    return _result(client.get_run(registered.run_id), registered, trained=False) if registered else None


@task(name="training set", **_IN_MEMORY)
def assemble_task(settings: Settings, cutoffs: list[datetime], as_of: datetime, known_at: datetime) -> "TrainingSet":
    """Labels joined with the features as they were at each cut-off."""
    from flows.training.dataset import assemble

    return assemble(settings, cutoffs, as_of, known_at)


@task(task_run_name="fit {candidate.name}", **_IN_MEMORY)
def fit_task(
    candidate: "Candidate", fit: "TrainingSet", validation: "TrainingSet", run_id: str, digest: str, seed: int
) -> "Fitted":
    """Fit one candidate, score the validation period, log both."""
    from flows.training.selection import fit_candidate
    from flows.training.tracking import log_candidate

    fitted = fit_candidate(candidate, fit, validation, seed)
    log_candidate(run_id, fitted, fit, validation, digest)
    return fitted


@task(name="choose on validation", **_IN_MEMORY)
def choose_task(fitted: "list[Fitted]", validation: "TrainingSet", training: TrainingSettings) -> "Choice":
    """The simplest candidate that is not beaten by more than noise."""
    from flows.training.selection import choose

    choice = choose(fitted, validation, training.seed, training.noise_z)
    create_table_artifact(
        [{"candidate": item.candidate.name, **_rounded(item.validation)} for item in fitted],
        key="candidates",
        description=f"Validation period. Chosen: {choice.fitted.candidate.name}. {choice.reason}",
    )
    return choice


@task(name="test and register", **_IN_MEMORY)
def test_and_register_task(
    settings: Settings,
    training: TrainingSettings,
    lineage: "Lineage",
    choice: "Choice",
    data: "TrainingSet",
    split: "TimeSplit",
    run_id: str,
) -> "Registered":
    """Fit the choice on the development period, test it once beside the baselines, and register it."""
    import mlflow

    from flows.training import plots
    from flows.training.candidates import baseline_scores
    from flows.training.evaluation import by_month, metrics
    from flows.training.selection import churn_scores, fit_model
    from flows.training.tracking import (
        log_dataset,
        log_model,
        log_pictures,
        log_predictions,
        open_mlflow,
        register,
    )

    client = open_mlflow(settings)
    development, test = data.at(split.development), data.at(split.test)
    model = fit_model(choice.fitted.candidate, development, training.seed)
    scores = {"model": churn_scores(model, test.x), **baseline_scores(development, test)}
    tested = {name: metrics(test.y, values) for name, values in scores.items()}
    months = by_month(test, scores)
    pictures = {"test_curves": plots.quality_curves(test.y, scores), "test_months": plots.months(months)}

    log_dataset(development, "development", development.digest())
    log_dataset(test, "test", test.digest())
    mlflow.log_metrics({"training_rows": len(development.y), "test_rows": len(test.y)})
    for name, values in tested.items():
        mlflow.log_metrics({f"test.{name}.{metric}": value for metric, value in values.items()})
    mlflow.set_tags({"chosen": choice.fitted.candidate.name, "reason": choice.reason})
    mlflow.log_table(months.assign(cutoff=months["cutoff"].dt.strftime("%Y-%m-%d")), "test_by_month.json")
    log_predictions(test, scores)
    log_pictures(pictures)
    served = ServedModel(
        model_name=MODEL_NAME,
        model_version="",
        feature_service=FEATURE_SERVICE,
        inputs=[feature.name for feature in data.inputs],
        threshold=training.threshold,
        horizon_days=settings.horizon_days,
        activity_days=settings.activity_days,
        fingerprint=lineage.fingerprint,
        model_sha256="",
    )
    about = f"{choice.fitted.candidate.name}; test period ROC-AUC {tested['model']['roc_auc']:.4f}. {choice.reason}"
    registered = register(client, log_model(model, development), run_id, served, lineage, about)

    create_table_artifact(
        [{"model": name, **_rounded(values)} for name, values in tested.items()],
        key="test-period",
        description=f"{len(test.y):,} rows at {len(split.test)} cut-offs from {split.test[0]:%Y-%m-%d}",
    )
    create_table_artifact(
        [
            {"cut-off": f"{row['cutoff']:%Y-%m}", "model": row["model"], "rows": row["rows"]}
            | _rounded({name: row[name] for name in ("base_rate", "roc_auc", "pr_auc", "brier", "log_loss")})
            for row in months.to_dict("records")
        ],
        key="test-by-month",
        description="The test period by month",
    )
    for name, picture in pictures.items():
        create_image_artifact(_data_url(picture), key=name.replace("_", "-"), description=f"{MODEL_NAME}: {name}")
    create_markdown_artifact(
        f"**{MODEL_NAME} version {registered.version}**: {choice.fitted.candidate.name}. {choice.reason}\n\n"
        f"MLflow run `{run_id}`. Known at {lineage.known_at:%Y-%m-%d %H:%M} UTC, {len(lineage.batches)} batch(es).",
        key="registered-model",
        description="What was registered",
    )
    return registered


@flow(name="train", flow_run_name=run_name, persist_result=False)
def train(
    as_of: datetime | None = None, known_at: datetime | None = None, training: TrainingSettings | None = None
) -> TrainResult:
    """Train on what was known, test on the latest closed months, register the result.

    Args:
        as_of: Outcomes up to this moment may be used; now when left out.
        known_at: Use only data that had arrived by then; everything when left out.
        training: Cut-offs, seed, decision threshold.
    """
    from flows.training.tracking import training_lock

    settings, training = load_settings(), training or TrainingSettings()
    moment, known = resolve_as_of(as_of, settings), resolve_known_at(known_at)
    applied_task(settings)
    lineage = lineage_task(settings, training, moment, known)
    with training_lock(settings):
        return find_task(settings, lineage) or _train(settings, training, lineage)


def _train(settings: Settings, training: TrainingSettings, lineage: "Lineage") -> TrainResult:
    from flows.training.candidates import candidates
    from flows.training.dataset import labelled_cutoffs
    from flows.training.split import split_by_time
    from flows.training.tracking import open_mlflow, training_run

    as_of, known_at = lineage.as_of, lineage.known_at
    cutoffs = labelled_cutoffs(settings, as_of, known_at, training.min_history_days)[-training.max_cutoffs :]
    split = split_by_time(
        cutoffs, settings.horizon_days, training.test_cutoffs, training.validation_cutoffs, training.min_fit_cutoffs
    )
    used = sorted({*split.fit, *split.validation, *split.development, *split.test})
    for cutoff in used:
        snapshots_task(settings, cutoff, known_at)
    data = assemble_task(settings, used, as_of, known_at)

    client = open_mlflow(settings)
    with training_run(lineage) as run_id:
        fit, validation = data.at(split.fit), data.at(split.validation)
        digest = fit.digest()
        fitted = [fit_task(item, fit, validation, run_id, digest, training.seed) for item in candidates()]
        choice = choose_task(fitted, validation, training)
        registered = test_and_register_task(settings, training, lineage, choice, data, split, run_id)
    return _result(client.get_run(run_id), registered, trained=True)


def _result(run: Any, registered: "Registered", trained: bool) -> TrainResult:
    """Read the result from the run, so that a new training and a found one report alike."""
    logged, tags = run.data.metrics, run.data.tags

    def tested(name: str) -> dict[str, float]:
        return {metric: logged[f"test.{name}.{metric}"] for metric in ("roc_auc", "pr_auc", "brier", "log_loss")}

    return TrainResult(
        model_name=MODEL_NAME,
        model_version=registered.version,
        run_id=registered.run_id,
        trained=trained,
        training_rows=int(logged["training_rows"]),
        test_rows=int(logged["test_rows"]),
        metrics=tested("model"),
        baselines={name: tested(name) for name in ("base_rate", "recency")},
        chosen=tags["chosen"],
        reason=tags["reason"],
    )


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def _data_url(figure: "Figure") -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


if __name__ == "__main__":
    from flows.cli import run_flow

    run_flow(train)
