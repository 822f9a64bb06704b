"""Open skew findings: while features are skewed, no version is promoted."""

import pandas as pd

from feature_repo.settings import Settings
from holdfast.monitoring.metrics_store import read_latest_metrics

_DEFINITION = "changed definition"


def describe_open_skew(settings: Settings) -> str | None:
    """Describe the skew found in the latest window with predictions; windows without predictions close nothing.

    Args:
        settings: Settings with the metrics table.

    Returns:
        A clause for a message; None without skew.
    """
    breached = _breached_rows(settings)
    if breached.empty:
        return None
    subjects = ", ".join(sorted(set(breached["subject"])))
    end = f"{breached['as_of'].iloc[0]:%Y-%m-%d %H:%M} UTC"
    return f"the features served differ from those recomputed ({subjects}; window up to {end})"


def is_definition_change(settings: Settings) -> bool:
    """Check that changed feature definitions are the only cause of the open skew.

    Only a version trained on the changed definitions can end such a skew: the service refuses the old version, so no
    later window has predictions that would close the finding.

    Args:
        settings: Settings with the metrics table.

    Returns:
        True if there is no other cause.
    """
    breached = _breached_rows(settings)
    causes = set(breached.loc[breached["metric"] == "mismatches_by_cause", "subject"])
    return causes == {_DEFINITION} or (not causes and "not_computable" in set(breached["metric"]))


def _breached_rows(settings: Settings) -> pd.DataFrame:
    latest = read_latest_metrics(settings, "skew", with_rows=True)
    return latest[latest["breached"] & (latest["rows"] > 0)]
