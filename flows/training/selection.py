"""Fits the candidates and chooses one on the validation period, never on the test."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from threadpoolctl import threadpool_limits

from flows.training.candidates import Candidate
from flows.training.dataset import TrainingSet
from flows.training.evaluation import metrics, roc_auc_difference


@dataclass(frozen=True)
class Fitted:
    """A candidate fitted on the fit period, with what it scored on the validation period."""

    candidate: Candidate
    model: BaseEstimator
    validation: dict[str, float]
    scores: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """The candidate that is registered and, in one sentence, why."""

    fitted: Fitted
    reason: str


def fit_candidate(candidate: Candidate, fit: TrainingSet, validation: TrainingSet, seed: int) -> Fitted:
    """Fit one candidate and score the validation period."""
    model = fit_model(candidate, fit, seed)
    scores = churn_scores(model, validation.x)
    return Fitted(candidate, model, metrics(validation.y, scores), scores)


def fit_model(candidate: Candidate, data: TrainingSet, seed: int) -> BaseEstimator:
    """A fresh model of the candidate, fitted on ``data`` by one thread.

    Boosting's threads wait for each other by spinning: on a busy machine two were 20 times slower than one.
    """
    model = candidate.build([feature.name for feature in data.inputs], seed)
    with threadpool_limits(limits=1):
        return model.fit(data.x, data.y)


def churn_scores(model: BaseEstimator, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The probability of churn, shape (rows,)."""
    return model.predict_proba(x)[:, 1]


def choose(fitted: list[Fitted], validation: TrainingSet, seed: int, noise_z: float) -> Choice:
    """The best validation ROC-AUC of each family; the more complex family must win by more than noise.

    Ranking decides, because the base rate differs from period to period and moves the other metrics with it.
    """
    best: dict[str, Fitted] = {}
    for item in fitted:
        current = best.get(item.candidate.family)
        if current is None or item.validation["roc_auc"] > current.validation["roc_auc"]:
            best[item.candidate.family] = item
    chosen, *rivals = sorted(best.values(), key=lambda item: item.candidate.complexity)
    reasons = []
    for rival in rivals:
        difference, error = roc_auc_difference(validation, rival.scores, chosen.scores, seed)
        wins = difference > noise_z * error
        reasons.append(
            f"{rival.candidate.name} {'beats' if wins else 'does not beat'} {chosen.candidate.name} on validation "
            f"(ROC-AUC {difference:+.4f}, standard error {error:.4f}){'' if wins else ': the simpler model ships'}"
        )
        chosen = rival if wins else chosen
    return Choice(chosen, "; ".join(reasons) + ".")
