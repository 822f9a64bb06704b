"""What is said to the caller of what became of the request."""

from feature_repo.timestamps import from_epoch_us
from services.errors import RETRY_SECONDS, ServiceError, status_of
from services.inference.datatypes import ScoringResult
from services.schemas import BatchItem, BatchPrediction, Prediction

_SECOND_US = 1e6


def prediction(answered: ScoringResult) -> Prediction:
    """The score of the one customer of a request.

    Raises:
        ServiceError: There is none.
    """
    batch, row = answered.batch, answered.start
    checked, features = batch.checked, batch.checked.features
    if refused := checked.refused.get(row):
        status = status_of(refused.reason, answered.asked.as_of is not None)
        raise ServiceError(status, refused.reason, refused.detail, RETRY_SECONDS if status == 503 else None)
    contract = batch.scores.models[row].contract
    probability = float(batch.scores.probabilities[row])
    newest = int(checked.newest_us[row])
    return Prediction(
        customer_id=features.customer_ids[row],
        churn_probability=probability,
        will_churn=probability >= contract.threshold,
        threshold=contract.threshold,
        model_version=contract.model_version,
        feature_service=contract.feature_service,
        feature_timestamp=from_epoch_us(newest),
        feature_age_seconds=(int(features.as_of_us[row]) - newest) / _SECOND_US,
        stale=bool(checked.stale[row]),
        active=bool(checked.active[row]),
        explanation=answered.explanations.get(row),
    )


def batch_prediction(answered: ScoringResult) -> BatchPrediction:
    """What is said of each customer of a request."""
    batch = answered.batch
    contract = batch.lineup.champion.contract
    return BatchPrediction(
        model_version=contract.model_version,
        feature_service=contract.feature_service,
        threshold=contract.threshold,
        as_of=from_epoch_us(int(batch.checked.features.as_of_us[answered.start])),
        predictions=_items(answered),
    )


def _items(answered: ScoringResult) -> list[BatchItem]:
    batch, rows = answered.batch, slice(answered.start, answered.stop)
    checked, features = batch.checked, batch.checked.features
    times = {newest: from_epoch_us(newest) for newest in set(checked.newest_us[rows].tolist()) if newest >= 0}
    ages = ((features.as_of_us[rows] - checked.newest_us[rows]) / _SECOND_US).tolist()
    items = []
    for place, (row, probability, newest, stale, active) in enumerate(
        zip(
            range(answered.start, answered.stop),
            batch.scores.probabilities[rows].tolist(),
            checked.newest_us[rows].tolist(),
            checked.stale[rows].tolist(),
            checked.active[rows].tolist(),
            strict=True,
        )
    ):
        customer_id = features.customer_ids[row]
        if refused := checked.refused.get(row):
            items.append(BatchItem(customer_id=customer_id, status=refused.reason, detail=refused.detail))
            continue
        contract = batch.scores.models[row].contract
        items.append(
            BatchItem(
                customer_id=customer_id,
                status="ok",
                churn_probability=probability,
                will_churn=probability >= contract.threshold,
                model_version=contract.model_version,
                feature_timestamp=times[newest],
                feature_age_seconds=ages[place],
                stale=stale,
                active=active,
                explanation=answered.explanations.get(row),
            )
        )
    return items
