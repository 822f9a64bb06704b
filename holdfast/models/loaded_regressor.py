"""Regression model loaded from a file and verified by SHA-256 and example predictions."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from holdfast.core.types import Bools, Floats
from holdfast.models.compiled_regression import CompiledRegression, verify_regression
from holdfast.models.compiled_scorer import ScorerMismatchError
from holdfast.models.contract import ServedModel
from holdfast.models.loaded_model import (
    UnusableModelError,
    failures_as_unusable,
    read_estimator,
    require_registered_file,
)
from holdfast.models.loaded_version import LoadedVersion
from holdfast.models.remedies import RETRAIN, SAME_ENVIRONMENT

_TOLERANCE = 1e-9  # of the size of a prediction
_WARM_ROWS = 100


@dataclass(frozen=True, eq=False)
class LoadedRegressor(LoadedVersion):
    """Fitted regressor with its contract.

    Attributes:
        compiled: Compiled form with the same predictions; None if the model is not supported.
    """

    has_unknown_rows: ClassVar[bool] = True

    compiled: CompiledRegression | None = None

    @override
    def predict(self, matrix: Floats) -> Floats:
        """Compute expected values, never negative; NaN where the model gives none."""
        predict = self.estimator.predict if self.compiled is None else self.compiled.predict
        values = np.asarray(predict(matrix), dtype=np.float64)
        return np.where(np.isfinite(values), np.maximum(values, 0), np.nan)

    @override
    def are_valid(self, predictions: Floats) -> Bools:
        """Return True for each row: NaN is a row without a prediction."""
        return np.ones(len(predictions), dtype=bool)


def load_verified_regressor(contract: ServedModel, content: bytes) -> LoadedRegressor:
    """Load a regression model and verify it against its contract.

    Args:
        contract: Contract of the version.
        content: Content of the model file.

    Returns:
        The model.

    Raises:
        UnusableModelError: The file has another SHA-256, contains types that are not trusted, is of another kind, or
            predicts an example differently than in training.
    """
    about = f"{contract.model_name} version {contract.model_version}"
    if not contract.predicted_examples:
        raise UnusableModelError(f"The contract of {about} has no predicted examples: it is no regression.", RETRAIN)
    require_registered_file(contract, content)
    estimator, examples = read_estimator(content, about), contract.predicted_examples
    rows = np.array([example.inputs for example in examples], dtype=np.float64)
    with failures_as_unusable(f"The file of {about} cannot predict its examples."):
        compiled, mismatch = _compile(estimator, rows)
        model = LoadedRegressor(contract, estimator, compiled, mismatch=mismatch)
        found = model.predict(rows)
        model.predict(np.resize(rows, (_WARM_ROWS, rows.shape[1])))
    for number, (example, value) in enumerate(zip(examples, found.tolist(), strict=True)):
        if not abs(value - example.value) <= _TOLERANCE * (1 + example.value):
            raise UnusableModelError(
                f"{about} predicts {value!r} for its example {number}; in training it was {example.value!r}.",
                SAME_ENVIRONMENT,
            )
    return model


def _compile(estimator: Any, examples: Floats) -> tuple[CompiledRegression | None, str]:
    compiled = CompiledRegression.from_estimator(estimator, examples.shape[1])
    try:
        if compiled is not None:
            verify_regression(estimator, compiled, examples)
    except ScorerMismatchError as error:
        return None, str(error)
    return compiled, ""
