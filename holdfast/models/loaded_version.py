"""Loaded version of a model of any kind: its contract, and predictions whose bits do not depend on the batch."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from holdfast.core.types import Bools, Floats
from holdfast.models.contract import ServedModel
from holdfast.models.declaration import declared_name
from holdfast.models.label import ActivityRule


@dataclass(frozen=True, eq=False)
class LoadedVersion(ABC):
    """Fitted model with its contract; a subclass per kind of model.

    Attributes:
        contract: Contract of the version.
        estimator: The fitted estimator.
        mismatch: Reason why a supported model has no compiled form; "" if there is none.
    """

    has_unknown_rows: ClassVar[bool] = False
    """A prediction may be NaN: the model has none for such a row."""

    contract: ServedModel
    estimator: Any
    mismatch: str = field(default="", kw_only=True)

    @cached_property
    def model(self) -> str:
        """Return the name of the model, such as ``churn``."""
        return declared_name(self.contract.model_name)

    @cached_property
    def definitions(self) -> str:
        """Return the id of the version of the feature definitions that the model reads."""
        return self.contract.definitions

    @cached_property
    def activity(self) -> ActivityRule:
        """Return the rule for active customers; the service asks at each request."""
        return self.contract.terms.activity

    @abstractmethod
    def predict(self, matrix: Floats) -> Floats:
        """Compute the prediction of the kind: a probability or an expected value.

        Args:
            matrix: Inputs as ``input_matrix`` returns them, shape (rows, inputs).

        Returns:
            Predictions, shape (rows,); NaN where the model has none.
        """

    @abstractmethod
    def are_valid(self, predictions: Floats) -> Bools:
        """Check predictions.

        Args:
            predictions: Results of :meth:`predict`, shape (rows,).

        Returns:
            Mask of those that the kind of model can give, shape (rows,).
        """
