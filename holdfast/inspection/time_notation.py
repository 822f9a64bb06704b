"""Notation of the times of a column: the formats that read its values."""

from dataclasses import dataclass

import pandas as pd
import pyarrow.compute as pc

from holdfast.ingestion.parsing.columns import TextColumn

_DATES = (
    *("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%d/%m/%y", "%m/%d/%y"),
    *("%d.%m.%y", "%d-%m-%y", "%m-%d-%y", "%Y%m%d", "%y%m%d", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%b %d, %Y"),
)
_TIMES = ["", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S"]
_ISO = r"^[12][0-9]{3}-[01][0-9]-[0-3][0-9](?:[T ][0-9:.,]+ ?(?:[Zz]|[+-][0-9:]+)?)?$"
_MIN_SHARE = 0.9
_MAX_DISTINCT = 20_000


@dataclass(frozen=True)
class TimeNotation:
    """Formats that read the times of a column.

    Attributes:
        formats: Formats that read the most values, the likeliest first; None stands for ISO 8601. Empty for no times.
        share: Share of the present values that they read.
        reason: Evidence for the first format.
    """

    formats: tuple[str | None, ...]
    share: float
    reason: str


def find_time_notation(column: TextColumn) -> TimeNotation:
    """Find the formats that read a column as times.

    Args:
        column: Column as text.

    Returns:
        Formats; more than one where the values do not decide.
    """
    counts = pc.value_counts(column.text.drop_null())
    values, rows = counts.field("values")[:_MAX_DISTINCT], counts.field("counts")[:_MAX_DISTINCT]
    total = int(pc.sum(rows).as_py() or 0)
    if not total:
        return TimeNotation((), 0.0, "")
    text, weights = values.to_pandas(), rows.to_numpy(zero_copy_only=False)
    iso = pc.match_substring_regex(values, _ISO).to_numpy(zero_copy_only=False)
    share = float(weights[iso].sum() / total)
    if share >= _MIN_SHARE:
        return TimeNotation((None,), share, f"ISO 8601: {text[iso].iloc[0]}")
    if pc.mean(pc.match_substring_regex(values[:1000], "[0-9].*[0-9]{2}|[0-9]{6}")).as_py() < _MIN_SHARE:
        return TimeNotation((), 0.0, "")
    found: dict[str, float] = {}
    for date in _DATES:
        for time in _TIMES:
            if pd.to_datetime(text[:50], format=date + time, errors="coerce").isna().mean() > 0.5:
                continue
            read = pd.to_datetime(text, format=date + time, errors="coerce").notna().to_numpy()
            if weights[read].sum() / total >= _MIN_SHARE:
                found[date + time] = float(weights[read].sum() / total)
    if not found:
        return TimeNotation((), 0.0, "")
    best = max(found.values())
    formats = tuple(name for name, value in found.items() if value >= best - 1e-9)
    return TimeNotation(formats, best, f"reads {best:.1%} of the values, such as {text.iloc[0]}")
