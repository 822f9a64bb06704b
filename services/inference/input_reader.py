"""Reader of the inputs of a batch, under the version of the feature definitions that a model was trained on."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np

from feature_repo.settings import Settings
from feature_repo.timestamps import as_utc, epoch_us
from holdfast.core.types import Bools, Ints
from holdfast.models.loaded_version import LoadedVersion
from services.inference.datatypes import ScoringRequest, VersionInputs
from services.inference.feature_checks import check_inputs
from services.inference.feature_client import FeatureClient
from services.inference.feature_definitions import FeatureDefinitions
from services.observability.stage_times import StageTimes


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
        as_of_us: Ints | None = None,
    ) -> VersionInputs:
        """Read the inputs of all customers of requests for a champion.

        Args:
            champion: Champion.
            requests: Requests of the batch.
            stages: Times of the stages; the end of the read is set.
            as_of_us: Time of each row, µs since 1970, if the batch was read for another model before; None: from the
                requests.

        Returns:
            Inputs of the batch.

        Raises:
            NotReadyError: The features of the champion cannot be read; the problem is logged.
        """
        ids = [customer for request in requests for customer in request.customer_ids]
        now = self._now()

        def request_times(definitions: FeatureDefinitions) -> Ints:
            if as_of_us is not None:
                return as_of_us
            default = now or definitions.materialized_to
            as_of = np.array([epoch_us(request.as_of or default) for request in requests], dtype=np.int64)
            if len(ids) > len(requests):
                as_of = np.repeat(as_of, [len(request.customer_ids) for request in requests])
            return as_of

        return self._read(champion, ids, request_times, stages)

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

    def read_rows(self, challenger: LoadedVersion, batch: VersionInputs, rows: Bools) -> VersionInputs:
        """Read the inputs of rows of a batch for a challenger on another version of the definitions.

        Args:
            challenger: Challenger.
            batch: Inputs of the batch for the champion, with customers and times.
            rows: Mask of the rows to read, shape (n,).

        Returns:
            Inputs of the rows.

        Raises:
            NotReadyError: The features of the challenger cannot be read.
        """
        read = np.flatnonzero(rows)
        features = batch.checked.features
        as_of = features.as_of_us[read]
        found = self._read(challenger, [features.customer_ids[row] for row in read.tolist()], lambda _: as_of, None)
        positions = np.full(len(rows), -1)
        positions[read] = np.arange(len(read))
        return VersionInputs(found.definitions, found.checked, positions)

    def _read(
        self,
        model: LoadedVersion,
        ids: Sequence[str],
        request_times: Callable[[FeatureDefinitions], Ints],
        stages: StageTimes | None,
    ) -> VersionInputs:
        """Read until the registry has not changed meanwhile; the problems of a read with ``stages`` are logged."""
        store = self._features.version(model.definitions)
        find_definitions = store.registry.definitions if stages is None else store.definitions
        is_replay, refreshed = self._settings.clock == "data", False
        while True:
            definitions = find_definitions(model.contract)
            as_of = request_times(definitions)
            raw, unknown = store.fetch(definitions, ids)
            if stages is not None:
                stages.fetched = time.time()
            features = definitions.reader.decode(ids, raw, as_of)
            if not refreshed and is_replay and (features.timestamps_us > definitions.materialized_to_us).any():
                store.registry.refresh()  # the store is ahead of the registry that Feast has cached
                refreshed = True
            elif store.registry.is_current(definitions):
                return VersionInputs(definitions, check_inputs(features, definitions, unknown))

    def _now(self) -> datetime | None:
        """Return the default as_of of a request; None in replay, where it is the time of the stored features."""
        clock = self._settings.clock
        if isinstance(clock, datetime):
            return as_utc(clock)
        return datetime.now(UTC) if clock == "wall" else None
