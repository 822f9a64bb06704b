"""Where a version and its reproduction part: each function tells one kind of difference, none when there is none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from holdfast.core.types import Floats, Ints
from holdfast.ingestion.batches import Batch
from holdfast.models.fingerprint import differing_parts
from holdfast.training.lineage import Lineage
from holdfast.training.numeric_environment import NumericEnvironment

Digests = Mapping[str, Mapping[str, str]]
_KEYS = ["customer_id", "cutoff"]
_CODE = {"training_code": "training code", "lock": "lock", "python": "Python"}


@dataclass(frozen=True)
class ReproductionDifference:
    """Where they part, what differs there, and what to do if it matters."""

    where: str
    what: str
    advice: str = ""


def diff_batches(recorded: Lineage, on_disk: Sequence[Batch], folder: Path) -> list[ReproductionDifference]:
    """Batches it was made of that are gone: without them nothing can be made."""
    there = {batch.batch_id for batch in on_disk}
    gone = [batch_id for batch_id in recorded.batches if batch_id not in there]
    if not gone:
        return []
    what = f"{len(gone)} of {len(recorded.batches)} are not in {folder} any more: {_some(gone)}"
    return [ReproductionDifference("batches", what, "Restore them.")]


def list_extra_batches(recorded: Lineage, on_disk: Sequence[Batch]) -> list[str]:
    """Batches it was not made of although they say that they had arrived by then."""
    return [
        batch.batch_id
        for batch in on_disk
        if batch.batch_id not in recorded.batches
        and batch.ingested_at <= recorded.known_at
        and batch.first_event is not None
        and batch.first_event < recorded.as_of
    ]


def diff_definitions(recorded: Lineage, present: Lineage) -> list[ReproductionDifference]:
    """Parts of the fingerprint in which this checkout differs: it makes other features, or other labels."""
    parts = differing_parts(recorded.fingerprint, present.fingerprint)
    if not parts:
        return []
    differ = f"{', '.join(parts)} differ{'s' if len(parts) == 1 else ''} from this checkout's; nothing was trained"
    return [ReproductionDifference("definitions", differ, _check_out(recorded))]


def diff_code(recorded: Lineage, present: Lineage) -> list[ReproductionDifference]:
    """What else it was made with."""
    pairs = {name: (str(getattr(recorded, field)), str(getattr(present, field))) for field, name in _CODE.items()}
    differing = [f"{name} {was[:12]}, here {now[:12]}" for name, (was, now) in pairs.items() if was != now]
    return [ReproductionDifference("code", "; ".join(differing), _check_out(recorded))] if differing else []


def diff_numeric_environment(
    recorded: NumericEnvironment | None, present: NumericEnvironment
) -> list[ReproductionDifference]:
    """What it was computed with. Nothing to tell where that was not recorded."""
    if recorded is None or recorded == present:
        return []
    return [ReproductionDifference("arithmetic", f"{recorded}; this processor gave {present}")]


def diff_data(recorded: Digests, made: Digests) -> list[ReproductionDifference]:
    """Which of rows, labels and inputs are not the recorded ones, by the digests of a recipe."""
    differing = {
        period: [name for name in {**digests, **made[period]} if digests.get(name) != made[period].get(name)]
        for period, digests in recorded.items()
    }
    found = []
    for part in ("rows", "labels"):
        if periods := [period for period, names in differing.items() if part in names]:
            found.append(ReproductionDifference(part, f"not the recorded ones in {' and '.join(periods)}"))
    for period, names in differing.items():
        if "rows" not in names and (inputs := [name for name in names if name != "labels"]):
            told = f"{len(inputs)} of {len(recorded[period]) - 2} differ in {period}: {_some(inputs)}"
            found.append(ReproductionDifference("inputs", told))
    return found


def diff_test_rows(recorded: pd.DataFrame, made: pd.DataFrame) -> list[ReproductionDifference]:
    """Test rows and labels by name: both frames have customer_id, cutoff and churned."""
    both = recorded.merge(made, on=_KEYS, how="outer", suffixes=("", "_made"), indicator="side")
    found = []
    for side, told in (("left_only", "recorded rows are missing"), ("right_only", "rows were not recorded")):
        rows = both[both["side"] == side]
        if len(rows):
            found.append(ReproductionDifference("test rows", f"{len(rows):,} {told}, the first {_row(rows)}"))
    common = both[both["side"] == "both"]
    labels = common[common["churned"].astype(bool) != common["churned_made"].astype(bool)]
    if len(labels):
        found.append(
            ReproductionDifference(
                "test labels", f"{len(labels):,} of {len(common):,} differ, the first {_row(labels)}"
            )
        )
    return found


def diff_scores(recorded: pd.DataFrame, made: pd.DataFrame) -> list[ReproductionDifference]:
    """Predictions that are not the same to the last bit: both frames have customer_id, cutoff and "model"."""
    both = recorded.merge(made, on=_KEYS, suffixes=("", "_made")).sort_values(["cutoff", "customer_id"])
    before, after = both["model"].to_numpy(np.float64), both["model_made"].to_numpy(np.float64)
    rows = _bits(before) != _bits(after)
    if not rows.any():
        return []
    first, largest = int(np.flatnonzero(rows)[0]), np.abs(before - after)[rows].max()
    what = (
        f"{rows.sum():,} of {len(both):,} differ, by {largest:.3g} at most; the first {_row(both[rows])}: recorded "
        f"{float(before[first])!r}, here {float(after[first])!r}"
    )
    return [ReproductionDifference("predictions", what)]


def _bits(values: Floats) -> Ints:
    return np.ascontiguousarray(values).view(np.int64)


def _row(rows: pd.DataFrame) -> str:
    first = rows.sort_values(["cutoff", "customer_id"]).iloc[0]
    return f"of customer {first['customer_id']} at {first['cutoff']:%Y-%m-%d}"


def _check_out(recorded: Lineage) -> str:
    commit, _, changes = recorded.git_commit.partition(" ")
    if commit == "unknown":
        return "Which commit it was made with was not recorded."
    return f"Check out {commit[:12]}{' (it was made with uncommitted changes)' if changes else ''} and run this there."


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
