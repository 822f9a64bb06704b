"""Evidently's report of the drift view."""

from typing import TYPE_CHECKING

import pandas as pd

from holdfast.core.types import Floats
from holdfast.monitoring.drift.reference import Reference
from holdfast.monitoring.evidently_workspace import report_of

if TYPE_CHECKING:
    from evidently.core.report import Snapshot


def drift_report(reference: Reference, current: Floats) -> "Snapshot | None":
    """Every input and the score of one version, now and of those it met when it was trained: PSI and summaries.

    Columns that are empty on a side are left out, which Evidently cannot compare; None where none is left.
    """
    frames = [pd.DataFrame(rows, columns=reference.names) for rows in (current, reference.met)]
    return report_of(*frames)
