"""Champion of the main job, its inputs and its customers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from holdfast.models.contract import input_matrix


@dataclass(frozen=True)
class Champion:
    """Trained model, active customers, and the test predictions."""

    score: Callable[[np.ndarray], np.ndarray]
    inputs: list[Any]
    customers: pd.DataFrame
    request_time: Callable[[dict[str, list[Any]]], dict[str, list[Any]]]
    as_of_us: int
    tested: pd.DataFrame

    def matrix(self, customers: pd.DataFrame, **changed: Any) -> np.ndarray:
        """Compute the model inputs of customers, shape (customers, inputs), with changed stored values."""
        frame = customers.assign(as_of_us=self.as_of_us, **changed)
        computed = self.request_time({name: frame[name].tolist() for name in frame.columns})
        return input_matrix(self.inputs, {name: frame[name].tolist() for name in frame.columns} | computed)
