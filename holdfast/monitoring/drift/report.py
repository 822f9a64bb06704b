"""Evidently's report of the drift view."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from holdfast.monitoring.drift.reference import Floats, Reference

if TYPE_CHECKING:
    from evidently.core.report import Snapshot

_ROWS = 20_000


def drift_report(reference: Reference, current: Floats) -> "Snapshot | None":
    """Every input and the score of one version, now and of those it met when it was trained: PSI and summaries.

    Columns that are empty on a side are left out, which Evidently cannot compare; None where none is left.
    """
    frames = [pd.DataFrame(rows, columns=reference.names) for rows in (current, reference.met)]
    return report_of(*frames)


def report_of(current: pd.DataFrame, reference: pd.DataFrame) -> "Snapshot | None":
    """PSI and missing values of the columns that have values in both; None where there are none."""
    from evidently import Report
    from evidently.metrics import MissingValueCount, RowCount
    from evidently.presets import DataDriftPreset

    columns = [name for name in current if current[name].notna().any() and reference[name].notna().any()]
    if not columns:
        return None
    frames = [
        frame[columns].sample(min(_ROWS, len(frame)), random_state=0, ignore_index=True)
        for frame in (current, reference)
    ]
    counts = [RowCount(), *(MissingValueCount(column=name) for name in columns)]
    metrics = [DataDriftPreset(columns=columns, method="psi", threshold=0.25), *counts]
    with np.errstate(invalid="ignore"):  # of a constant column it makes a correlation, which is nothing
        return Report(metrics, include_tests=True).run(*frames)
