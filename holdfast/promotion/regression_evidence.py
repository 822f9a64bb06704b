"""Evidence about a version of a regression: results of its training, and tests of the registered model."""

from dataclasses import dataclass

import numpy as np

from feature_repo.settings import Settings
from holdfast.core.formatting import format_count
from holdfast.core.threads import limit_threads
from holdfast.core.types import Floats
from holdfast.model_versions.candidate import ModelCandidate
from holdfast.model_versions.evidence import (
    NotComputedError,
    RegisteredModelEvidence,
    Unavailable,
    compute_or_unavailable,
    require,
)
from holdfast.model_versions.gate_settings import RegressionGateSettings
from holdfast.promotion.evaluation_context import EvaluationContext
from holdfast.promotion.evidence_collection import measure_registered_model
from holdfast.training.bootstrap import bootstrap_rows
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import Interval
from holdfast.training.mlflow_client import ModelClient
from holdfast.training.regression.report import RegressionEvaluation
from holdfast.training.regression.scores import deviance, mean_interval


@dataclass(frozen=True, kw_only=True)
class RegressionEvidence(RegisteredModelEvidence):
    """Evidence about a version of a regression.

    Attributes:
        evaluation: Evaluation on the test set.
        over_champion: Deviance that the version saves over the champion on the same customers; None without one.
        compared_on: Rows of the comparison, or the reason why there is none.
        as_tested: Largest difference from the predictions that the training recorded, relative to their size.
    """

    evaluation: RegressionEvaluation | Unavailable
    over_champion: Interval | Unavailable | None
    compared_on: str
    as_tested: float | Unavailable


def collect_regression_evidence(
    client: ModelClient,
    settings: Settings,
    version: str,
    context: EvaluationContext,
    thresholds: RegressionGateSettings,
) -> RegressionEvidence:
    """Collect the evidence about a version; a missing piece is stored with its reason.

    Args:
        client: MLflow's client.
        settings: Settings with the data folder.
        version: Version to evaluate.
        context: Context of the evaluation.
        thresholds: Gate settings.

    Returns:
        The evidence.
    """
    subject = ModelCandidate(client, version)
    champion = ModelCandidate(client, context.champion) if context.champion is not None else None
    with limit_threads():
        rows = compute_or_unavailable(lambda: subject.test_rows(settings))
        over_champion: Interval | Unavailable | None = None
        compared_on = "there is no champion to compare with"
        if champion is not None:
            compared_on = f"the test rows that version {champion.version} has not learned"
            over_champion = compute_or_unavailable(
                lambda: _compare_champion(settings, subject, champion, require(rows), thresholds)
            )
        return RegressionEvidence(
            **vars(measure_registered_model(subject, subject.predict, rows, context, thresholds.seed)),
            evaluation=compute_or_unavailable(lambda: subject.regression_evaluation),
            over_champion=over_champion,
            compared_on=compared_on,
            as_tested=compute_or_unavailable(lambda: _difference(subject, require(rows))),
        )


def _compare_champion(
    settings: Settings,
    subject: ModelCandidate,
    champion: ModelCandidate,
    rows: TrainingSet,
    thresholds: RegressionGateSettings,
) -> Interval:
    """Return the deviance saved over the champion, on the rows of cut-offs that the champion was not fitted on."""
    other = rows if champion.definitions == subject.definitions else champion.rows_of_test(settings, subject)
    spend = _spend(rows)
    unknown = ~rows.keys["cutoff"].isin(list(champion.recipe.shipped)).to_numpy()
    if int(unknown.sum()) < thresholds.min_shared_rows:
        raise NotComputedError(
            f"{format_count(int(unknown.sum()), 'test row')} that version {champion.version} has not learned; "
            f"{thresholds.min_shared_rows} are required (min_shared_rows)"
        )
    mean = subject.regression_evaluation.known_mean
    saved = deviance(spend, champion.predict(other.x), mean) - deviance(spend, subject.predict(rows.x), mean)
    keys = rows.keys[unknown].reset_index(drop=True)
    return mean_interval(saved[unknown], bootstrap_rows(keys, thresholds.resamples, thresholds.seed))


def _difference(subject: ModelCandidate, rows: TrainingSet) -> float:
    recorded = subject.predictions
    if recorded["customer_id"].tolist() != rows.keys["customer_id"].tolist():
        raise NotComputedError("the test rows are other customers than those of the training")
    expected: Floats = recorded["model"].to_numpy(dtype=np.float64)
    return float(np.max(np.abs(subject.predict(rows.x) - expected) / (1 + np.abs(expected)), initial=0.0))


def _spend(rows: TrainingSet) -> Floats:
    if rows.target is None:
        raise NotComputedError("the label of the version has no spend")
    return rows.target
