"""Whether serving answers from other values than training would: while it does, no version becomes champion."""

from feature_repo.settings import Settings
from flows.monitoring.metrics_table import read_metrics


def open_skew(settings: Settings) -> str | None:
    """What the latest look at skew found wrong, in words; None when it found nothing, or nobody has looked.

    A window in which nothing was compared, for want of predictions, takes nothing back.
    """
    table = read_metrics(settings, "skew")
    compared = table[table["rows"] > 0]
    if compared.empty:
        return None
    latest = compared[compared["as_of"] == compared["as_of"].max()]
    wrong = latest[latest["breached"]]
    if wrong.empty:
        return None
    shown = ", ".join(sorted(set(wrong["subject"])))
    when = f"{wrong['as_of'].iloc[0]:%Y-%m-%d %H:%M} UTC"
    return f"the features served differ from those recomputed ({shown}; window up to {when})"
