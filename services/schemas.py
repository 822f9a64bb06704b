"""Request and response bodies. A request has exactly these fields; any other field is an error."""

import re
from datetime import datetime
from typing import Annotated, Literal

from bentoml import IODescriptor
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from feature_repo.timestamps import as_utc
from services.errors import RejectionReason
from services.selection_fields import describe_names, require_selectable

_MAX_BATCH = 1000
_BEYOND_MICROSECONDS = re.compile(r"[.,]\d{7}")
_FIRST_YEAR, _LAST_YEAR = 1970, 2199


def _parse_as_of(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("give an ISO 8601 time as text, such as 2026-01-31T00:00:00Z")
    if _BEYOND_MICROSECONDS.search(value):
        raise ValueError("give at most six decimals of a second, the resolution of the features")
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("this is not an ISO 8601 time; write it like 2026-01-31T00:00:00Z") from None


def _to_utc(value: datetime) -> datetime:
    """Convert to UTC; a time without a zone is UTC."""
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise ValueError(f"give a time between the years {_FIRST_YEAR} and {_LAST_YEAR}")
    return as_utc(value)


def _require_encodable(value: str) -> str:
    """Reject half a surrogate pair, which a Python string can hold and a store cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("this is not valid Unicode text") from None
    return value


CustomerId = Annotated[str, Field(strict=True, min_length=1, max_length=128), AfterValidator(_require_encodable)]
AsOf = Annotated[
    datetime,
    BeforeValidator(_parse_as_of),
    AfterValidator(_to_utc),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
FieldName = Annotated[str, AfterValidator(require_selectable), Field(strict=True, json_schema_extra=describe_names)]
_ACTIVE = (
    "The customer is one of those that the model was trained on: with a purchase in its activity window, days before "
    "as_of, or by its label with a subscription that ends in its horizon. "
    "If not, the score is an extrapolation."
)
_EXPLAIN = Field(default=False, strict=True, description="Explain the score: see explanation in the response.")
_EXPLANATION = "Explanation of the score; null unless the request has explain."
_FIELDS = Field(
    default=None,
    min_length=1,
    max_length=100,
    description="Fields of the response, of one or several models; see SelectedPrediction. Features are read once for "
    "all of them. Default: the fields of Prediction.",
)
_AS_OF = Field(default=None, description="The time to predict for, ISO 8601, UTC if no zone is given. Default: now.")


class ModelRequest(IODescriptor):
    """Request for one customer."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"customer_id": "00003"}})

    customer_id: CustomerId = Field(description="The customer's id.")
    as_of: AsOf | None = _AS_OF


class ScoreRequest(ModelRequest):
    """Request for one customer."""

    explain: bool = _EXPLAIN


class PredictRequest(ScoreRequest):
    """Request for one customer."""

    fields: list[FieldName] | None = _FIELDS


class ModelBatchRequest(IODescriptor):
    """Request for up to 1000 customers at one time; an id may occur more than once."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"customer_ids": ["00003", "00004"]}})

    customer_ids: list[CustomerId] = Field(min_length=1, max_length=_MAX_BATCH, description="The customers' ids.")
    as_of: AsOf | None = _AS_OF


class ScoreBatchRequest(ModelBatchRequest):
    """Request for up to 1000 customers at one time; an id may occur more than once."""

    explain: bool = _EXPLAIN


class PredictBatchRequest(ScoreBatchRequest):
    """Request for up to 1000 customers at one time; an id may occur more than once."""

    fields: list[FieldName] | None = _FIELDS


class MissingPrediction(BaseModel):
    """Reason why a model gives no prediction, while another one does."""

    kind: str = Field(description="Kind of problem, as in the type of an error.")
    detail: str


class ModelStatus(BaseModel):
    """State of a model in the service."""

    name: str
    kind: Literal["classification", "regression"]
    description: str
    ready: bool = Field(description="The model gives predictions now.")
    problem: str | None = Field(description="Why it gives none.")
    champion: str | None = Field(description="Version that answers.")
    challenger: str | None = Field(description="Version with traffic beside it.")
    mode: Literal["shadow", "canary"] | None = Field(description="Traffic of the challenger.")


class ModelStatuses(BaseModel):
    """States of all models."""

    models: list[ModelStatus]


class Reason(BaseModel):
    """Reason code: one of up to three, strongest first."""

    text: str = Field(description="Plain text, such as: last bought 93 days ago; usually every 31.")
    effect: float = Field(description="The sum of the contributions of its inputs, log-odds.")
    direction: Literal["raises", "lowers"] = Field(
        description="Effect on the risk, compared with the typical customer."
    )
    inputs: list[str] = Field(description="Model inputs of the reason.")


class Explanation(BaseModel):
    """Exact explanation of the score: typical_log_odds and all contributions add up to log_odds.

    The sum was checked for this customer.
    """

    typical_log_odds: float = Field(
        description="Log-odds of churn of the typical customer, with the training median of each input."
    )
    log_odds: float = Field(
        description="Log-odds of churn of this customer; churn_probability is its calibrated probability."
    )
    contributions: dict[str, float] = Field(description="Contribution of each model input to the log-odds.")
    reasons: list[Reason]


class Prediction(BaseModel):
    """Score of one customer, and the age of its features."""

    model_config = ConfigDict(protected_namespaces=())

    customer_id: str
    churn_probability: float = Field(
        description="Probability of churn, 0 to 1, by the label of the model: no purchase within the horizon, or no "
        "renewal of the subscription within the grace after its end."
    )
    will_churn: bool = Field(description="The probability is at or above the threshold.")
    threshold: float
    model_version: str
    feature_service: str
    feature_timestamp: datetime = Field(description="Time that the features are as of, UTC.")
    feature_age_seconds: float = Field(description="as_of minus feature_timestamp.")
    stale: bool = Field(description="A feature view is older than its soft limit.")
    active: bool = Field(description=_ACTIVE)
    explanation: Explanation | None = Field(description=_EXPLANATION)


class BatchItem(BaseModel):
    """Result for one customer of a batch; the fields of the score are null unless ``status`` is ok."""

    model_config = ConfigDict(protected_namespaces=())

    customer_id: str
    status: Literal["ok"] | RejectionReason
    detail: str | None = Field(default=None, description="Reason for a missing score.")
    churn_probability: float | None = None
    will_churn: bool | None = None
    model_version: str | None = Field(default=None, description="The version that scored this customer.")
    feature_timestamp: datetime | None = None
    feature_age_seconds: float | None = None
    stale: bool | None = None
    active: bool | None = Field(default=None, description=_ACTIVE)
    explanation: Explanation | None = Field(default=None, description=_EXPLANATION)


class BatchPrediction(BaseModel):
    """One item per requested id, in the order of the request."""

    model_config = ConfigDict(protected_namespaces=())

    model_version: str = Field(description="The champion. Items may have the challenger's version.")
    feature_service: str
    threshold: float = Field(description="The champion's threshold.")
    as_of: datetime = Field(description="Time of the predictions, UTC.")
    predictions: list[BatchItem]
