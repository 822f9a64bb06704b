"""Final fit, evaluation and registration of the chosen model."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from mlflow.data.pandas_dataset import from_pandas
from mlflow.models import infer_signature
from sklearn.base import BaseEstimator

from feature_repo.settings import Settings
from feature_repo.source_hash import sha256
from holdfast.core.formatting import format_count
from holdfast.core.plain_text import escape_prose
from holdfast.core.types import Floats
from holdfast.feature_store.definition_versions import open_version
from holdfast.feature_store.materialization import features_lock
from holdfast.ingestion.history_extent import read_extent
from holdfast.models.contract import TRUSTED_TYPES, ServedModel
from holdfast.models.declaration import registered_name
from holdfast.models.registry_client import RegistryClient
from holdfast.training import mlflow_tracking
from holdfast.training.baselines import score_baselines
from holdfast.training.contract_builder import build_contract
from holdfast.training.dataset import TrainingSet, find_labeled_cutoffs
from holdfast.training.evaluation import evaluate_model
from holdfast.training.evaluation_report import EVALUATION_FILE, Evaluation
from holdfast.training.final_fit import refit_after_test
from holdfast.training.final_selection import veto_on_test
from holdfast.training.fitting import predict_churn
from holdfast.training.lineage import Lineage
from holdfast.training.mlflow_client import open_tracking
from holdfast.training.mlflow_tracking import PREDICTIONS_FILE, TrainedVersion
from holdfast.training.model_selection import ModelChoice
from holdfast.training.plots import plot_evaluation
from holdfast.training.recipe import RECIPE_FILE, SERVED, Recipe
from holdfast.training.settings import TrainingSettings


@dataclass(frozen=True)
class EvaluatedVersion:
    """A registered version, its evaluation on the test period, and the plots of the evaluation by name."""

    registered: TrainedVersion
    evaluation: Evaluation
    plots: dict[str, Figure]

    def markdown(self, lineage: Lineage) -> str:
        """Describe the version, why it was chosen and what it was trained on.

        Args:
            lineage: What the training depends on.

        Returns:
            Markdown.
        """
        evaluation = self.evaluation
        notes = [evaluation.served.reason] if evaluation.served else []
        notes += [*evaluation.search_notes, *evaluation.history_notes, *evaluation.describe_skipped()]
        text = (
            f"{evaluation.chosen}. {evaluation.reason}\n\nCalibration: {evaluation.calibration}. "
            f"{evaluation.calibration_reason}\n\n{' '.join(notes)}"
        )
        return (
            f"**{registered_name(lineage.model)} version {self.registered.version}**: {escape_prose(text)}\n\n"
            f"MLflow run `{self.registered.run_id}`. Known at {lineage.known_at:%Y-%m-%d %H:%M} UTC, "
            f"{format_count(len(lineage.batches), 'batch')}."
        )


def evaluate_and_register(
    settings: Settings,
    training: TrainingSettings,
    lineage: Lineage,
    choice: ModelChoice,
    data: TrainingSet,
    run_id: str,
) -> EvaluatedVersion:
    """Fit and test the chosen model beside the baselines, refit its recipe on all known outcomes, and register it.

    Args:
        settings: Data folder and definition of churn.
        training: Settings of the training.
        lineage: What the training depends on.
        choice: Family, parameters, calibration and threshold chosen on the folds.
        data: Labels and features at all cut-offs.
        run_id: The active MLflow run, which gets model, evaluation, predictions and plots.

    Returns:
        The registered version with its evaluation.

    Raises:
        RetiredVersionError: The version of the feature definitions was retired meanwhile; nothing is registered.
    """
    terms = data.terms
    choice, tested = veto_on_test(choice, data, training, terms.outcome_days)
    recipe, model, served = refit_after_test(choice.recipe, tested, data, training, choice.trial.scores)
    development, test, fitted = (data.at_cutoffs(part) for part in (recipe.development, recipe.test, recipe.shipped))
    history = data.histories[recipe.development[-1]]
    baselines = score_baselines(development, history, test, terms.horizon_days)
    scores = {"model": predict_churn(tested, test.x), **baselines}
    extent = read_extent(settings, lineage.known_at, lineage.as_of)
    assert extent is not None  # the training has rows
    history_days = (recipe.test[-1] - extent.begin).days + terms.outcome_days
    evaluation = evaluate_model(tested, scores, development, test, choice, training, served, history_days)
    left_out = find_labeled_cutoffs(settings, lineage.as_of, lineage.known_at, training.min_history_days, lineage.terms)
    notes = [*left_out.describe(), *extent.describe_outliers()]
    evaluation = evaluation.model_copy(update={"history_notes": notes})
    recipe = recipe.model_copy(update={"threshold": evaluation.value.threshold})
    figures = plot_evaluation(test, scores, evaluation, training.value)
    for name, rows in {"development": development, "test": test, "refit": fitted}.items():
        if name in recipe.digests:
            log_dataset(rows, name, recipe.digests[name])
    mlflow.log_metrics({"training_rows": len(fitted.y), "test_rows": len(test.y)})
    _log_evaluation(recipe, evaluation)
    log_predictions(test, scores | ({SERVED: predict_churn(model, test.x)} if served.refitted else {}))
    for name, figure in figures.items():
        mlflow.log_figure(figure, f"{name}.png")
    name = registered_name(lineage.model)
    logged = log_skops_model(model, fitted, model.predict_proba(fitted.x[:5]), "predict_proba")
    digest = logged_model_digest(settings, logged)
    contract = build_contract(settings, recipe, fitted, lineage.fingerprint, model, digest, name)
    roc_auc = evaluation.metrics["model"]["roc_auc"]
    description = f"{evaluation.chosen}; test period ROC-AUC {roc_auc}. {evaluation.reason} {served.reason}"
    registered = register_logged_model(settings, logged, run_id, contract, lineage, description)
    return EvaluatedVersion(registered, evaluation, figures)


def log_dataset(data: TrainingSet, context: str, digests: Mapping[str, str]) -> None:
    """Log a data set of the active run: five rows as a sample, the digest of all rows.

    Args:
        data: Rows.
        context: Use of the rows.
        digests: Digest of each part of the rows.
    """
    frame = pd.DataFrame(data.x[:5], columns=[feature.name for feature in data.inputs])
    mlflow.log_input(from_pandas(frame, name=f"{context} rows", digest=_dataset_digest(digests)), context=context)


def _dataset_digest(digests: Mapping[str, str]) -> str:
    """Combine the digests of a training set to one digest of the length that MLflow allows."""
    return sha256(json.dumps(dict(digests), sort_keys=True))[:32]


def log_skops_model(model: BaseEstimator, data: TrainingSet, predicted: Floats, function: str) -> Any:
    """Log a model to the active run as skops, never pickle, with its signature.

    Args:
        model: Fitted model.
        data: Rows on which the model was fitted.
        predicted: Predictions of the first five rows.
        function: Function of the model that predicts.

    Returns:
        MLflow's model info.
    """
    sample = pd.DataFrame(data.x[:5], columns=[feature.name for feature in data.inputs])
    return mlflow.sklearn.log_model(
        model,
        name="model",
        signature=infer_signature(sample, predicted),
        pyfunc_predict_fn=function,
        serialization_format="skops",
        skops_trusted_types=TRUSTED_TYPES,
        pip_requirements=[f"{name}=={version(name)}" for name in ("scikit-learn", "skops", "numpy", "pandas")],
    )


def logged_model_digest(settings: Settings, logged: Any) -> str:
    """Compute the SHA-256 of a logged model file.

    As downloaded: the service loads no other file, even if the artifact store is overwritten.

    Args:
        settings: Settings with the address of the tracking server.
        logged: MLflow's model info.

    Returns:
        SHA-256, hexadecimal.
    """
    content = RegistryClient(settings.mlflow_tracking_uri).download_logged_model(logged.model_id)
    return hashlib.sha256(content).hexdigest()


def register_logged_model(
    settings: Settings, logged: Any, run_id: str, contract: ServedModel, lineage: Lineage, description: str
) -> TrainedVersion:
    """Register a logged model, unless its version of the feature definitions was retired meanwhile.

    Args:
        settings: Data folder and address of the tracking server.
        logged: MLflow's model info.
        run_id: The active MLflow run.
        contract: Contract of the version.
        lineage: What the training depends on.
        description: Description of the version.

    Returns:
        The registered version.

    Raises:
        RetiredVersionError: The version of the feature definitions was retired; nothing is registered.
    """
    client = open_tracking(settings, contract.model_name)
    with features_lock(settings):  # a retirement waits, and then finds that the new version needs its definitions
        open_version(settings, contract.definitions)
        return mlflow_tracking.register_version(client, logged, run_id, contract, lineage, description)


def _log_evaluation(recipe: Recipe, evaluation: Evaluation) -> None:
    """Log evaluation and recipe to the active run as files, and the main results as metrics and tags."""
    mlflow.log_text(evaluation.model_dump_json(indent=2), EVALUATION_FILE)
    mlflow.log_text(recipe.model_dump_json(indent=2), RECIPE_FILE)
    metrics = {"value.per_customer": evaluation.value.earned.value, "instability": evaluation.instability.value}
    for name, values in evaluation.metrics.items():
        metrics |= {f"test.{name}.{metric}": interval.value for metric, interval in values.items()}
    for metric, interval in evaluation.metrics["model"].items():
        metrics |= {f"test.model.{metric}.low": interval.low, f"test.model.{metric}.high": interval.high}
    mlflow.log_metrics(metrics)
    mlflow.set_tags({"chosen": evaluation.chosen, "reason": evaluation.reason, "calibration": evaluation.calibration})


def log_predictions(data: TrainingSet, columns: Mapping[str, Floats]) -> None:
    """Log outcomes and predictions of the test rows to the active run as Parquet.

    Args:
        data: Test rows.
        columns: Name to values, shape (rows,).
    """
    frame = data.keys.assign(churned=data.y, **columns)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / PREDICTIONS_FILE
        frame.to_parquet(path, index=False)
        mlflow.log_artifact(str(path))
