"""Data faults, as functions of the rows of one day."""

import numpy as np
import pandas as pd

from simulations.daily_data import AMOUNT

_NOT_A_NUMBER = ("", "n/a")


def raise_prices(rows: pd.DataFrame, factor: float) -> pd.DataFrame:
    """Multiply all amounts by a factor.

    Args:
        rows: Transactions of a day.
        factor: Factor of the amounts.

    Returns:
        The changed transactions.
    """
    return rows.assign(**{AMOUNT: [f"{float(amount) * factor:.2f}" for amount in rows[AMOUNT]]})


def corrupt_amounts(rows: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """Replace amounts by an empty text or by a text that is no number.

    Args:
        rows: Transactions of a day.
        share: Share of the rows, 0 to 1.
        seed: Seed for the choice of the rows.

    Returns:
        The changed transactions.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(rows))[: round(share * len(rows))]
    amounts = rows[AMOUNT].to_numpy(dtype=object).copy()
    for number, row in enumerate(drawn):
        amounts[row] = _NOT_A_NUMBER[number % len(_NOT_A_NUMBER)]
    return rows.assign(**{AMOUNT: amounts})
