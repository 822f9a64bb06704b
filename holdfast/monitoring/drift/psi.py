"""How far a distribution has moved from the one a model was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from holdfast.core.types import Floats

BINS = 10
SCORE = "score"


@dataclass(frozen=True)
class PsiResult:
    """The PSI of one model input, or of the score, and how probable as much is where nothing has moved."""

    name: str
    psi: float
    p_value: float = 1.0


def psi(reference: Floats, current: Floats, bins: int = BINS) -> float:
    """Population stability index of ``current`` against ``reference``, each of shape (rows,).

    The sum over bins of (current share - reference share) * ln(current share / reference share): 0 for equal
    distributions, symmetric in its two arguments but for the bins. Those hold equally many reference rows; equal
    values share a bin, and missing values (NaN) have one of their own. By custom 0.1 is a small and 0.25 a large
    shift (Siddiqi, *Credit Risk Scorecards*, 2006). Without any drift it is (1/reference rows + 1/current rows) times
    a chi-squared variable of bins - 1 degrees of freedom (Yurdakul and Naranjo, *Statistical properties of the
    population stability index*, 2020): of 200 rows against many, above 0.085 in one case of twenty.

    Raises:
        ValueError: One of them has no rows.
    """
    return measure_psi("", reference, current, bins).psi


def measure_psi(name: str, reference: Floats, current: Floats, bins: int = BINS) -> PsiResult:
    """:func:`psi` with its p-value by that chi-squared law.

    Raises:
        ValueError: One of them has no rows.
    """
    if not len(reference) or not len(current):
        raise ValueError(f"PSI of {len(reference)} reference and {len(current)} current rows: both need at least one")
    edges = _edges(reference, bins)
    counts = np.array([_counts(reference, edges), _counts(current, edges)])
    counts = counts[:, counts.any(axis=0)]
    # An empty bin counts as half a row: its logarithm would be infinite.
    expected, actual = np.maximum(counts, 0.5) / [[len(reference)], [len(current)]]
    found = float(np.sum((actual - expected) * np.log(actual / expected)))
    noise = 1 / len(reference) + 1 / len(current)
    return PsiResult(name, found, float(chi2.sf(found / noise, counts.shape[1] - 1)) if counts.shape[1] > 1 else 1.0)


def measure_psi_by_column(names: Sequence[str], reference: Floats, current: Floats) -> list[PsiResult]:
    """The PSI of each column of two matrices (rows, len(names)), largest first."""
    found = [measure_psi(name, reference[:, i], current[:, i]) for i, name in enumerate(names)]
    return sorted(found, key=lambda item: -item.psi)


def _edges(reference: Floats, bins: int) -> Floats:
    """Where bins begin. Where a whole bin is the largest value, what is larger still has a bin of its own."""
    known = reference[~np.isnan(reference)]
    if not len(known):
        return np.empty(0)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.append(edges, np.nextafter(edges[-1], np.inf)) if edges[-1] == known.max() else edges


def _counts(values: Floats, edges: Floats) -> npt.NDArray[np.intp]:
    """The rows of each bin, missing values last."""
    numbers = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="right"))
    return np.bincount(numbers, minlength=len(edges) + 2)
