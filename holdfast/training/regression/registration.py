"""Fit, test and registration of a regression."""

import mlflow
import numpy as np
from sklearn.base import BaseEstimator

from feature_repo.settings import Settings
from holdfast.ingestion.history_extent import read_extent
from holdfast.models.contract import PredictedExample, ServedModel
from holdfast.models.declaration import load_declaration
from holdfast.training.category_encoding import name_categories
from holdfast.training.contract_builder import build_example_rows, typical_inputs
from holdfast.training.dataset import TrainingSet, find_labeled_cutoffs
from holdfast.training.evaluation_report import EVALUATION_FILE
from holdfast.training.label_query import declared_label
from holdfast.training.lineage import Lineage
from holdfast.training.mlflow_tracking import TrainedVersion
from holdfast.training.recipe import RECIPE_FILE, Recipe
from holdfast.training.registration import (
    log_dataset,
    log_predictions,
    log_skops_model,
    logged_model_digest,
    register_logged_model,
)
from holdfast.training.regression.evaluation import evaluate_regression
from holdfast.training.regression.families import predict_baselines, target_of
from holdfast.training.regression.fitting import fit_regression_recipe, predict_values
from holdfast.training.regression.plots import plot_regression
from holdfast.training.regression.report import RegressionEvaluation
from holdfast.training.regression.selection import RegressionChoice
from holdfast.training.settings import TrainingSettings


def evaluate_and_register_regression(
    settings: Settings,
    training: TrainingSettings,
    lineage: Lineage,
    choice: RegressionChoice,
    data: TrainingSet,
    run_id: str,
) -> tuple[TrainedVersion, RegressionEvaluation]:
    """Fit the chosen model on the development cut-offs, test it beside the baselines, and register it.

    The tested model is registered: unlike that of a classification it is not fitted again after the test.

    Args:
        settings: Data folder and definition of the label.
        training: Slices, resamples and seed.
        lineage: What the training depends on.
        choice: Family and hyperparameters chosen on the folds.
        data: Labels and features at all cut-offs.
        run_id: The active MLflow run.

    Returns:
        The registered version and its evaluation.

    Raises:
        RetiredVersionError: The version of the feature definitions was retired meanwhile; nothing is registered.
    """
    development, test = data.at_cutoffs(choice.split.development), data.at_cutoffs(choice.split.test)
    recipe = _build_recipe(choice, training, development, test)
    model = fit_regression_recipe(recipe, data)
    predictions = {"model": predict_values(model, test.x), **predict_baselines(development, test, training.seed)}
    extent = read_extent(settings, lineage.known_at, lineage.as_of)
    left_out = find_labeled_cutoffs(settings, lineage.as_of, lineage.known_at, training.min_history_days, lineage.terms)
    notes = [*left_out.describe(), *(extent.describe_outliers() if extent else [])]
    evaluation = evaluate_regression(predictions, development, test, choice, training, notes)
    for name, rows in {"development": development, "test": test}.items():
        log_dataset(rows, name, recipe.digests[name])
    mlflow.log_text(evaluation.model_dump_json(indent=2), EVALUATION_FILE)
    mlflow.log_text(recipe.model_dump_json(indent=2), RECIPE_FILE)
    for name, figure in plot_regression(evaluation).items():
        mlflow.log_figure(figure, f"{name}.png")
    _log_metrics(evaluation, len(development.y))
    mlflow.set_tags({"chosen": evaluation.chosen, "reason": evaluation.reason})
    log_predictions(test, {"spend": target_of(test), **predictions})
    logged = log_skops_model(model, development, model.predict(development.x[:5]), "predict")
    contract = _build_contract(settings, lineage, model, development, logged_model_digest(settings, logged))
    text = f"{evaluation.headline()}. {evaluation.reason}"
    return register_logged_model(settings, logged, run_id, contract, lineage, text), evaluation


def _log_metrics(evaluation: RegressionEvaluation, training_rows: int) -> None:
    """Log the metrics of the model and the baselines, and the intervals of those of the model."""
    metrics = {"training_rows": float(training_rows), "test_rows": float(evaluation.rows)}
    for name, values in evaluation.metrics.items():
        metrics |= {f"test.{name}.{metric}": interval.value for metric, interval in values.items()}
    for metric, interval in evaluation.metrics["model"].items():
        metrics |= {f"test.model.{metric}.low": interval.low, f"test.model.{metric}.high": interval.high}
    mlflow.log_metrics({name: value for name, value in metrics.items() if np.isfinite(value)})


def _build_recipe(
    choice: RegressionChoice, training: TrainingSettings, development: TrainingSet, test: TrainingSet
) -> Recipe:
    return Recipe(
        family=choice.family.name,
        params=choice.params,
        calibration="none",
        seed=training.seed,
        threshold=0.0,
        folds=choice.split.folds,
        development=choice.split.development,
        test=choice.split.test,
        digests={"development": development.digests(), "test": test.digests()},
    )


def _build_contract(
    settings: Settings, lineage: Lineage, model: BaseEstimator, fitted: TrainingSet, sha256: str
) -> ServedModel:
    declaration = load_declaration(lineage.model)
    label = declared_label(settings, declaration.label)
    latest = fitted.at_cutoffs([fitted.keys["cutoff"].max()]).x
    categorical = [column for column, feature in enumerate(fitted.inputs) if feature.is_categorical]
    reference = typical_inputs(latest, categorical)
    rows = build_example_rows(reference, latest, categorical)
    values = model.predict(np.array(rows, dtype=np.float64)).tolist()  # None becomes NaN
    return ServedModel(
        model_name=declaration.registered_name,
        model_version="",
        feature_service=declaration.feature_service,
        inputs=[feature.name for feature in fitted.inputs],
        reference=reference,
        threshold=0.0,
        label_name=label.name,
        horizon_days=label.horizon_days,
        activity_days=label.activity_days,
        grace_days=label.grace_days,
        label_sql=label.sql,
        fingerprint=lineage.fingerprint,
        model_sha256=sha256,
        predicted_examples=[
            PredictedExample(inputs=row, value=value)
            for row, value in zip(rows, values, strict=True)
            if np.isfinite(value)  # BG/NBD cannot predict rows without its inputs
        ],
        categories=name_categories(fitted),
    )
