"""Differences between a version and its reproduction; each ``diff_*`` function returns those of one kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from holdfast.ingestion.batches import Batch, select_used
from holdfast.models.fingerprint import differing_parts
from holdfast.training.lineage import Lineage
from holdfast.training.recipe import SERVED

Digests = Mapping[str, Mapping[str, str]]
_KEYS = ["customer_id", "cutoff"]
_MODELS = {"model": "predictions", SERVED: "predictions of the shipped model"}
_CODE = {"training_code": "training code", "lock": "lock", "python": "Python"}


@dataclass(frozen=True)
class ReproductionDifference:
    """Part that differs, details, and what to do about it (empty if nothing)."""

    part: str
    detail: str
    advice: str = ""


def diff_batches(recorded: Lineage, on_disk: Sequence[Batch], folder: Path) -> list[ReproductionDifference]:
    """Find batches of the lineage that are missing; a reproduction needs all of them.

    Args:
        recorded: Lineage of the version.
        on_disk: Batches of the data folder.
        folder: Folder of the batches, for the message.

    Returns:
        At most one difference.
    """
    existing = {batch.batch_id for batch in on_disk}
    missing = [batch_id for batch_id in recorded.batches if batch_id not in existing]
    if not missing:
        return []
    detail = f"{len(missing)} of {len(recorded.batches)} are no longer in {folder}: {_shorten(missing)}"
    return [ReproductionDifference("batches", detail, "Restore them.")]


def list_unused_batches(recorded: Lineage, on_disk: Sequence[Batch]) -> list[str]:
    """List batches that are not part of the lineage although they had arrived in time by their manifest.

    Args:
        recorded: Lineage of the version.
        on_disk: Batches of the data folder.

    Returns:
        Batch ids.
    """
    return [
        batch.batch_id
        for batch in select_used(on_disk, recorded.as_of, recorded.known_at)
        if batch.batch_id not in recorded.batches
    ]


def diff_definitions(recorded: Lineage, current: Lineage) -> list[ReproductionDifference]:
    """Compare the fingerprints: a difference means other features or other labels.

    Args:
        recorded: Lineage of the version.
        current: Lineage of this checkout.

    Returns:
        At most one difference.
    """
    parts = differing_parts(recorded.fingerprint, current.fingerprint)
    if not parts:
        return []
    detail = f"{', '.join(parts)} differ{'s' if len(parts) == 1 else ''} from this checkout's; nothing was trained"
    return [ReproductionDifference("definitions", detail, _checkout_advice(recorded))]


def diff_code(recorded: Lineage, current: Lineage) -> list[ReproductionDifference]:
    """Compare training code, lock file and Python version.

    Args:
        recorded: Lineage of the version.
        current: Lineage of this checkout.

    Returns:
        At most one difference.
    """
    pairs = {name: (str(getattr(recorded, field)), str(getattr(current, field))) for field, name in _CODE.items()}
    details = [f"{name} {before[:12]}, here {now[:12]}" for name, (before, now) in pairs.items() if before != now]
    return [ReproductionDifference("code", "; ".join(details), _checkout_advice(recorded))] if details else []


def diff_numeric_environment(recorded: Lineage, current: Lineage) -> list[ReproductionDifference]:
    """Compare the numeric environments, if the training recorded its own.

    Args:
        recorded: Lineage of the version.
        current: Lineage of the clean process.

    Returns:
        At most one difference.
    """
    before, now = recorded.numeric_environment, current.numeric_environment
    if before is None or before == now:
        return []
    return [ReproductionDifference("numeric environment", f"{before}; this processor gave {now}")]


def diff_data(recorded: Digests, retrained: Digests) -> list[ReproductionDifference]:
    """Compare rows, labels and inputs by their digests.

    Args:
        recorded: SHA-256 by period and name, from the recipe.
        retrained: The same of the reproduction.

    Returns:
        Differences of rows and labels, then of inputs whose rows are the same.
    """
    differing = {
        period: [name for name in {**digests, **retrained[period]} if digests.get(name) != retrained[period].get(name)]
        for period, digests in recorded.items()
    }
    found = []
    for part in ("rows", "labels"):
        if periods := [period for period, names in differing.items() if part in names]:
            found.append(ReproductionDifference(part, f"not the recorded ones in {' and '.join(periods)}"))
    for period, names in differing.items():
        if "rows" not in names and (inputs := [name for name in names if name != "labels"]):
            detail = f"{len(inputs)} of {len(recorded[period]) - 2} differ in {period}: {_shorten(inputs)}"
            found.append(ReproductionDifference("inputs", detail))
    return found


def diff_test_rows(recorded: pd.DataFrame, retrained: pd.DataFrame) -> list[ReproductionDifference]:
    """Compare test rows and their labels.

    Args:
        recorded: Columns customer_id, cutoff and churned.
        retrained: The same columns.

    Returns:
        Missing rows, additional rows, and different labels.
    """
    both = recorded.merge(retrained, on=_KEYS, how="outer", suffixes=("", "_retrained"), indicator="side")
    found = []
    for side, text in (("left_only", "recorded rows are missing"), ("right_only", "rows were not recorded")):
        rows = both[both["side"] == side]
        if len(rows):
            found.append(ReproductionDifference("test rows", f"{len(rows):,} {text}, the first {_first_row(rows)}"))
    common = both[both["side"] == "both"]
    labels = common[common["churned"].astype(bool) != common["churned_retrained"].astype(bool)]
    if len(labels):
        detail = f"{len(labels):,} of {len(common):,} differ, the first {_first_row(labels)}"
        found.append(ReproductionDifference("test labels", detail))
    return found


def diff_scores(recorded: pd.DataFrame, retrained: pd.DataFrame) -> list[ReproductionDifference]:
    """Compare the predictions of the tested model, and those of the model that a refit gave, bit by bit.

    Args:
        recorded: Columns customer_id, cutoff, "model" and, after a refit, "served".
        retrained: The same columns.

    Returns:
        At most one difference per model, about the rows that both have.
    """
    both = recorded.merge(retrained, on=_KEYS, suffixes=("", "_retrained")).sort_values(["cutoff", "customer_id"])
    return [
        difference
        for column, part in _MODELS.items()
        if f"{column}_retrained" in both
        for difference in _diff_column(both, column, part)
    ]


def _diff_column(both: pd.DataFrame, column: str, part: str) -> list[ReproductionDifference]:
    before, now = both[column].to_numpy(np.float64), both[f"{column}_retrained"].to_numpy(np.float64)
    rows = _bits(before) != _bits(now)
    if not rows.any():
        return []
    first, largest = int(np.flatnonzero(rows)[0]), np.abs(before - now)[rows].max()
    detail = (
        f"{rows.sum():,} of {len(both):,} differ, by {largest:.3g} at most; the first {_first_row(both[rows])}: "
        f"recorded {float(before[first])!r}, here {float(now[first])!r}"
    )
    return [ReproductionDifference(part, detail)]


def _bits(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return np.ascontiguousarray(values).view(np.int64)


def _first_row(rows: pd.DataFrame) -> str:
    first = rows.sort_values(["cutoff", "customer_id"]).iloc[0]
    return f"of customer {first['customer_id']} at {first['cutoff']:%Y-%m-%d}"


def _checkout_advice(recorded: Lineage) -> str:
    commit, _, changes = recorded.git_commit.partition(" ")
    if commit == "unknown":
        return "The commit of the training was not recorded."
    note = " (the training had uncommitted changes)" if changes else ""
    return f"Check out {commit[:12]}{note} and run this command there."


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
