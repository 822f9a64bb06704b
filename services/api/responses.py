"""Conversion of scoring results to HTTP response bodies."""

from typing import TYPE_CHECKING

from feature_repo.timestamps import from_epoch_us
from services.errors import ServiceError, status_of
from services.schemas import BatchItem, BatchPrediction, Prediction

if TYPE_CHECKING:  # BentoML's first process imports this module, but neither models nor features
    from services.inference.datatypes import ScoringResult

_SECOND_US = 1e6


def to_prediction(result: "ScoringResult") -> Prediction:
    """Convert the result of a request for one customer.

    Args:
        result: Scoring result of one customer.

    Returns:
        Response body.

    Raises:
        ServiceError: The customer was rejected.
    """
    batch, row = result.batch, result.start
    checked, scores = batch.inputs.checked, batch.scores
    features = checked.features
    if rejected := checked.rejected.get(row):
        status = status_of(rejected.reason, result.request.as_of is not None)
        raise ServiceError(status, rejected.reason, rejected.detail)
    contract = scores.models[row].contract
    probability = float(scores.probabilities[row])
    newest = int(scores.newest_us[row])
    return Prediction(
        customer_id=features.customer_ids[row],
        churn_probability=probability,
        will_churn=probability >= contract.threshold,
        threshold=contract.threshold,
        model_version=contract.model_version,
        feature_service=contract.feature_service,
        feature_timestamp=from_epoch_us(newest),
        feature_age_seconds=(int(features.as_of_us[row]) - newest) / _SECOND_US,
        stale=bool(scores.stale[row]),
        active=bool(scores.active[row]),
        explanation=result.explanations.get(row),
    )


def to_batch_prediction(result: "ScoringResult") -> BatchPrediction:
    """Convert the result of a request for many customers.

    Args:
        result: Scoring result.

    Returns:
        Response body with one item per customer.
    """
    batch = result.batch
    contract = batch.models.champion.contract
    return BatchPrediction(
        model_version=contract.model_version,
        feature_service=contract.feature_service,
        threshold=contract.threshold,
        as_of=from_epoch_us(int(batch.inputs.checked.features.as_of_us[result.start])),
        predictions=_items(result),
    )


def _items(result: "ScoringResult") -> list[BatchItem]:
    batch, rows = result.batch, slice(result.start, result.stop)
    checked, scores = batch.inputs.checked, batch.scores
    features = checked.features
    times = {newest: from_epoch_us(newest) for newest in set(scores.newest_us[rows].tolist()) if newest >= 0}
    ages = ((features.as_of_us[rows] - scores.newest_us[rows]) / _SECOND_US).tolist()
    items = []
    for position, (row, probability, newest, stale, active) in enumerate(
        zip(
            range(result.start, result.stop),
            scores.probabilities[rows].tolist(),
            scores.newest_us[rows].tolist(),
            scores.stale[rows].tolist(),
            scores.active[rows].tolist(),
            strict=True,
        )
    ):
        customer_id = features.customer_ids[row]
        if rejected := checked.rejected.get(row):
            items.append(BatchItem(customer_id=customer_id, status=rejected.reason, detail=rejected.detail))
            continue
        contract = scores.models[row].contract
        items.append(
            BatchItem(
                customer_id=customer_id,
                status="ok",
                churn_probability=probability,
                will_churn=probability >= contract.threshold,
                model_version=contract.model_version,
                feature_timestamp=times[newest],
                feature_age_seconds=ages[position],
                stale=stale,
                active=active,
                explanation=result.explanations.get(row),
            )
        )
    return items
