"""Reads and scores of the challenger: a problem never fails a request, because the champion scores instead."""

from collections.abc import Iterable

import numpy as np

from holdfast.core.types import Bools, Floats
from holdfast.models.loaded_version import LoadedVersion
from services.errors import NotReadyError
from services.inference.datatypes import VersionInputs
from services.inference.input_reader import InputReader
from services.observability.logs import LOG, log_once
from services.observability.metrics import METRICS

# Reasons that end a rollout. Others end without action: the challenger's features are a few minutes behind the
# champion's, or its store is busy.
_FAILURES = frozenset({"not_ready", "missing_feature", "invalid_feature", "features_too_old"})


def read_for_challenger(
    reader: InputReader, challenger: LoadedVersion, batch: VersionInputs, rows: Bools
) -> tuple[VersionInputs | None, Bools]:
    """Read rows under the challenger's version of the feature definitions; a problem is counted.

    Args:
        reader: Reader of inputs.
        challenger: Challenger on another version than the champion.
        batch: Inputs of the batch for the champion.
        rows: Mask of the rows to read, shape (n,).

    Returns:
        Inputs, None if these cannot be read; and mask of the rows that the challenger can score, shape (n,).
    """
    version = challenger.contract.model_version
    try:
        inputs = reader.read_rows(challenger, batch, rows)
    except NotReadyError as error:  # logged by the reader of the store or by the registry watcher
        _count_refusals(challenger, [error.kind] * int(rows.sum()))
        return None, np.zeros(len(rows), dtype=bool)
    except Exception:
        METRICS.challenger_failures.add(challenger.model, version)
        LOG.exception("Features of challenger version %s cannot be computed; the champion scores instead", version)
        return None, np.zeros(len(rows), dtype=bool)
    rejected = inputs.checked.rejected
    if not rejected:
        return inputs, rows
    _count_refusals(challenger, [customer.reason for customer in rejected.values()])
    for customer in rejected.values():
        if customer.reason in _FAILURES and customer.remedy:
            log_once(f"challenger {customer.remedy}", f"Challenger version {version}: {customer.remedy}")
    usable = rows.copy()
    usable[np.flatnonzero(rows)[list(rejected)]] = False
    return inputs, usable


def score_by_challenger(challenger: LoadedVersion, inputs: VersionInputs, rows: Bools) -> Floats | None:
    """Score rows with the challenger; an error is logged and counted.

    Args:
        challenger: Challenger.
        inputs: Inputs of the challenger.
        rows: Mask of the rows to score, shape (n,).

    Returns:
        Prediction of each row to score; None after an error.
    """
    try:
        return score(challenger, inputs, rows)
    except Exception:
        METRICS.challenger_failures.add(challenger.model, challenger.contract.model_version)
        LOG.exception("Challenger version %s failed; the champion scores instead", challenger.contract.model_version)
        return None


def score(model: LoadedVersion, inputs: VersionInputs, rows: Bools) -> Floats:
    """Score rows.

    Args:
        model: Model.
        inputs: Inputs of the model.
        rows: Mask of the rows to score, shape (n,).

    Returns:
        Prediction of each row to score.

    Raises:
        ValueError: The model returned a value that its kind cannot give.
    """
    matrix = inputs.checked.features.inputs
    if inputs.positions is not None or not rows.all():
        matrix = matrix[inputs.locate(np.flatnonzero(rows))]
    predictions = model.predict(matrix)
    if not model.are_valid(predictions).all():
        version = model.contract.model_version
        raise ValueError(f"Version {version} of {model.model} returned a value that it cannot return.")
    return predictions


def _count_refusals(challenger: LoadedVersion, reasons: Iterable[str]) -> None:
    reasons, model, version = list(reasons), challenger.model, challenger.contract.model_version
    for reason in set(reasons):
        METRICS.challenger_refusals.add(model, version, reason, amount=reasons.count(reason))
    if not _FAILURES.isdisjoint(reasons):
        METRICS.challenger_failures.add(model, version)
