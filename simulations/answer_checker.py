"""Holds every answer against the prediction log and against what is computed offline, point in time, through Feast."""

import time
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
from holdfast.model_versions.aliases import get_version, open_registry
from holdfast.models.contract import MODEL_NAME, input_matrix, model_inputs
from holdfast.models.loaded_model import LoadedModel, load_model
from holdfast.models.registered_version import RegisteredVersion
from holdfast.models.registry_client import RegistryClient
from simulations.load_clients import Answer

_LOGGED_WITHIN = 30.0
_ROW = "asked_row"


@dataclass(frozen=True)
class Materialised:
    """A snapshot that the online store was filled with; ``began`` and ``ended`` are Unix times."""

    as_of: datetime
    known_at: datetime
    began: float
    ended: float


def could_serve(materialised: Sequence[Materialised], answer: Answer) -> list[Materialised]:
    """Those whose features may be in an answer: begun before it came, none later complete when it was asked."""
    done = [item.as_of for item in materialised if item.ended <= answer.sent]
    newest = max(done, default=None)
    return [
        item
        for item in materialised
        if item.began <= answer.came
        and item.as_of == answer.feature_timestamp
        and (newest is None or item.as_of >= newest)
    ]


@dataclass
class Checker:
    """Checks answers as a simulation goes on: definitions and versions are those of now."""

    settings: Settings
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    checked: int = 0
    _models: dict[str, LoadedModel] = field(default_factory=dict)

    def check(self, answers: Sequence[Answer], materialised: Sequence[Materialised]) -> None:
        """Who of these was not answered, or is not in the log as answered, is lost; other figures are wrong ones."""
        self.checked += len(answers)
        self.lost += [f"{_about(one)}: {one.problem}" for one in answers if one.probability is None]
        answered = [one for one in answers if one.probability is not None]
        self._hold_against_the_log(answered)
        groups: dict[tuple[str, datetime, datetime], list[Answer]] = defaultdict(list)
        for one in answered:
            sources = could_serve(materialised, one)
            if not sources:
                self.wrong.append(f"{_about(one)}: answered from features as of {one.feature_timestamp}")
                continue
            groups[one.version, sources[-1].as_of, sources[-1].known_at].append(one)
        for (version, as_of, known_at), found in groups.items():
            for one, expected in zip(found, self._expected(version, as_of, known_at, found), strict=True):
                if one.probability != expected:
                    self.wrong.append(f"{_about(one)}: {one.probability!r} by version {version}, offline {expected!r}")

    def _hold_against_the_log(self, answered: Sequence[Answer]) -> None:
        """The log is written a moment after the answer."""
        deadline = time.monotonic() + _LOGGED_WITHIN
        while True:
            logged = logged_answers(self.settings)
            missing = [one for one in answered if (one.request_id, one.customer_id) not in logged]
            if not missing or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        self.lost += [f"{_about(one)}: answered, and not in the prediction log" for one in missing]
        for one in answered:
            found = logged.get((one.request_id, one.customer_id))
            if found is not None and found != (one.version, one.probability):
                self.wrong.append(f"{_about(one)}: answered {one.version, one.probability}, logged {found}")

    def _expected(self, version: str, as_of: datetime, known_at: datetime, asked: Sequence[Answer]) -> list[float]:
        store = open_store(known_at)
        entities = pd.DataFrame(
            {
                ENTITY_KEY: [one.customer_id for one in asked],
                "event_timestamp": pd.Series([as_of] * len(asked), dtype="datetime64[us, UTC]"),
                REQUEST_TIME: [epoch_us(one.as_of) for one in asked],
                _ROW: np.arange(len(asked)),
            }
        )
        joined = store.get_historical_features(
            features=store.get_feature_service(FEATURE_SERVICE), entity_df=entities
        ).to_arrow()
        joined = joined.sort_by(_ROW)  # Feast does not keep the order of the rows asked for
        inputs = model_inputs(store)
        columns: dict[str, list[Any]] = {feature.name: joined[feature.name].to_pylist() for feature in inputs}
        scores: list[float] = self._model(version).churn_probabilities(input_matrix(inputs, columns)).tolist()
        return scores

    def _model(self, version: str) -> LoadedModel:
        if version not in self._models:
            registered = get_version(open_registry(self.settings), version)
            contract = RegisteredVersion(str(registered.version), dict(registered.tags)).contract()
            content = RegistryClient(self.settings.mlflow_tracking_uri).download_model(contract)
            self._models[version] = load_model(contract, content)
        return self._models[version]


def logged_answers(settings: Settings) -> dict[tuple[str, str], tuple[str, float]]:
    """Version and probability by request and customer, of those who were answered: not of a shadow."""
    log = read_predictions(settings.predictions)
    names = ("request_id", "customer_id", "version", "churn_probability", "route")
    rows = zip(*(log[name].to_pylist() for name in names), strict=True)
    return {(request, one): (version, score) for request, one, version, score, route in rows if route != "shadow"}


def _about(answer: Answer) -> str:
    return f"{MODEL_NAME}, {answer.request_id}, customer {answer.customer_id} at {answer.as_of:%Y-%m-%d %H:%M}"
