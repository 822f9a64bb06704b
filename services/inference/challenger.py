"""Reads and scores of the challenger: a problem never fails a request, because the champion scores instead."""

from collections.abc import Iterable

import numpy as np

from holdfast.core.types import Bools, Floats
from holdfast.models.loaded_version import LoadedVersion
from services.errors import NotReadyError
from services.features.version_inputs import VersionInputs
from services.observability.logs import LOG, log_once
from services.observability.metrics import METRICS

# Reasons that end a rollout. Others end without action: the challenger's features are a few minutes behind the
# champion's, or its store is busy.
_FAILURES = frozenset({"not_ready", "missing_feature", "invalid_feature", "features_too_old"})


def accept_inputs(
    challenger: LoadedVersion, found: VersionInputs | Exception, rows: Bools
) -> tuple[VersionInputs | None, Bools]:
    """Select the rows that the challenger can score; problems are counted.

    Args:
        challenger: Challenger on another version of the feature definitions than the champion.
        found: Inputs that :class:`services.features.input_reader.InputReader` has read for the challenger, or the
            problem.
        rows: Mask of the rows to score, all of them read, shape (n,).

    Returns:
        Inputs, None if these cannot be read; and mask of the rows that the challenger can score, shape (n,).
    """
    version = challenger.contract.model_version
    if isinstance(found, NotReadyError):  # logged by the reader of the store or by the registry watcher
        _count_refusals(challenger, [found.kind] * int(rows.sum()))
        return None, np.zeros(len(rows), dtype=bool)
    if isinstance(found, Exception):
        METRICS.challenger_failures.add(challenger.model, version)
        message = "Features of challenger version %s cannot be computed; the champion scores instead"
        LOG.error(message, version, exc_info=found)
        return None, np.zeros(len(rows), dtype=bool)
    if not found.checked.rejected:
        return found, rows
    usable = rows.copy()
    usable[found.batch_rows()[list(found.checked.rejected)]] = False
    rejected = [found.checked.rejected[position] for position in found.locate(np.flatnonzero(rows & ~usable)).tolist()]
    _count_refusals(challenger, [customer.reason for customer in rejected])
    for customer in rejected:
        if customer.reason in _FAILURES and customer.remedy:
            log_once(f"challenger {customer.remedy}", f"Challenger version {version}: {customer.remedy}")
    return found, usable


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
