"""Additive models as arrays: the log-odds of a row are a base plus one term per input.

The terms of a row, and their sum by :func:`sum_terms`, have the same bits in every batch: the sum runs from the first
input to the last. Matrix products and ``sum`` have no fixed order.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.core.types import Floats


class AdditiveTerms(ABC):
    """Terms of an additive model.

    Attributes:
        base: Constant to which the terms are added.
    """

    base: float

    @abstractmethod
    def compute(self, x: Floats) -> Floats:
        """Compute the term of each input.

        Args:
            x: Inputs, shape (rows, inputs); NaN is missing.

        Returns:
            Terms, of the same shape; not finite for values that the model cannot score.
        """

    def log_odds(self, x: Floats) -> Floats:
        """Compute log-odds of churn before calibration.

        Args:
            x: Inputs, shape (rows, inputs); NaN is missing.

        Returns:
            Log-odds, shape (rows,); not finite for values that the model cannot score.
        """
        return self.base + sum_terms(self.compute(x))

    def contributions(self, x: Floats, reference: Floats) -> tuple[float, Floats, Floats]:
        """Compute the contribution of each input to the log-odds of each row.

        Args:
            x: Inputs, shape (rows, inputs); NaN is missing.
            reference: Reference value per input, shape (inputs,).

        Returns:
            Log-odds of the reference, log-odds of each row, and contributions of shape (rows, inputs).
        """
        terms = self.compute(np.vstack([reference, x]))
        log_odds = self.base + sum_terms(terms)
        with np.errstate(invalid="ignore"):  # infinity less infinity is rejected by the scorer
            return float(log_odds[0]), log_odds[1:], terms[1:] - terms[0]


def arcsinh_inputs(x: Floats, log_odds: Sequence[int] = ()) -> Floats:
    """Compute the inverse hyperbolic sine of the inputs: like a logarithm, but defined for zero and negative amounts.

    Args:
        x: Inputs, shape (rows, inputs); NaN is missing.
        log_odds: Columns that are in log-odds already and stay as they are.

    Returns:
        Transformed inputs, of the same shape.
    """
    transformed: Floats = np.arcsinh(x)
    transformed[:, log_odds] = x[:, log_odds]
    return transformed


@dataclass(frozen=True)
class LinearTerms(AdditiveTerms):
    """Logistic regression on standardized inputs; arrays have shape (inputs,).

    The terms of a categorical input are in ``categories``; its numbers in the arrays have no effect.

    Attributes:
        base: Constant to which the terms are added.
        untransformed: Columns that are in log-odds already, which :func:`arcsinh_inputs` does not transform.
        mean: Means of the transformed inputs.
        scale: Standard deviations of the transformed inputs.
        coefficients: Coefficients of the standardized inputs.
        known: Part of the term of a known input that comes from its missing-value indicator.
        missing: Whole term of a missing input.
        categorical: Columns of the categorical inputs.
        categories: Terms of the categorical inputs; None without any.
    """

    base: float
    untransformed: tuple[int, ...]
    mean: Floats
    scale: Floats
    coefficients: Floats
    known: Floats
    missing: Floats
    categorical: tuple[int, ...] = ()
    categories: "StepTerms | None" = None

    @property
    def inputs(self) -> int:
        """Return the number of inputs."""
        return len(self.mean)

    def compute(self, x: Floats) -> Floats:
        """Compute the term of each input.

        Args:
            x: Inputs, shape (rows, inputs); NaN is missing.

        Returns:
            Terms, of the same shape; not finite for an infinite value, which scikit-learn rejects.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            terms = arcsinh_inputs(x, self.untransformed)
            terms -= self.mean
            terms /= self.scale
            terms *= self.coefficients
            terms += self.known
            np.copyto(terms, self.missing, where=np.isnan(x))
        if self.categories is not None:
            terms[:, self.categorical] = self.categories.compute(x[:, self.categorical])
        return terms

    def probe_rows(self) -> Floats:
        """Create rows with values around those of the training set, and missing values, in each input.

        Returns:
            Rows, shape (any, inputs); categorical inputs have every category, others and a missing one.
        """
        z = np.array([-2.0, -0.5, 0.0, 1.0, 2.0, np.nan])
        deviations = z[(np.arange(len(z))[:, None] + np.arange(self.inputs)) % len(z)]
        transformed = np.clip(self.mean + self.scale * deviations, -700, 700)
        rows = np.sinh(transformed)
        rows[:, self.untransformed] = transformed[:, self.untransformed]
        if self.categories is not None:
            texts = self.categories.probe_rows()
            rows = np.resize(rows, (max(len(rows), len(texts)), self.inputs))
            rows[:, self.categorical] = np.resize(texts, (len(rows), texts.shape[1]))
        return rows


@dataclass(frozen=True)
class StepTerms(AdditiveTerms):
    """Step function per input: the sum of boosted trees of one input each, or the terms of categories.

    A category is a step that holds its code alone.

    One binary search finds the steps of all inputs: NumPy sorts complex numbers by the real part, then by the imaginary
    part, and those with NaN last. A row of 5 inputs takes 1.8 µs, and 13 µs with one search per input; 5,000 rows take
    3.7 ms and 1.8 ms.

    Attributes:
        base: Constant to which the terms are added.
        inputs: Number of inputs.
        edges: Upper edges of the steps as complex numbers of input number and edge, sorted, shape (steps,). An edge
            belongs to the step below. The last edge of an input is infinite; missing inputs have the edge NaN.
        values: Term of each step, shape (steps,).
    """

    base: float
    inputs: int
    edges: npt.NDArray[np.complex128]
    values: Floats

    def compute(self, x: Floats) -> Floats:
        """Compute the term of each input.

        Args:
            x: Inputs, shape (rows, inputs); NaN is missing.

        Returns:
            Terms, of the same shape, always finite.
        """
        terms: Floats = self.values[self.edges.searchsorted(number_inputs(np.arange(self.inputs), x))]
        return terms

    def probe_rows(self) -> Floats:
        """Create rows with both ends of every step of every input, and missing values.

        Returns:
            Rows, shape (any, inputs).
        """
        by_input = [self.edges.imag[self.edges.real == number] for number in range(self.inputs)]
        columns = [np.concatenate([edges, np.nextafter(edges, np.inf)]) for edges in by_input]
        longest = max(map(len, columns))
        return np.stack([np.resize(column, longest) for column in columns], axis=1)


def sum_terms(terms: Floats) -> Floats:
    """Sum the terms of each row from the first input to the last.

    Args:
        terms: Terms, shape (rows, inputs).

    Returns:
        Sums, shape (rows,); not finite where a term is not finite.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        return np.add.accumulate(terms, axis=1)[:, -1]


def number_inputs(numbers: Any, values: Floats) -> npt.NDArray[np.complex128]:
    """Combine input numbers and values to complex numbers; ``number + value * 1j`` makes NaN of infinity.

    Args:
        numbers: Numbers of the inputs, of a shape that fits the values.
        values: Values of the inputs.

    Returns:
        Complex numbers, of the shape of the values.
    """
    numbered = np.empty(values.shape, dtype=np.complex128)
    numbered.real, numbered.imag = numbers, values
    return numbered
