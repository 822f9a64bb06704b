"""Whom a model may be judged on."""

import numpy as np
import numpy.typing as npt


def is_active(recency_days: npt.ArrayLike, activity_days: int) -> npt.NDArray[np.bool_]:
    """Who bought in the last ``activity_days``, or of whom it is not known; both of shape (customers,).

    A model learns from active customers only. Of others it knows nobody, then as now: no training could change that.
    """
    return ~(np.asarray(recency_days, dtype=np.float64) > activity_days)
