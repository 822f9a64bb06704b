"""Regression model loaded from a file and verified by SHA-256 and example predictions."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from holdfast.core.types import Floats
from holdfast.models.contract import ServedModel
from holdfast.models.loaded_model import (
    UnusableModelError,
    failures_as_unusable,
    read_estimator,
    require_registered_file,
)
from holdfast.models.remedies import RETRAIN, SAME_ENVIRONMENT

_TOLERANCE = 1e-9  # of the size of a prediction


@dataclass(frozen=True, eq=False)
class LoadedRegressor:
    """Fitted regressor with its contract."""

    contract: ServedModel
    estimator: Any

    def predict(self, matrix: Floats) -> Floats:
        """Compute expected values.

        Args:
            matrix: Inputs as ``input_matrix`` returns them, shape (rows, inputs).

        Returns:
            Expected values, shape (rows,).
        """
        return np.asarray(self.estimator.predict(matrix), dtype=np.float64)


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
    model = LoadedRegressor(contract, read_estimator(content, about))
    examples = contract.predicted_examples
    with failures_as_unusable(f"The file of {about} cannot predict its examples."):
        found = model.predict(np.array([example.inputs for example in examples], dtype=np.float64)).tolist()
    for number, (example, value) in enumerate(zip(examples, found, strict=True)):
        if not abs(value - example.value) <= _TOLERANCE * (1 + example.value):
            raise UnusableModelError(
                f"{about} predicts {value!r} for its example {number}; in training it was {example.value!r}.",
                SAME_ENVIRONMENT,
            )
    return model
