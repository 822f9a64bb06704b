"""Reader of the model inputs of customers, in one read of the online store.

The values equal those of Feast's ``get_online_features``, which converts each value to a message in between. In
addition the reader returns a fault per unusable input and the event time of each stored view, and accepts a request
time per customer.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from feature_repo.names import ENTITY_KEY, REQUEST_TIME
from holdfast.core.types import Bools, Floats, Ints
from holdfast.feast_stores.raw_values import RawColumns, RawReader, feast_reader
from holdfast.models.categories import encode_categories
from holdfast.models.contract import Feature
from holdfast.online_features.read_plan import OnDemandComputation, ReadPlan, build_read_plan
from holdfast.online_features.value_decoder import Fault, StoredValue, decode_values

if TYPE_CHECKING:
    from feast import FeatureStore

_Columns = list[list[StoredValue | None]]
_NONE = int(Fault.NONE)  # the look-up of an enumeration's member takes a microsecond


@dataclass(frozen=True)
class OnlineFeatures:
    """Features of n customers at their request times.

    Attributes:
        customer_ids: Ids of the customers.
        as_of_us: Request time of each customer, µs since 1970, shape (n,).
        inputs: Model inputs, shape (n, k), in the order of the feature service; NaN for a null or a fault, the code of
            a text.
        faults: ``Fault`` of each input, shape (n, k); a computed input has the worst fault of its sources.
        timestamps_us: Event time of each stored view, µs, shape (n, v); ``NO_TIME`` for an unknown customer.
    """

    customer_ids: Sequence[str]
    as_of_us: Ints
    inputs: Floats
    faults: npt.NDArray[np.uint8]
    timestamps_us: Ints


class OnlineReader:
    """Reader of one feature service, as the registry defines it at the creation of the reader. Threads may share it.

    Args:
        store: The feature store. An online store of ``holdfast.feast_stores`` is read at once, others view by view.
        feature_service: Name of the feature service.
        bulk_decoding: Decode long columns with NumPy (``bulk_decoder``); the values are the same.

    Raises:
        UnreadableServiceError: The service is not supported.
    """

    def __init__(self, store: "FeatureStore", feature_service: str, bulk_decoding: bool = True) -> None:
        plan = build_read_plan(store, feature_service)
        self.inputs: list[Feature] = plan.inputs
        """Model inputs, in their order."""
        self.views: list[str] = [request.view.name for request in plan.requests]
        """Stored views, including those that only computed features use."""
        self.input_views: Bools = _input_views(plan, self.views)
        """Mask of the views that an input depends on, shape (k, v)."""
        self._plan, self._bulk_decoding = plan, bulk_decoding
        self._columns_by_type: dict[str, list[int]] = {}
        for column, feature in enumerate(plan.columns):
            self._columns_by_type.setdefault(feature.dtype, []).append(column)
        self._text_columns = [column for column, feature in enumerate(plan.columns) if feature.is_categorical]
        self._required = np.array([not feature.nullable for feature in plan.columns], dtype=bool)
        self._required_inputs = np.array([not feature.nullable for feature in plan.inputs], dtype=bool)
        # Column of each input; inputs that are computed later have the column after the stored ones.
        self._input_columns = np.full(len(plan.inputs), len(plan.columns))
        for position, column in plan.stored_inputs:
            self._input_columns[position] = column
        online_store = store.provider.online_store
        create_reader = getattr(online_store, "reader", functools.partial(feast_reader, online_store))
        self._read: RawReader = create_reader(store.config, plan.requests)

    @property
    def width(self) -> tuple[int, int]:
        """Return the numbers of value columns and time columns in ``RawColumns``."""
        return len(self._plan.columns), len(self.views)

    def fetch(self, customer_ids: Sequence[str]) -> RawColumns:
        """Read the stored values of customers.

        Args:
            customer_ids: Ids of the customers, known or not; an id may occur several times.

        Returns:
            The stored values, in the order of the ids.

        Raises:
            Exception: The store cannot be read; the error is that of the store.
        """
        return self.start(customer_ids)()

    def start(self, customer_ids: Sequence[str]) -> Callable[[], RawColumns]:
        """Start a read of the stored values of customers.

        Args:
            customer_ids: As in :meth:`fetch`.

        Returns:
            Function that returns what :meth:`fetch` returns, and must be called.

        Raises:
            Exception: As :meth:`fetch`.
        """
        return self._read.start(customer_ids)

    def decode(self, customer_ids: Sequence[str], raw: RawColumns, as_of_us: Ints | int) -> OnlineFeatures:
        """Decode stored values and compute the on-demand features.

        Args:
            customer_ids: The ids given to :meth:`fetch`.
            raw: The values that :meth:`fetch` returned.
            as_of_us: Request time, µs since 1970: one for all customers, or one per customer.

        Returns:
            The features.
        """
        count = len(customer_ids)
        times = np.empty(count, dtype=np.int64)
        times[:] = as_of_us
        columns, faults = self._decode_columns(raw.values, count)
        numbers: list[Any] = [*columns, [None] * count]
        for column in self._text_columns:
            numbers[column] = encode_categories(columns[column])
        stored = np.array(numbers, dtype=np.float64).T  # None becomes NaN
        _flag_nulls(faults[:, :-1], stored[:, :-1], self._required)
        inputs = stored.take(self._input_columns, axis=1)
        input_faults = faults.take(self._input_columns, axis=1)
        is_faulty = faults.any()
        for view in self._plan.on_demand:
            usable: Ints | slice = slice(None)
            if is_faulty:
                worst = faults[:, list(view.sources.values())].max(axis=1, initial=_NONE)
                for position, _ in view.outputs:
                    input_faults[:, position] = worst
                usable = np.flatnonzero(worst == _NONE)
            computed = _compute_on_demand(view, columns, customer_ids, times, usable)
            for position, name in view.outputs:
                values = computed[name]
                is_text = self.inputs[position].is_categorical
                inputs[usable, position] = encode_categories(values) if is_text else np.array(values, np.float64)
        _flag_nulls(input_faults, inputs, self._required_inputs)
        timestamps = np.array(raw.times_us, dtype=np.int64).reshape(len(self.views), count).T
        return OnlineFeatures(customer_ids, times, inputs, input_faults, timestamps)

    def read_values(
        self, customer_ids: Sequence[str], as_of_us: int
    ) -> tuple[list[Sequence[StoredValue | None]], npt.NDArray[np.uint8]]:
        """Read the model inputs of customers as Python values, as Feast's ``get_online_features`` returns them.

        Args:
            customer_ids: Ids of the customers, known or not; an id may occur several times.
            as_of_us: Request time, µs since 1970.

        Returns:
            A column per input, None for a null or a fault; and ``Fault`` of each input as of :meth:`decode`, but NONE
            for a null.
        """
        count = len(customer_ids)
        columns, faults = self._decode_columns(self.fetch(customer_ids).values, count)
        values: list[Sequence[StoredValue | None]] = [()] * len(self.inputs)
        input_faults = np.zeros((count, len(self.inputs)), dtype=np.uint8)
        for position, column in self._plan.stored_inputs:
            values[position], input_faults[:, position] = columns[column], faults[:, column]
        times = np.full(count, as_of_us, dtype=np.int64)
        for view in self._plan.on_demand:
            worst = faults[:, list(view.sources.values())].max(axis=1, initial=_NONE)
            computed = _compute_on_demand(view, columns, customer_ids, times, slice(None))
            for position, name in view.outputs:
                values[position], input_faults[:, position] = computed[name], worst
        return values, input_faults

    def read(self, customer_ids: Sequence[str], as_of_us: Ints | int) -> OnlineFeatures:
        """Read and decode the features of customers: :meth:`fetch`, then :meth:`decode`.

        Args:
            customer_ids: Ids of the customers, known or not; an id may occur several times.
            as_of_us: Request time, µs since 1970: one for all customers, or one per customer.

        Returns:
            The features.
        """
        return self.decode(customer_ids, self.fetch(customer_ids), as_of_us)

    def _decode_columns(
        self, stored: Sequence[Sequence[bytes | None]], count: int
    ) -> tuple[_Columns, npt.NDArray[np.uint8]]:
        """Decode all columns of a type at once: a request has few customers, and each decoder call takes time.

        Returns:
            The columns; and the faults, with one more column for the inputs that are not stored.
        """
        columns: _Columns = [[]] * len(stored)
        faults = np.zeros((count, len(stored) + 1), dtype=np.uint8)
        for dtype, numbers in self._columns_by_type.items():
            flat = [value for number in numbers for value in stored[number]]
            values, found = decode_values(flat, dtype, self._bulk_decoding)
            for i, number in enumerate(numbers):
                columns[number] = values[i * count : (i + 1) * count]
            for position, fault in found:
                faults[position % count, numbers[position // count]] = fault
        return columns, faults


def _compute_on_demand(
    on_demand: OnDemandComputation,
    columns: _Columns,
    customer_ids: Sequence[str],
    times: Ints,
    rows: Ints | slice,
) -> dict[str, list[Any]]:
    """Call the transformation in the registry for ``rows``, once, with Python values as Feast passes them."""
    selected = times[rows].tolist()
    if not selected:
        return {name: [] for _, name in on_demand.outputs}
    arguments: dict[str, list[Any]] = {ENTITY_KEY: list(customer_ids), REQUEST_TIME: selected}
    for name, position in on_demand.sources.items():
        arguments[name] = list(columns[position])  # a transformation may change its arguments
    if not isinstance(rows, slice):
        numbers = rows.tolist()
        for name in (ENTITY_KEY, *on_demand.sources):
            column = arguments[name]
            arguments[name] = [column[row] for row in numbers]
    return on_demand.view.transform_dict(arguments)


def _input_views(plan: ReadPlan, views: Sequence[str]) -> Bools:
    mask = np.zeros((len(plan.inputs), len(views)), dtype=bool)
    view_numbers = [views.index(column.view) for column in plan.columns]
    for position, column in plan.stored_inputs:
        mask[position, view_numbers[column]] = True
    for view in plan.on_demand:
        for position, _ in view.outputs:
            mask[position, [view_numbers[column] for column in view.sources.values()]] = True
    return mask


def _flag_nulls(faults: npt.NDArray[np.uint8], values: Floats, required: Bools) -> None:
    """Flag nulls, and NaN as null: a model does not distinguish them."""
    nulls = np.isnan(values) & required
    if nulls.any():
        faults[(faults == _NONE) & nulls] = Fault.NULL
