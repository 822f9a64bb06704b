"""Whether serving answers from other values than training would: while it does, no version becomes champion."""

import pandas as pd

from feature_repo.settings import Settings
from holdfast.monitoring.metrics_store import read_latest_metrics

_DEFINITION = "changed definition"


def describe_open_skew(settings: Settings) -> str | None:
    """What the latest look at skew found wrong, in words; None when it found nothing, or nobody has looked.

    A window in which nothing was compared, for want of predictions, takes nothing back.
    """
    wrong = _wrong(settings)
    if wrong.empty:
        return None
    shown = ", ".join(sorted(set(wrong["subject"])))
    when = f"{wrong['as_of'].iloc[0]:%Y-%m-%d %H:%M} UTC"
    return f"the features served differ from those recomputed ({shown}; window up to {when})"


def is_definition_change(settings: Settings) -> bool:
    """Whether the open skew has no other cause than definitions that were changed since a version was trained.

    Only a version trained on the changed ones ends that: where the service refuses the old one, nobody is scored any
    more, and no later window would close it.
    """
    wrong = _wrong(settings)
    causes = set(wrong.loc[wrong["metric"] == "mismatches_by_cause", "subject"])
    return causes == {_DEFINITION} or (not causes and "not_computable" in set(wrong["metric"]))


def _wrong(settings: Settings) -> pd.DataFrame:
    latest = read_latest_metrics(settings, "skew", with_rows=True)
    return latest[latest["breached"] & (latest["rows"] > 0)]
