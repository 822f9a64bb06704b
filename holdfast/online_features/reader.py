"""The model's inputs of any number of customers, in one read of the online store.

The same values as Feast's ``get_online_features``, which makes a message of every value on the way. Three things
are added: why an input has no value that may be used, the event time of every stored view, and a time of the
request for each customer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from feature_repo.names import ENTITY_KEY, REQUEST_TIME
from holdfast.core.types import Bools, Floats, Ints
from holdfast.feast_stores.raw_values import RawColumns, RawReader, feast_reader
from holdfast.models.contract import Feature
from holdfast.online_features.read_plan import OnDemandComputation, ReadPlan, UnreadableServiceError, build_read_plan
from holdfast.online_features.value_decoder import Fault, Number, decode_values

if TYPE_CHECKING:
    from feast import FeatureStore

__all__ = ["Fault", "OnlineFeatures", "OnlineReader", "RawColumns", "UnreadableServiceError"]

_Columns = list[list[Number | None]]
_NONE = int(Fault.NONE)  # an enumeration's member takes a microsecond to look up


@dataclass(frozen=True)
class OnlineFeatures:
    """What the store holds of n customers, and what follows from it at their ``as_of_us``.

    ``inputs`` is (n, k), in the order of the feature service: NaN where a value is null, or has a fault.
    ``faults`` is (n, k): a ``Fault`` for each input; a computed one has the worst fault of its view's sources.
    ``timestamps_us`` is (n, v): the event time of each stored view, ``NO_TIME`` where the customer is not in it.
    """

    customer_ids: Sequence[str]
    as_of_us: Ints
    inputs: Floats
    faults: npt.NDArray[np.uint8]
    timestamps_us: Ints


class OnlineReader:
    """Reads one feature service, as the registry defines it now; threads may share it.

    Args:
        store: The feature store; its online store is read in one go if it knows how, else as Feast does.
        feature_service: The name of the feature service.

    Raises:
        UnreadableServiceError: The service holds something that only Feast itself can read.
    """

    def __init__(self, store: "FeatureStore", feature_service: str) -> None:
        plan = build_read_plan(store, feature_service)
        self.inputs: list[Feature] = plan.inputs
        """The model's inputs, in their order."""
        self.views: list[str] = [item.view.name for item in plan.wanted]
        """The stored views behind them, also those that only feed computed features."""
        self.input_views: Bools = _input_views(plan, self.views)
        """Which views an input rests on, (k, v)."""
        self._plan = plan
        self._places_by_type: dict[str, list[int]] = {}
        for place, feature in enumerate(plan.columns):
            self._places_by_type.setdefault(feature.dtype, []).append(place)
        self._may_be_null = np.array([feature.nullable for feature in plan.columns], dtype=bool)
        self._input_may_be_null = np.array([feature.nullable for feature in plan.inputs], dtype=bool)
        self._stored_inputs = np.array(plan.stored_inputs, dtype=np.intp).reshape(-1, 2)
        online_store = store.provider.online_store
        own = getattr(online_store, "reader", None)
        self._read: RawReader = (
            own(store.config, plan.wanted) if own else feast_reader(online_store, store.config, plan.wanted)
        )

    @property
    def width(self) -> tuple[int, int]:
        """The number of columns of values and of times in ``RawColumns``."""
        return len(self._plan.columns), len(self.views)

    def fetch(self, customer_ids: Sequence[str]) -> RawColumns:
        """What the store holds of ``customer_ids``, known or not, in their order; an id may be there more than once.

        Raises:
            Exception: The store cannot be read; the error is the store's own.
        """
        return self._read(customer_ids)

    def decode(self, customer_ids: Sequence[str], raw: RawColumns, as_of_us: Ints | int) -> OnlineFeatures:
        """The features that follow from what the store holds of ``customer_ids``.

        Args:
            customer_ids: As ``raw`` was fetched for.
            raw: What ``fetch`` gave.
            as_of_us: The time of the request, µs since 1970: one for all, or one for each.
        """
        count = len(customer_ids)
        times = np.empty(count, dtype=np.int64)
        times[:] = as_of_us
        columns, faults = self._decoded(raw.values, count)
        stored = np.array(columns, dtype=np.float64).reshape(len(columns), count).T  # None becomes NaN
        _mark_nulls(faults, stored, self._may_be_null)
        inputs = np.full((count, len(self.inputs)), np.nan)
        input_faults = np.zeros(inputs.shape, dtype=np.uint8)
        to, origin = self._stored_inputs.T
        inputs[:, to] = stored[:, origin]
        input_faults[:, to] = faults[:, origin]
        for view in self._plan.on_demand:
            worst = faults[:, list(view.sources.values())].max(axis=1, initial=_NONE)
            usable = np.flatnonzero(worst == _NONE).tolist()
            made = _computed(view, columns, customer_ids, times, usable) if usable else {}
            for position, name in view.outputs:
                input_faults[:, position] = worst
                if usable:
                    inputs[usable, position] = np.array(made[name], dtype=np.float64)
        _mark_nulls(input_faults, inputs, self._input_may_be_null)
        timestamps = np.array(raw.times_us, dtype=np.int64).reshape(len(self.views), count).T
        return OnlineFeatures(customer_ids, times, inputs, input_faults, timestamps)

    def read(self, customer_ids: Sequence[str], as_of_us: Ints | int) -> OnlineFeatures:
        """``decode`` of what ``fetch`` gives."""
        return self.decode(customer_ids, self.fetch(customer_ids), as_of_us)

    def _decoded(self, stored: Sequence[Sequence[bytes | None]], count: int) -> tuple[_Columns, npt.NDArray[np.uint8]]:
        """All columns of a type at once: a request is of a few customers, and decoding has a price per call."""
        columns: _Columns = [[]] * len(stored)
        faults = np.zeros((count, len(stored)), dtype=np.uint8)
        for dtype, places in self._places_by_type.items():
            values, found = decode_values([value for place in places for value in stored[place]], dtype)
            for i, place in enumerate(places):
                columns[place] = values[i * count : (i + 1) * count]
            for position, fault in found:
                faults[position % count, places[position // count]] = fault
        return columns, faults


def _computed(
    on_demand: OnDemandComputation,
    columns: _Columns,
    customer_ids: Sequence[str],
    times: Ints,
    rows: Sequence[int],
) -> dict[str, list[Any]]:
    """What the transformation in the registry makes of ``rows``, in one call, given Python values as Feast gives."""
    given: dict[str, list[Any]] = {
        ENTITY_KEY: [customer_ids[row] for row in rows],
        REQUEST_TIME: [int(times[row]) for row in rows],
    }
    for name, position in on_demand.sources.items():
        column = columns[position]
        given[name] = [column[row] for row in rows]
    return on_demand.view.transform_dict(given)


def _input_views(plan: ReadPlan, views: Sequence[str]) -> Bools:
    rests = np.zeros((len(plan.inputs), len(views)), dtype=bool)
    place = [views.index(column.view) for column in plan.columns]
    for position, column in plan.stored_inputs:
        rests[position, place[column]] = True
    for view in plan.on_demand:
        for position, _ in view.outputs:
            rests[position, [place[column] for column in view.sources.values()]] = True
    return rests


def _mark_nulls(faults: npt.NDArray[np.uint8], values: Floats, may_be_null: Bools) -> None:
    """NaN counts as null: a model cannot tell them apart."""
    nulls = np.isnan(values)
    if nulls.any():
        faults[(faults == _NONE) & nulls & ~may_be_null] = Fault.NULL
