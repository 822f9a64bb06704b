"""Comparison of predictions with the prediction log, and with an offline computation, point in time, through Feast."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from feature_repo.names import ENTITY_KEY, FEATURE_SERVICE, REQUEST_TIME
from feature_repo.settings import Settings
from feature_repo.timestamps import epoch_us
from holdfast.core.prediction_log import read_predictions
from holdfast.feast_stores.open_store import open_store
from holdfast.model_versions.aliases import get_contract
from holdfast.models.contract import MODEL_NAME, ServedModel, input_matrix, model_inputs
from holdfast.models.loaded_model import LoadedModel, load_verified_model
from holdfast.models.registry_client import RegistryClient
from holdfast.runtime.polling import poll_until
from holdfast.training.mlflow_client import open_registry
from simulations.load_clients import RequestResult

_LOGGED_WITHIN = 30.0
_ROW = "request_row"


@dataclass(frozen=True)
class Materialization:
    """Snapshot that was loaded into the online store.

    Attributes:
        definitions: Version of the feature definitions.
        started: Unix time before which nothing of the snapshot was in the store.
        ended: Unix time from which all of the snapshot was in the store.
    """

    definitions: str
    as_of: datetime
    known_at: datetime
    started: float
    ended: float


def possible_sources(materializations: Sequence[Materialization], result: RequestResult) -> list[Materialization]:
    """Select the snapshots whose features may have served a prediction.

    Args:
        materializations: All snapshots that were loaded, of the definitions of the model that answered.
        result: Result of a request.

    Returns:
        Snapshots of the result's feature time that were started before the response, unless a newer snapshot was
        complete before the request.
    """
    complete = [item.as_of for item in materializations if item.ended <= result.sent]
    newest = max(complete, default=None)
    return [
        item
        for item in materializations
        if item.started <= result.received
        and item.as_of == result.feature_timestamp
        and (newest is None or item.as_of >= newest)
    ]


@dataclass
class PredictionChecker:
    """Check of predictions during a simulation, each by the feature definitions of the version that answered.

    Attributes:
        lost: Requests without a prediction, or without a row in the prediction log.
        wrong: Predictions that differ from the log or from the offline computation.
        checked: Number of checked requests.
    """

    settings: Settings
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    checked: int = 0
    _contracts: dict[str, ServedModel] = field(default_factory=dict)
    _models: dict[str, LoadedModel] = field(default_factory=dict)

    def check(self, results: Sequence[RequestResult], materializations: Sequence[Materialization]) -> None:
        """Check results and add the problems to ``lost`` and ``wrong``.

        Args:
            results: Results of requests.
            materializations: All snapshots that were loaded into the online store.
        """
        self.checked += len(results)
        self.lost += [f"{_describe(item)}: {item.problem}" for item in results if item.probability is None]
        predictions = [item for item in results if item.probability is not None]
        self._compare_with_log(predictions)
        groups: dict[tuple[str, datetime, datetime], list[RequestResult]] = defaultdict(list)
        for item in predictions:
            definitions = self._contract(item.version).definitions
            sources = possible_sources([one for one in materializations if one.definitions == definitions], item)
            if not sources:
                self.wrong.append(f"{_describe(item)}: served with features as of {item.feature_timestamp}")
                continue
            groups[item.version, sources[-1].as_of, sources[-1].known_at].append(item)
        for (version, as_of, known_at), group in groups.items():
            for item, expected in zip(group, self._expected(version, as_of, known_at, group), strict=True):
                if item.probability != expected:
                    self.wrong.append(
                        f"{_describe(item)}: {item.probability!r} by version {version}, offline {expected!r}"
                    )

    def _compare_with_log(self, predictions: Sequence[RequestResult]) -> None:
        """Compare predictions with the log, which is written shortly after the response."""
        logged: dict[tuple[str, str], tuple[str, float]] = {}
        expected = {(item.request_id, item.customer_id) for item in predictions}

        def all_logged() -> bool:
            logged.update(_read_logged_predictions(self.settings))
            return expected <= logged.keys()

        poll_until(all_logged, _LOGGED_WITHIN, 0.5)
        for item in predictions:
            found = logged.get((item.request_id, item.customer_id))
            if found is None:
                self.lost.append(f"{_describe(item)}: predicted, and not in the prediction log")
            elif found != (item.version, item.probability):
                self.wrong.append(f"{_describe(item)}: responded {item.version, item.probability}, logged {found}")

    def _expected(
        self, version: str, as_of: datetime, known_at: datetime, requests: Sequence[RequestResult]
    ) -> list[float]:
        store = open_store(known_at, definitions=self._contract(version).definitions)
        entities = pd.DataFrame(
            {
                ENTITY_KEY: [item.customer_id for item in requests],
                "event_timestamp": pd.Series([as_of] * len(requests), dtype="datetime64[us, UTC]"),
                REQUEST_TIME: [epoch_us(item.as_of) for item in requests],
                _ROW: np.arange(len(requests)),
            }
        )
        joined = store.get_historical_features(
            features=store.get_feature_service(FEATURE_SERVICE), entity_df=entities
        ).to_arrow()
        joined = joined.sort_by(_ROW)  # Feast changes the order of the rows
        inputs = model_inputs(store)
        columns: dict[str, list[Any]] = {feature.name: joined[feature.name].to_pylist() for feature in inputs}
        scores: list[float] = self._model(version).churn_probabilities(input_matrix(inputs, columns)).tolist()
        return scores

    def _contract(self, version: str) -> ServedModel:
        if version not in self._contracts:
            self._contracts[version] = get_contract(open_registry(self.settings), version)
        return self._contracts[version]

    def _model(self, version: str) -> LoadedModel:
        if version not in self._models:
            contract, registry = self._contract(version), RegistryClient(self.settings.mlflow_tracking_uri)
            self._models[version] = load_verified_model(contract, registry.download_model(contract))
        return self._models[version]


def _read_logged_predictions(settings: Settings) -> dict[tuple[str, str], tuple[str, float]]:
    """Map (request, customer) to (version, probability), without predictions of a shadow."""
    log = read_predictions(settings.predictions)
    names = ("request_id", "customer_id", "version", "churn_probability", "route")
    rows = zip(*(log[name].to_pylist() for name in names), strict=True)
    return {
        (request, customer): (version, score) for request, customer, version, score, route in rows if route != "shadow"
    }


def _describe(result: RequestResult) -> str:
    return f"{MODEL_NAME}, {result.request_id}, customer {result.customer_id} at {result.as_of:%Y-%m-%d %H:%M}"
