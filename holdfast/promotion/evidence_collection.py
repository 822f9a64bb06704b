"""Gathers the evidence about a version: reads what its training left, and tries the registered model itself."""

from mlflow import MlflowClient
from threadpoolctl import threadpool_limits

from feature_repo.settings import Settings
from holdfast.feast_stores.open_store import open_store
from holdfast.model_versions.candidate import Subject
from holdfast.model_versions.evidence import Evidence, attempt, given
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.promotion import behavioral_tests, model_comparison
from holdfast.promotion.evaluation_context import Situation
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import Interval


def gather(
    client: MlflowClient, settings: Settings, version: str, situation: Situation, thresholds: GateSettings
) -> Evidence:
    """All the evidence about ``version``; what cannot be had is there with its reason.

    The registered model scores its own test rows, joined again from the features as known at its training.
    """
    subject = Subject(client, version)
    champion = Subject(client, situation.champion) if situation.champion is not None else None
    same = champion is not None and attempt(lambda: champion.definitions) == attempt(lambda: subject.definitions)
    with threadpool_limits(limits=1):  # as in training: threads that wait for each other are slower than one
        rows = attempt(lambda: subject.test_rows(settings, given(situation.definitions)))
        scores = attempt(lambda: subject.score(given(rows).x))

        theirs = attempt(lambda: champion.score(given(rows).x)) if champion and same else None

        def over(champion: Subject) -> Interval:
            if theirs is None:
                return model_comparison.on_shared_predictions(subject.predictions, champion.predictions, thresholds)
            return model_comparison.on_rows(given(rows), given(scores), given(theirs), thresholds)

        def brier_over(champion: Subject) -> Interval:
            if theirs is None:
                return model_comparison.brier_on_shared_predictions(
                    subject.predictions, champion.predictions, thresholds
                )
            return model_comparison.brier_on_rows(given(rows), given(scores), given(theirs), thresholds)

        return Evidence(
            evaluation=attempt(lambda: subject.evaluation),
            brier_gain=attempt(lambda: model_comparison.brier_gain(subject.predictions, thresholds)),
            champion=situation.champion,
            over_champion=attempt(lambda: over(champion)) if champion else None,
            brier_over_champion=attempt(lambda: brier_over(champion)) if champion else None,
            compared_on="the same test rows" if same else "the test rows they share",
            as_tested=attempt(
                lambda: model_comparison.largest_difference(given(rows), given(scores), subject.predictions)
            ),
            wrong_direction=attempt(lambda: _wrong_direction(subject, given(rows), thresholds)),
            variance=attempt(lambda: behavioral_tests.variance(subject.score, given(rows).x, thresholds.seed)),
            definitions=attempt(lambda: subject.definitions),
            parity=situation.parity,
            latency_ms=attempt(lambda: behavioral_tests.latency_ms(subject.score, given(rows).x)),
            size_mb=attempt(lambda: len(subject.model_file) / 1e6),
            inputs=attempt(lambda: subject.contract.inputs),
            rollback=situation.rollback,
            breach=situation.breach,
        )


def _wrong_direction(subject: Subject, rows: TrainingSet, thresholds: GateSettings) -> float:
    view = open_store().get_on_demand_feature_view(behavioral_tests.request_time_view(rows.inputs))
    assert view.feature_transformation is not None
    return behavioral_tests.wrong_direction(
        subject.score, rows, view.feature_transformation.udf, thresholds.score_tolerance
    )
