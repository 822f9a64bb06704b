"""Request for scores, and the inputs of its customers under one version of the feature definitions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from holdfast.core.model_names import CHURN
from holdfast.core.types import Ints
from services.features.feature_checks import CheckedInputs
from services.features.feature_definitions import FeatureDefinitions


@dataclass(frozen=True)
class ScoringRequest:
    """Request for the scores of customers.

    Attributes:
        customer_ids: Customers.
        as_of: Time to predict for; None: now.
        explain: Add explanations.
        request_id: Id of the request.
        models: Models that score the customers; the first gives the explanations.
    """

    customer_ids: Sequence[str]
    as_of: datetime | None
    explain: bool
    request_id: str
    models: tuple[str, ...] = (CHURN,)


@dataclass(frozen=True)
class VersionInputs:
    """Checked inputs of rows of a batch, under one version of the feature definitions.

    Attributes:
        definitions: Feature definitions of the version.
        checked: Checked inputs of the rows that were read.
        positions: Position in ``checked`` of each row of the batch, and -1 for a row that was not read; None: all rows
            were read, in order.
    """

    definitions: FeatureDefinitions
    checked: CheckedInputs
    positions: Ints | None = None

    def locate(self, rows: Ints) -> Ints:
        """Return the positions of rows in ``checked``.

        Args:
            rows: Rows of the batch that were read.

        Returns:
            Positions, in the order of ``rows``.
        """
        return rows if self.positions is None else self.positions[rows]

    def batch_rows(self) -> Ints:
        """Return the row of the batch of each position in ``checked``.

        Returns:
            Rows of the batch that were read.
        """
        return np.arange(len(self.checked.newest_us)) if self.positions is None else np.flatnonzero(self.positions >= 0)
