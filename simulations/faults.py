"""Faults of the data, as functions of one day's rows."""

import numpy as np
import pandas as pd

from simulations.daily_data import AMOUNT

_NOT_A_NUMBER = ("", "n/a")


def dearer(rows: pd.DataFrame, factor: float) -> pd.DataFrame:
    """All prices times ``factor``."""
    return rows.assign(**{AMOUNT: [f"{float(amount) * factor:.2f}" for amount in rows[AMOUNT]]})


def broken_amounts(rows: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """The amount of a share of the rows is lost: empty, or a text."""
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(rows))[: round(share * len(rows))]
    amounts = rows[AMOUNT].to_numpy(dtype=object).copy()
    for number, row in enumerate(drawn):
        amounts[row] = _NOT_A_NUMBER[number % len(_NOT_A_NUMBER)]
    return rows.assign(**{AMOUNT: amounts})
