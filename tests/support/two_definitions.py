"""A champion and a challenger that read different versions of the feature definitions."""

import contextlib
import functools
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from feast.infra.online_stores.helpers import _mmh3
from redis import Redis
from starlette.testclient import TestClient

from holdfast.feast_stores.open_store import open_store
from holdfast.feast_stores.raw_values import entity_keys
from holdfast.feast_stores.redis_online_store import SingleRoundTripRedisOnlineStore
from holdfast.models.contract import CHALLENGER, CHAMPION, ServedModel
from holdfast.models.loaded_model import LoadedModel, load_verified_model
from holdfast.training.mlflow_client import ModelClient
from services.models.served_models import ServedModels
from tests.support.definition_versions import (
    CHANGES,
    materialize_version,
    online_file,
    only_version,
    register_changed,
)
from tests.support.redis_server import temporary_redis
from tests.support.redis_service_state import PROFILE, entity_key
from tests.support.registry import Registry, make_registry
from tests.support.service_fixtures import serve_in_process, service_environment
from tests.support.service_state import AS_OF, CUSTOMERS, KNOWN_AT, fit, offline_matrix
from tests.support.waiting import wait_for

STORES = ["sqlite", "redis"]
CHAMPION_VERSION, CHALLENGER_VERSION = "1", "2"


@dataclass
class TwoDefinitions:
    """Data folder with two versions of the definitions and a model on each.

    Attributes:
        data: Data folder.
        registry: Model registry; version 1 is champion, version 2 challenger.
        variables: Settings of a service.
        contracts: Contract of each model version.
        inputs: Offline features of ``CUSTOMERS`` for each model version.
        scores: Customer to probability, for each model version.
    """

    data: Path
    registry: Registry
    variables: dict[str, str]
    contracts: dict[str, ServedModel] = field(default_factory=dict)
    inputs: dict[str, np.ndarray] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def old(self) -> str:
        """Return the champion's version of the definitions."""
        return self.contracts[CHAMPION_VERSION].definitions

    @property
    def new(self) -> str:
        """Return the challenger's version of the definitions."""
        return self.contracts[CHALLENGER_VERSION].definitions

    def serve(self, traffic: str, **variables: str) -> AbstractContextManager[TestClient]:
        """Serve in this process, with the traffic of the challenger as JSON."""
        self.registry.set_traffic(CHALLENGER_VERSION, traffic)
        return serve_in_process(self.data, **self._settings | variables)

    @property
    def _settings(self) -> dict[str, str]:
        """Return the settings of a service; on a busy machine a read may take longer than its usual limit."""
        return self.variables | {
            "HOLDFAST_REGISTRY_POLL_SECONDS": "0.1",
            "HOLDFAST_REGISTRY_START_SECONDS": "60",  # else the model in the bento is served first
            "HOLDFAST_STORE_TIMEOUT_MS": "10000",
        }

    def environment(self) -> AbstractContextManager[Any]:
        """Use the data folder and its online store in this process."""
        return service_environment(self.data, **self.variables)

    def add_model(self, version: str, definitions: str) -> None:
        """Train and register a model on a version of the definitions."""
        with self.environment() as settings:
            served, content = fit(settings, self.data, version, seed=int(version), definitions=definitions)
            registered = self.registry.register(content, served.model_dump_json())
            assert registered == version
            matrix = offline_matrix(CUSTOMERS, AS_OF, definitions)
        found = load_verified_model(served, content).churn_probabilities(matrix)
        self.contracts[version], self.inputs[version] = served, matrix
        self.scores[version] = dict(zip(CUSTOMERS, found.tolist(), strict=True))

    def canary_customers(self, share: float) -> list[str]:
        """List the customers that the challenger scores."""
        # The route depends on the contracts only.
        one, two = (LoadedModel(self.contracts[name], None, 1) for name in (CHAMPION_VERSION, CHALLENGER_VERSION))
        models = ServedModels(one, two, "canary", share)
        return [customer for customer in CUSTOMERS if models.routes_to_canary(customer)]

    def remove_value(self, version: str, customer: str) -> None:
        """Remove a value of the first view from the online store, for one customer and version."""
        if self.variables:
            host, port = self.variables["HOLDFAST_REDIS"].split(",")[0].split(":")
            key = entity_key(customer, version)
            assert Redis(host, int(port)).hdel(key, _mmh3("customer_purchase_history:total_amount"))
            return
        with contextlib.closing(sqlite3.connect(online_file(self.data, version))) as database, database:
            where = "entity_key = ? AND feature_name = 'total_amount'"
            table = f"holdfast_{version}_customer_purchase_history"
            assert database.execute(f"DELETE FROM {table} WHERE {where}", entity_keys([customer])).rowcount == 1


@functools.cache
def build_once(service_data: Path, change: str) -> TwoDefinitions:
    """Build two versions with a change of ``CHANGES``, once per process; tests copy the data folder."""
    folder = Path(tempfile.mkdtemp(dir=service_data.parent))
    return build_two_definitions(service_data, folder, CHANGES[change])


def build_two_definitions(service_data: Path, folder: Path, change: Callable[[Any], None]) -> TwoDefinitions:
    """Copy ``service_data``, and add a changed version of the definitions and two registered models."""
    # Without the predictions of other tests: their model is another one of the same version number.
    data = Path(shutil.copytree(service_data, folder / "data", ignore=shutil.ignore_patterns("predictions")))
    old = only_version(data)
    found = TwoDefinitions(data, make_registry(data / "mlflow"), {})
    with found.environment() as settings:
        new = register_changed(change)
        materialize_version(settings, new, AS_OF, KNOWN_AT)
    assert old != new
    found.add_model(CHAMPION_VERSION, old)
    found.add_model(CHALLENGER_VERSION, new)
    found.registry.set_alias(CHAMPION, CHAMPION_VERSION)
    found.registry.set_alias(CHALLENGER, CHALLENGER_VERSION)
    return found


@contextmanager
def copy_two_definitions(built: TwoDefinitions, folder: Path, online_store: str) -> Iterator[TwoDefinitions]:
    """Copy a data folder with two versions, with the online values in "sqlite" or "redis"."""
    data = Path(shutil.copytree(built.data, folder / "data"))
    uri = f"sqlite:///{data / 'mlflow' / 'mlflow.db'}"
    registry = Registry(ModelClient(uri), uri, built.registry.artifacts)
    with contextlib.ExitStack() as stack:
        found = replace(built, data=data, registry=registry)
        if online_store == "redis":
            for file in (data / "feast").rglob("registry.db"):
                file.rename(file.with_name("registry.redis.db"))
            for file in (data / "feast" / "versions").rglob("online_*"):
                file.unlink()
            server = stack.enter_context(temporary_redis())
            found.variables = PROFILE | {"HOLDFAST_REDIS": server.connection_string}
            with found.environment() as settings:
                for version in (found.old, found.new):
                    materialize_version(settings, version, AS_OF, KNOWN_AT)
                wait_for(lambda: not any(map(_is_empty, (found.old, found.new))), 10, lambda: "the store stays empty")
        yield found


def _is_empty(version: str) -> bool:
    """Check whether the store still answers 503 about unknown customers, as for two seconds after its first values."""
    store = open_store(definitions=version)
    online_store = store.provider.online_store
    assert isinstance(online_store, SingleRoundTripRedisOnlineStore)
    return online_store.is_empty(store.config)
