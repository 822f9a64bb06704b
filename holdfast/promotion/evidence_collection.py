"""Collection of gate evidence: training artifacts, and tests of the registered model."""

from collections.abc import Callable

import pandas as pd

from feature_repo.settings import Settings
from holdfast.core.threads import limit_threads
from holdfast.core.types import Floats
from holdfast.feature_store.definition_versions import open_version
from holdfast.model_versions.candidate import ModelCandidate
from holdfast.model_versions.evidence import (
    Evidence,
    RegisteredModelEvidence,
    Unavailable,
    compute_or_unavailable,
    require,
)
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.promotion import behavioral_tests, model_comparison
from holdfast.promotion.evaluation_context import EvaluationContext
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import Interval
from holdfast.training.mlflow_client import ModelClient
from holdfast.training.recipe import BASE_RATE, SERVED


def collect_evidence(
    client: ModelClient, settings: Settings, version: str, context: EvaluationContext, thresholds: GateSettings
) -> Evidence:
    """Collect the evidence about a version; a missing piece is stored with its reason.

    The registered model scores its test rows, joined again from the features known at its training.

    Args:
        client: MLflow client.
        settings: Settings with the data folder.
        version: Version to evaluate.
        context: Context of the evaluation.
        thresholds: Gate settings.

    Returns:
        The evidence.
    """
    subject = ModelCandidate(client, version)
    champion = ModelCandidate(client, context.champion) if context.champion is not None else None
    same = champion is not None and compute_or_unavailable(lambda: champion.definitions) == compute_or_unavailable(
        lambda: subject.definitions
    )
    with limit_threads():  # as in training: threads that wait for each other are slower than one
        rows = compute_or_unavailable(lambda: subject.test_rows(settings))
        scores = compute_or_unavailable(lambda: subject.score(require(rows).x))
        champion_rows = rows
        if champion is not None and not same:
            champion_rows = compute_or_unavailable(lambda: champion.rows_of_test(settings, subject))
        # A champion whose version of the feature definitions was retired has only its own test scores.
        by_scores = not same and isinstance(champion_rows, Unavailable)

        def pair(champion: ModelCandidate) -> pd.DataFrame:
            if by_scores:
                return model_comparison.pair_shared_scores(subject.predictions, champion.predictions)
            # A refitted model has learned the outcomes of the test rows; its tested model has not.
            predictions = subject.predictions
            tested = predictions["model"].to_numpy() if SERVED in predictions else require(scores)
            paired = model_comparison.pair_scores(require(rows), tested, champion.score(require(champion_rows).x))
            return model_comparison.use_tested_scores(paired, champion.predictions, champion.recipe.shipped)

        pairs = compute_or_unavailable(lambda: pair(champion)) if champion else None
        compared_on = "the test rows they share" if by_scores else "the same test rows"
        if champion is not None and (difference := _describe_labels(subject, champion)):
            compared_on += difference
        if champion is None:
            compared_on = "there is no champion to compare with"
        elif isinstance(pairs, pd.DataFrame) and pairs["churned"].nunique() < 2:
            compared_on = f"no row that version {context.champion} has not learned is in the test, or one outcome only"
            pairs = None

        def over_champion(
            compare: Callable[[pd.DataFrame, GateSettings], Interval],
        ) -> Interval | Unavailable | None:
            return None if pairs is None else compute_or_unavailable(lambda: compare(require(pairs), thresholds))

        return Evidence(
            **vars(measure_registered_model(subject, subject.score, rows, context, thresholds.seed)),
            evaluation=compute_or_unavailable(lambda: subject.evaluation),
            signal=compute_or_unavailable(lambda: model_comparison.measure_signal(subject.predictions, thresholds)),
            known_rate=compute_or_unavailable(lambda: float(subject.predictions["base_rate"].iloc[0])),
            brier_gain=compute_or_unavailable(
                lambda: model_comparison.compare_brier(subject.predictions, thresholds, "base_rate")
            ),
            level_free_brier_gain=compute_or_unavailable(
                lambda: model_comparison.compare_brier(
                    model_comparison.remove_level(subject.predictions), thresholds, "base_rate"
                )
            ),
            is_first=champion is None or compute_or_unavailable(lambda: champion.recipe.family) == BASE_RATE,
            over_champion=over_champion(model_comparison.compare_roc_auc),
            brier_over_champion=over_champion(model_comparison.compare_brier),
            compared_on=compared_on,
            compared_rows=len(pairs) if isinstance(pairs, pd.DataFrame) else 0,
            as_tested=compute_or_unavailable(
                lambda: model_comparison.largest_difference(require(rows), require(scores), subject.predictions)
            ),
            wrong_direction=compute_or_unavailable(
                lambda: _wrong_direction(settings, subject, require(rows), thresholds)
            ),
            breach=context.breach,
        )


def measure_registered_model(
    subject: ModelCandidate,
    predict: Callable[[Floats], Floats],
    rows: TrainingSet | Unavailable,
    context: EvaluationContext,
    seed: int,
) -> RegisteredModelEvidence:
    """Measure what the gates ask of a model of any kind.

    Args:
        subject: Version to evaluate.
        predict: Function from inputs to predictions.
        rows: Test rows.
        context: Context of the evaluation.
        seed: Seed of the row orders.

    Returns:
        The evidence.
    """
    return RegisteredModelEvidence(
        champion=context.champion,
        variance=compute_or_unavailable(lambda: behavioral_tests.measure_variance(predict, require(rows).x, seed)),
        definitions=compute_or_unavailable(lambda: subject.definitions),
        parity=context.parity,
        latency_ms=compute_or_unavailable(lambda: behavioral_tests.measure_latency_ms(predict, require(rows).x)),
        size_mb=compute_or_unavailable(lambda: len(subject.model_file) / 1e6),
        inputs=compute_or_unavailable(lambda: subject.contract.inputs),
        rollback=context.rollback,
    )


def _describe_labels(subject: ModelCandidate, champion: ModelCandidate) -> str:
    """Describe the outcomes of the comparison if the versions were trained on different labels."""
    contracts = compute_or_unavailable(lambda: (subject.contract, champion.contract))
    if isinstance(contracts, Unavailable):
        return ""
    new, old = contracts
    if new.fingerprint.get("labels") == old.fingerprint.get("labels"):
        return ""
    windows = [f"{item.terms.describe_churn()}; customers {item.terms.describe_customers()}" for item in contracts]
    by = f"{windows[0]}; the champion was trained on another label: {windows[1]}"
    if windows[0] == windows[1]:
        by = f"{windows[0]}; the code of the champion's label differs"
    return f", with the outcomes of version {subject.version} for both ({by})"


def _wrong_direction(settings: Settings, subject: ModelCandidate, rows: TrainingSet, thresholds: GateSettings) -> float:
    view = open_version(settings, subject.contract.definitions).get_on_demand_feature_view(
        behavioral_tests.find_request_time_view(rows.inputs)
    )
    assert view.feature_transformation is not None
    return behavioral_tests.measure_wrong_direction(
        subject.score, rows, view.feature_transformation.udf, thresholds.score_tolerance
    )
