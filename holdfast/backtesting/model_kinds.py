"""Scores, outcomes and performance of a backtest, by the kind of the model."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.backtesting.policies import Performance, SpendPerformance
from holdfast.batch_scoring.champion_model import load_champion, require_inputs
from holdfast.batch_scoring.outcomes import load_cohort_outcomes, load_spend
from holdfast.batch_scoring.performance import MetricDraws, measure_performance
from holdfast.batch_scoring.population import ScoringPopulation
from holdfast.batch_scoring.scores_table import build_scores, read_scores, write_scores
from holdfast.core.atomic_files import replace_file
from holdfast.core.parquet_files import read_parquet_file
from holdfast.core.threads import limit_threads
from holdfast.core.types import Floats
from holdfast.models.contract import CHAMPION, ServedModel
from holdfast.models.declaration import load_declaration, registered_name
from holdfast.models.label import LabelDefinition
from holdfast.models.loaded_regressor import load_verified_regressor
from holdfast.models.registry_client import RegistryClient
from holdfast.monitoring.spend.findings import expected_ranges
from holdfast.monitoring.spend.performance import measure_cohort
from holdfast.training.bootstrap import CustomerBootstrap, mean_draws
from holdfast.training.dataset import TrainingSet
from holdfast.training.metrics import compute_metric_intervals
from holdfast.training.mlflow_client import ModelClient
from holdfast.training.mlflow_tracking import read_evaluation, read_model_evaluation
from holdfast.training.regression.report import RegressionEvaluation
from holdfast.training.regression.scores import deviance
from holdfast.training.settings import TrainingSettings

_SPEND = "expected_spend"
_Predict = Callable[[ScoringPopulation | TrainingSet], Floats]


@dataclass(frozen=True)
class BacktestKind:
    """Functions of one kind of model.

    Attributes:
        prediction: Column of the predictions in a score table.
        load: Returns contract and predictions of the champion.
        score: Builds the score table of the champion.
        write: Writes a score table.
        read: Reads customers, version, predictions and, of a classification, decisions.
        outcomes: Returns the outcomes of a matured cohort by the rows of its table, without unknown ones.
        measure: Measures a cohort, with draws.
        compare: Compares a cohort of the champion with its test.
    """

    prediction: str
    load: Callable[[Settings, str], tuple[ServedModel, _Predict]]
    score: Callable[[Settings, str, ScoringPopulation], pd.DataFrame]
    write: Callable[[pd.DataFrame, Path], None]
    read: Callable[[Path], pd.DataFrame]
    outcomes: Callable[[Settings, LabelDefinition, pd.DataFrame, datetime, datetime], "pd.Series[Any]"]
    measure: Callable[[Floats, pd.DataFrame, TrainingSettings, CustomerBootstrap], MetricDraws]
    compare: Callable[[ModelClient, datetime, pd.DataFrame, Floats, CustomerBootstrap], Performance | SpendPerformance]


def find_kind(model: str) -> BacktestKind:
    """Find the functions of a model's kind.

    Args:
        model: Name of the model's declaration.

    Returns:
        The functions.
    """
    return {"classification": CLASSIFICATION, "regression": REGRESSION}[load_declaration(model).kind]


def _load_classifier(settings: Settings, model: str) -> tuple[ServedModel, _Predict]:
    champion = load_champion(settings)
    return champion.contract, champion.score


def _score_churn(settings: Settings, model: str, customers: ScoringPopulation) -> pd.DataFrame:
    return build_scores(customers, load_champion(settings))


def _read_churn(path: Path) -> pd.DataFrame:
    return read_scores(path, [ENTITY_KEY, "churn_probability", "will_churn", "model_version"])


def _measure_churn(
    churned: Floats, table: pd.DataFrame, training: TrainingSettings, resamples: CustomerBootstrap
) -> MetricDraws:
    scores, offered = table["churn_probability"].to_numpy(), table["will_churn"].to_numpy()
    return measure_performance(churned.astype(bool), scores, offered, training.value, resamples)


def _compare_churn(
    client: ModelClient, cohort: datetime, table: pd.DataFrame, churned: Floats, resamples: CustomerBootstrap
) -> Performance:
    metrics = compute_metric_intervals(churned.astype(bool), table["churn_probability"].to_numpy(), resamples)
    return Performance(cohort, metrics, read_evaluation(client, _run_id(client, table)).metrics["model"])


def _load_regressor(settings: Settings, model: str) -> tuple[ServedModel, _Predict]:
    client = RegistryClient(settings.mlflow_tracking_uri, registered_name(model))
    loaded = load_verified_regressor(*client.download_by_alias(CHAMPION))

    def predict(rows: ScoringPopulation | TrainingSet) -> Floats:
        require_inputs(loaded.contract, rows)
        with limit_threads():
            return loaded.predict(rows.x)

    return loaded.contract, predict


def _score_spend(settings: Settings, model: str, customers: ScoringPopulation) -> pd.DataFrame:
    contract, predict = _load_regressor(settings, model)
    columns = {ENTITY_KEY: customers.ids, _SPEND: predict(customers), "model_version": contract.model_version}
    return pd.DataFrame(columns)


def _write_spend(table: pd.DataFrame, path: Path) -> None:
    with replace_file(path) as temporary:
        table.to_parquet(temporary, index=False)


def _read_spend(path: Path) -> pd.DataFrame:
    return read_parquet_file(path).to_pandas()


def _spend_outcomes(
    settings: Settings, label: LabelDefinition, table: pd.DataFrame, cohort: datetime, known_at: datetime
) -> "pd.Series[Any]":
    spend = load_spend(settings, label, table[[ENTITY_KEY]].assign(cutoff=cohort), known_at)
    return pd.Series(spend, index=table.index).dropna()


def _measure_spend(
    spend: Floats, table: pd.DataFrame, training: TrainingSettings, resamples: CustomerBootstrap
) -> MetricDraws:
    """Measure deviance, total and absolute error; the smallest prediction follows the mean of the cohort."""
    expected = table[_SPEND].to_numpy(np.float64)
    rows = {"deviance": deviance(spend, expected, float(spend.mean())), "mae": np.abs(spend - expected)}
    drawn = {name: (float(values.mean()), mean_draws(values, resamples)) for name, values in rows.items()}
    sums = resamples.weighted_sums(np.column_stack([expected, spend]))
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn["total"] = (float(np.divide(expected.sum(), spend.sum())), sums[:, 0] / sums[:, 1])
    return drawn


def _compare_spend(
    client: ModelClient, cohort: datetime, table: pd.DataFrame, spend: Floats, resamples: CustomerBootstrap
) -> SpendPerformance:
    test = read_model_evaluation(client, _run_id(client, table))
    assert isinstance(test, RegressionEvaluation)
    metrics = measure_cohort(spend, table[_SPEND].to_numpy(np.float64), test.known_mean, resamples)
    return SpendPerformance(cohort, metrics, expected_ranges(test))


def _run_id(client: ModelClient, table: pd.DataFrame) -> str:
    return str(client.get_model_version(client.model_name, table["model_version"].iloc[0]).run_id)


CLASSIFICATION = BacktestKind(
    "churn_probability",
    _load_classifier,
    _score_churn,
    write_scores,
    _read_churn,
    load_cohort_outcomes,
    _measure_churn,
    _compare_churn,
)
REGRESSION = BacktestKind(
    _SPEND, _load_regressor, _score_spend, _write_spend, _read_spend, _spend_outcomes, _measure_spend, _compare_spend
)
