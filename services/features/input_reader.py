"""Reader of the inputs of a batch, each model's under the version of the feature definitions that it was trained on."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from feature_repo.settings import Settings
from feature_repo.timestamps import as_utc, epoch_us
from holdfast.core.types import Bools, Ints
from holdfast.models.loaded_version import LoadedVersion
from holdfast.online_features.reader import OnlineFeatures
from services.features.feature_checks import check_inputs
from services.features.feature_client import FeatureClient
from services.features.feature_definitions import FeatureDefinitions
from services.features.version_inputs import ScoringRequest, VersionInputs
from services.features.version_store import FetchedColumns, VersionStore
from services.observability.stage_times import StageTimes


@dataclass(frozen=True)
class ModelRows:
    """Rows of a batch that a model on another version of the definitions than the champion scores.

    Attributes:
        model: Model.
        rows: Mask of the rows, shape (n,).
    """

    model: LoadedVersion
    rows: Bools


class InputReader:
    """Reader of checked inputs.

    Args:
        settings: Shared settings, with the clock.
        features: Client of the feature stores.
    """

    def __init__(self, settings: Settings, features: FeatureClient) -> None:
        self._settings, self._features = settings, features

    def read_requests(
        self,
        champion: LoadedVersion,
        requests: Sequence[ScoringRequest],
        stages: StageTimes,
        others: Sequence[ModelRows] = (),
        as_of_us: Ints | None = None,
    ) -> tuple[VersionInputs, list[VersionInputs | Exception]]:
        """Read the inputs of all customers of requests for a champion, and of some rows for other versions.

        The reads of all versions are in progress at the same time, and the problem of one has no effect on another.

        Args:
            champion: Champion.
            requests: Requests of the batch.
            stages: Times of the stages; the end of the reads is set.
            others: Other models with their rows, each on another version of the definitions.
            as_of_us: Time of each row, µs since 1970, if the batch was read for another model before; None: from the
                requests.

        Returns:
            Inputs of the batch; and for each of ``others`` inputs, or the problem, which is not logged.

        Raises:
            NotReadyError: The features of the champion cannot be read; the problem is logged.
        """
        ids = [customer for request in requests for customer in request.customer_ids]
        read = self._start(champion, ids, is_logged=True)
        other_reads = [self._start(other.model, _select(ids, other.rows)) for other in others]
        for one in (read, *other_reads):
            one.receive()
        stages.fetched = time.time()
        now = self._now()

        def request_times(definitions: FeatureDefinitions) -> Ints:
            if as_of_us is not None:
                return as_of_us
            default = now or definitions.materialized_to
            as_of = np.array([epoch_us(request.as_of or default) for request in requests], dtype=np.int64)
            if len(ids) > len(requests):
                as_of = np.repeat(as_of, [len(request.customer_ids) for request in requests])
            return as_of

        # Step by step for all reads: the same code twice in a row takes less time than alternating with other code.
        as_of = read.decode(request_times)
        for one, other in zip(other_reads, others, strict=True):
            one.try_decode(as_of[other.rows])
        inputs = read.inputs(request_times)
        return inputs, [
            _row_inputs_or_problem(one, inputs, other.rows) for one, other in zip(other_reads, others, strict=True)
        ]

    def is_shared(self, champion: LoadedVersion, inputs: VersionInputs) -> bool:
        """Check that inputs that were read for another model are those of a champion.

        Args:
            champion: Champion on the version of the definitions of ``inputs``.
            inputs: Inputs of a batch.

        Returns:
            False if the registry has changed since the read.

        Raises:
            NotReadyError: The definitions do not match the champion; the problem is logged.
        """
        return self._features.version(champion.definitions).definitions(champion.contract) is inputs.definitions

    def read_rows(self, other: ModelRows, batch: VersionInputs) -> VersionInputs | Exception:
        """Read the inputs of rows of a batch for another model.

        Args:
            other: The model with its rows.
            batch: Inputs of the batch for the champion, with customers and times.

        Returns:
            Inputs of the rows; or the problem, which is not logged.
        """
        read = self._start(other.model, _select(batch.checked.features.customer_ids, other.rows))
        read.receive()
        return _row_inputs_or_problem(read, batch, other.rows)

    def _start(self, model: LoadedVersion, ids: Sequence[str], is_logged: bool = False) -> "_VersionRead":
        store = self._features.version(model.definitions)
        return _VersionRead(store, model, ids, is_logged, self._settings.clock == "data")

    def _now(self) -> datetime | None:
        """Return the default as_of of a request; None in replay, where it is the time of the stored features."""
        clock = self._settings.clock
        if isinstance(clock, datetime):
            return as_utc(clock)
        return datetime.now(UTC) if clock == "wall" else None


class _VersionRead:
    """Read under one version of the definitions, which has been started; ``receive`` must be called."""

    def __init__(
        self, store: VersionStore, model: LoadedVersion, ids: Sequence[str], is_logged: bool, is_replay: bool
    ) -> None:
        self._store, self._model, self._ids = store, model, ids
        self._find_definitions = store.definitions if is_logged else store.registry.definitions
        self._is_replay = is_replay
        self._definitions: FeatureDefinitions
        self._finish: Callable[[], FetchedColumns]
        self._fetched: FetchedColumns
        self._features: OnlineFeatures | None = None
        self._problem: Exception | None = None
        self._start()

    def receive(self) -> None:
        """Receive the stored values; a problem is raised by the next call of another method."""
        if self._problem is None:
            try:
                self._fetched = self._finish()
            except Exception as error:
                self._problem = error

    def decode(self, request_times: Callable[[FeatureDefinitions], Ints]) -> Ints:
        """Decode the received values; returns the request times."""
        if self._problem is not None:
            raise self._problem
        as_of = request_times(self._definitions)
        self._features = self._definitions.reader.decode(self._ids, self._fetched[0], as_of)
        return self._features.as_of_us

    def try_decode(self, as_of: Ints) -> None:
        """Decode the received values; a problem is raised by the next call of another method."""
        try:
            self.decode(lambda _: as_of)
        except Exception as error:
            self._problem = error

    def is_decoded_at(self, as_of: Ints) -> bool:
        """Check that the values are decoded for these request times."""
        return self._features is not None and np.array_equal(self._features.as_of_us, as_of)

    def inputs(self, request_times: Callable[[FeatureDefinitions], Ints]) -> VersionInputs:
        """Check the decoded values; read again if the registry has changed meanwhile."""
        registry, refreshed = self._store.registry, False
        while True:
            if self._problem is not None:
                raise self._problem
            definitions, features = self._definitions, self._features
            assert features is not None
            if not refreshed and self._is_replay and (features.timestamps_us > definitions.materialized_to_us).any():
                registry.refresh()  # the store is ahead of the registry that Feast has cached
                refreshed = True
            elif registry.is_current(definitions):
                return VersionInputs(definitions, check_inputs(features, definitions, self._fetched[1]))
            self._start()
            self.receive()
            self.decode(request_times)

    def _start(self) -> None:
        try:
            self._definitions = self._find_definitions(self._model.contract)
            self._finish = self._store.start_read(self._definitions, self._ids)
        except Exception as error:
            self._problem = error


def _select(ids: Sequence[str], rows: Bools) -> list[str]:
    return [ids[row] for row in np.flatnonzero(rows).tolist()]


def _row_inputs_or_problem(read: _VersionRead, batch: VersionInputs, rows: Bools) -> VersionInputs | Exception:
    as_of = batch.checked.features.as_of_us[rows]
    if not read.is_decoded_at(as_of):  # the batch was read again in replay, where the times are those of the features
        read.try_decode(as_of)
    try:
        found = read.inputs(lambda _: as_of)
    except Exception as error:
        return error
    return VersionInputs(found.definitions, found.checked, np.where(rows, rows.cumsum() - 1, -1))
