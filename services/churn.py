"""The prediction service: customer ids in, churn probabilities out."""

import contextlib
import functools
import logging
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Concatenate, ParamSpec, TypeVar, cast

import bentoml
from bentoml.models import BentoModel
from starlette.exceptions import HTTPException

from feature_repo.model_contract import MODEL_NAME
from feature_repo.settings import load_settings
from feature_repo.times import as_utc
from services.errors import NoReasonsError, NotReadyError, ServiceError, error_response, status_of
from services.feature_access import FeatureAccess
from services.gate import Gate
from services.model import Model, load_model, model_folder
from services.schemas import BatchItem, BatchPrediction, PredictBatchRequest, Prediction, PredictRequest
from services.scoring import Refused, Scored, score

_log = logging.getLogger("bentoml.holdfast")

_Request = ParamSpec("_Request")
_Answer = TypeVar("_Answer")
_Self = TypeVar("_Self")


def _answering(
    method: Callable[Concatenate[_Self, _Request], _Answer],
) -> Callable[Concatenate[_Self, _Request], _Answer]:
    """Refusals become answers here: BentoML would log each with a traceback and hide the reason of a 503."""

    @functools.wraps(method)
    def answer(self: _Self, *args: _Request.args, **kwargs: _Request.kwargs) -> _Answer:
        try:
            return method(self, *args, **kwargs)
        except ServiceError as error:
            headers = {"Retry-After": str(error.retry_after)} if error.retry_after else None
            return error_response(error.status, error.message, headers)  # type: ignore[return-value]

    return answer


# One thread: SQLite and the model are quicker than the switching of several. /livez and /readyz need none.
@bentoml.service(name="holdfast", workers=1, threads=1, traffic={"timeout": 30})
class ChurnService:
    """Predicts whether a customer will stop buying, from the latest features in the online store."""

    saved_model = BentoModel(f"{MODEL_NAME}:latest")

    def __init__(self) -> None:
        self._settings = load_settings()
        self._model: Model | None = None
        self._features: FeatureAccess | None = None
        self._model_problem: NotReadyError | None = None
        self._logged: set[str] = set()
        self._load()
        # BentoML 1.4 reads a deprecated Pydantic attribute at each request. After Feast's import, which sets filters.
        warnings.filterwarnings("ignore", message="Accessing the 'model_fields' attribute", module="_bentoml_impl")

    def __is_ready__(self) -> bool:
        """True, or an HTTP 503 that says what is missing."""
        try:
            self._ready()[1].definitions()
        except NotReadyError as problem:
            raise HTTPException(problem.status, problem.message) from problem
        return True

    @bentoml.api(route="/predict", input_spec=PredictRequest)
    @_answering
    def predict(self, customer_id: str, as_of: datetime | None = None, explain: bool = False) -> Prediction:
        """Churn probability of one customer; with ``explain`` also the reasons."""
        model, outcomes, _ = self._outcomes([customer_id], as_of, explain)
        outcome = outcomes[0]
        if isinstance(outcome, Refused):
            retry_after = 1 if outcome.reason == "features_updating" else None
            raise ServiceError(status_of(outcome.reason, as_of is not None), outcome.detail, retry_after)
        contract = model.contract
        return Prediction(
            customer_id=customer_id,
            churn_probability=outcome.probability,
            will_churn=outcome.probability >= contract.threshold,
            threshold=contract.threshold,
            model_version=contract.model_version,
            feature_service=contract.feature_service,
            feature_timestamp=outcome.row.newest,
            feature_age_seconds=outcome.row.age.total_seconds(),
            stale=outcome.stale,
            active=outcome.active,
            explanation=outcome.explanation,
        )

    @bentoml.api(route="/predict_batch", input_spec=PredictBatchRequest)
    @_answering
    def predict_batch(
        self, customer_ids: list[str], as_of: datetime | None = None, explain: bool = False
    ) -> BatchPrediction:
        """Churn probabilities of up to 1000 customers; one that gets none says why and spoils no other."""
        model, outcomes, time = self._outcomes(customer_ids, as_of, explain)
        contract = model.contract
        return BatchPrediction(
            model_version=contract.model_version,
            feature_service=contract.feature_service,
            threshold=contract.threshold,
            as_of=time,
            predictions=[_item(outcome, contract.threshold) for outcome in outcomes],
        )

    def _load(self) -> None:
        try:
            self._model = load_model(model_folder(_service().bento))
        except NotReadyError as problem:
            _log.error("Not ready: %s", problem)
            self._model_problem = problem
            return
        self._features = FeatureAccess(self._model.contract, self._settings)
        with contextlib.suppress(NotReadyError):  # it says why in the log, and looks again at the next request
            self._features.definitions()

    def _ready(self) -> tuple[Model, FeatureAccess]:
        if self._model is None or self._features is None:
            raise (self._model_problem or NotReadyError("The model is not loaded.")).with_traceback(None)
        return self._model, self._features

    def _outcomes(
        self, customer_ids: list[str], as_of: datetime | None, explain: bool
    ) -> tuple[Model, list[Scored | Refused], datetime]:
        model, features = self._ready()
        definitions, rows = features.read(customer_ids, as_of or self._now())
        try:
            outcomes = score(model, definitions, rows, explain)
        except NoReasonsError as error:
            self._log_once(error.message, error.remedy)  # the remedy names the row that failed first
            raise
        self._log_causes(outcomes, as_of is not None)
        return model, outcomes, rows[0].as_of

    def _log_causes(self, outcomes: list[Scored | Refused], caller_chose_time: bool) -> None:
        """What the callers are not to blame for, once per cause and snapshot."""
        for outcome in outcomes:
            if isinstance(outcome, Refused) and status_of(outcome.reason, caller_chose_time) >= 500:
                self._log_once(outcome.remedy, outcome.remedy)

    def _log_once(self, cause: str, remedy: str) -> None:
        if cause not in self._logged:
            _log.warning(remedy)
        self._logged.add(cause)

    def _now(self) -> datetime | None:
        """The time of a request that names none; None in replay, which is at the time of the stored features."""
        clock = self._settings.clock
        if isinstance(clock, datetime):
            return as_utc(clock)
        return datetime.now(UTC) if clock == "wall" else None


def _item(outcome: Scored | Refused, threshold: float) -> BatchItem:
    if isinstance(outcome, Refused):
        return BatchItem(customer_id=outcome.row.customer_id, status=outcome.reason, detail=outcome.detail)
    return BatchItem(
        customer_id=outcome.row.customer_id,
        status="ok",
        churn_probability=outcome.probability,
        will_churn=outcome.probability >= threshold,
        feature_timestamp=outcome.row.newest,
        feature_age_seconds=outcome.row.age.total_seconds(),
        stale=outcome.stale,
        active=outcome.active,
        explanation=outcome.explanation,
    )


def _service() -> bentoml.Service[ChurnService]:
    """The class as BentoML's decorator left it."""
    return cast("bentoml.Service[ChurnService]", ChurnService)


_service().add_asgi_middleware(Gate, bodies={"/predict": PredictRequest, "/predict_batch": PredictBatchRequest})
