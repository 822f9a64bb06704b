"""Drift rule: PSI of inputs and score against both references of a version."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from holdfast.core.types import Floats
from holdfast.monitoring.drift.aging import age_customers
from holdfast.monitoring.drift.categories import CategoryChange, find_category_change
from holdfast.monitoring.drift.psi import PsiResult, measure_psi
from holdfast.monitoring.drift.reference import DriftReference
from holdfast.monitoring.hypothesis_tests import holm
from holdfast.monitoring.settings import DriftRules


@dataclass(frozen=True)
class FeatureDrift:
    """Drift of one input, or of the score, of one version.

    Attributes:
        rows: Number of customers.
        vs_training: PSI vs. the training set.
        vs_training_population: Smaller of two PSIs vs. the population at training: unchanged, and aged to now.
        categories: New and vanished categories of a categorical input.
    """

    version: str
    name: str
    rows: int
    vs_training: PsiResult
    vs_training_population: PsiResult
    drifted: bool = False
    categories: CategoryChange | None = None

    @property
    def psi(self) -> float:
        """Return the smaller PSI: the drift from both references."""
        return min(self.vs_training.psi, self.vs_training_population.psi)

    @property
    def p_value(self) -> float:
        """Return the larger p-value: that of the drift from both references."""
        return max(self.vs_training.p_value, self.vs_training_population.p_value)


def compare_with_reference(reference: DriftReference, current: Floats, as_of: datetime) -> list[FeatureDrift]:
    """Measure the drift of each column from both references.

    Args:
        reference: Reference data of the version.
        current: Inputs and score, shape (customers, names).
        as_of: Time of ``current``.

    Returns:
        One result per column, not yet decided.
    """
    days = (as_of - reference.as_of) / timedelta(days=1)
    aged = age_customers(reference.names, reference.training_population, days, reference.on_demand)
    results = []
    for i, name in enumerate(reference.names):
        of_input, change = reference.categories.get(name), None
        vs_training = measure_psi(name, reference.training[:, i], current[:, i], of_input)
        vs_population = measure_psi(name, reference.training_population[:, i], current[:, i], of_input)
        if not np.array_equal(aged[:, i], reference.training_population[:, i], equal_nan=True):
            vs_aged = measure_psi(name, aged[:, i], current[:, i])
            vs_population = min(vs_population, vs_aged, key=lambda result: result.psi)
        if of_input is not None:
            change = find_category_change(reference.training_population[:, i], current[:, i], of_input)
        result = FeatureDrift(reference.version, name, len(current), vs_training, vs_population, categories=change)
        results.append(result)
    return results


def mark_drifted(results: Sequence[FeatureDrift], rules: DriftRules) -> list[FeatureDrift]:
    """Decide which columns have drifted: a large and significant PSI against both references.

    One reference is not enough. An aging customer base differs from most months of the training set, and did so when
    the version was accepted. A column that matches either the population at training or the training set has not
    drifted.

    Args:
        results: Drift of the columns of all versions.
        rules: Limits.

    Returns:
        The results with ``drifted`` set, largest PSI first.
    """
    significant = holm([result.p_value for result in results], rules.alpha)
    decided = [
        replace(result, drifted=is_significant and result.psi >= rules.max_psi)
        for result, is_significant in zip(results, significant, strict=True)
    ]
    return sorted(decided, key=lambda result: -result.psi)
