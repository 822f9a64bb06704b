"""When what a model reads, or says, has drifted: the rule, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from holdfast.core.types import Floats
from holdfast.models.contract import RECENCY_FEATURE
from holdfast.monitoring.drift.psi import PsiResult, measure_psi
from holdfast.monitoring.drift.reference import DriftReference
from holdfast.monitoring.hypothesis_tests import holm
from holdfast.monitoring.settings import DriftRules

_TENURE, _SILENCE = "tenure_days", "silence_share"


@dataclass(frozen=True)
class FeatureDrift:
    """How far one feature, or the score, of one version is from the rows it was trained on and from whom it met then.

    ``met`` is against those it met as they were, or as they would be by now, grown older: whichever is nearer.
    """

    version: str
    name: str
    rows: int
    vs_training: PsiResult
    vs_training_population: PsiResult
    drifted: bool = False

    @property
    def psi(self) -> float:
        """The smaller one: what both references agree on."""
        return min(self.vs_training.psi, self.vs_training_population.psi)

    @property
    def p_value(self) -> float:
        """The larger one, for the same reason."""
        return max(self.vs_training.p_value, self.vs_training_population.p_value)


def compare_with_reference(reference: DriftReference, current: Floats, as_of: datetime) -> list[FeatureDrift]:
    """Every column of ``current``, shape (customers, names), as it was at ``as_of``, against both references."""
    older = age_reference(reference.names, reference.training_population, (as_of - reference.as_of) / timedelta(days=1))
    found = []
    for i, name in enumerate(reference.names):
        vs_training = measure_psi(name, reference.training[:, i], current[:, i])
        vs_population = measure_psi(name, reference.training_population[:, i], current[:, i])
        if name in (_TENURE, _SILENCE):
            vs_aged = measure_psi(name, older[:, i], current[:, i])
            vs_population = min(vs_population, vs_aged, key=lambda result: result.psi)
        found.append(FeatureDrift(reference.version, name, len(current), vs_training, vs_population))
    return found


def mark_drifted(moved: Sequence[FeatureDrift], rules: DriftRules) -> list[FeatureDrift]:
    """Mark what has drifted, largest PSI first: far from both references, and surely so.

    An ageing customer base is far from most of the months it was trained on, and was when the version was accepted;
    one that is as it was then has not drifted. One that is as it was in training has not, either.
    """
    sure = holm([item.p_value for item in moved], rules.alpha)
    judged = [replace(item, drifted=held and item.psi >= rules.max_psi) for item, held in zip(moved, sure, strict=True)]
    return sorted(judged, key=lambda item: -item.psi)


def age_reference(names: Sequence[str], rows: Floats, days: float) -> Floats:
    """The same customers ``days`` later, as busy as they were: all that time alone changes is their tenure.

    Where no new customers come, tenure grows by a day a day, and what is a share of it shrinks: that is no drift.
    """
    older = rows.copy()
    if _TENURE in names:
        older[:, names.index(_TENURE)] += days
        if RECENCY_FEATURE in names and _SILENCE in names:
            tenure, recency = (older[:, names.index(name)] for name in (_TENURE, RECENCY_FEATURE))
            share = np.divide(recency, tenure, out=0 * tenure, where=tenure > 0)  # unknown stays so
            older[:, names.index(_SILENCE)] = share
    return older
