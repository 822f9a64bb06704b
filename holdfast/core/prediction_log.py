"""Format and reader of the prediction log: predictions with the inputs that the model received.

A file is an Arrow IPC stream of the predictions of one day, model version and route:
``FOLDER/2026-11-21/VERSION-PID-START-N.arrows`` for the model churn, and in a folder ``MODEL`` of the day for any
other, whose version numbers are independent of churn's. Inputs are float64 in a fixed-size list per row; their
names, the model, the version, the route and the version of the feature definitions are in the schema's metadata. A
killed writer leaves a file without an end, or with a partial record: such a file is read up to its last complete
record.
"""

import functools
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.timestamps import DAY_US, as_utc
from holdfast.core.model_names import CHURN, CHURN_COLUMN
from holdfast.core.types import Bools, Floats, Ints

Route = Literal["champion", "canary", "shadow"]

_log = logging.getLogger(__name__)
TIMESTAMP_TYPE = pa.timestamp("us", "UTC")
# Columns of every prediction but its value, in the order of the returned table.
_COLUMNS = {
    "request_id": pa.string(),
    "answered_at": TIMESTAMP_TYPE,
    "customer_id": pa.string(),
    "as_of": TIMESTAMP_TYPE,
    "model": pa.string(),
    "version": pa.string(),
    "route": pa.string(),
    "definitions": pa.string(),
    "stale": pa.bool_(),
}
_IN_METADATA = ("model", "version", "route", "definitions")
INPUTS, TIMES = "inputs", "feature_timestamps"  # columns of lists
TIMESTAMP_SUFFIX = "__timestamp"  # of a feature view's column of event times, in the returned table


class LogKey(NamedTuple):
    """Common properties of the predictions in one file.

    Attributes:
        day: Days since 1970, UTC.
        version: Model version.
        route: Route of the requests.
        input_names: Model inputs, in their order.
        views: Stored feature views behind the inputs.
        definitions: Version of the feature definitions that the model reads; None: not recorded.
        model: Name of the model.
        column: Name of its prediction.
    """

    day: int
    version: str
    route: str
    input_names: tuple[str, ...]
    views: tuple[str, ...]
    definitions: str | None = None
    model: str = CHURN
    column: str = CHURN_COLUMN

    @property
    def date(self) -> str:
        """Return the name of the day's folder."""
        return datetime.fromtimestamp(self.day * 86_400, UTC).date().isoformat()

    @property
    def folder(self) -> str:
        """Return the folder of the files, below that of the log."""
        return self.date if self.model == CHURN else f"{self.date}/{self.model}"


@dataclass(frozen=True)
class ScoredBatch:
    """Batch of n predictions of one version, computed at one time. Its arrays must not change after creation.

    Times are microseconds since 1970, UTC. ``inputs`` has shape (n, len(input_names)) and ``timestamps_us``
    (n, len(views)), with ``NO_TIME`` where the view does not contain the customer. ``definitions`` is the version of
    the feature definitions that the inputs have; None: not recorded. ``predictions`` are churn probabilities, or values
    that ``column`` names.
    """

    version: str
    route: Route
    answered_at_us: int
    request_ids: Sequence[str]
    customer_ids: Sequence[str]
    as_of_us: Ints
    input_names: Sequence[str]
    inputs: Floats
    views: Sequence[str]
    timestamps_us: Ints
    predictions: Floats
    stale: Bools
    definitions: str | None = None
    model: str = CHURN
    column: str = CHURN_COLUMN

    @property
    def rows(self) -> int:
        """Return the number of predictions."""
        return len(self.request_ids)

    @property
    def key(self) -> LogKey:
        """Return the properties that select the file."""
        names, views = tuple(self.input_names), tuple(self.views)
        day = self.answered_at_us // DAY_US
        return LogKey(day, self.version, self.route, names, views, self.definitions, self.model, self.column)


@functools.lru_cache(maxsize=64)
def log_schema(key: LogKey) -> pa.Schema:
    """Build the Arrow schema of a file.

    Args:
        key: Common properties of the predictions in the file.

    Returns:
        The schema; its metadata contain names, version and route.

    Raises:
        ValueError: An input has the name of another column of the returned table.
    """
    columns = [*_COLUMNS, key.column, *key.input_names, *map(_timestamp_column, key.views)]
    if len(set(columns)) < len(columns):
        raise ValueError(f"two columns of the prediction log would have the same name: {sorted(columns)}")
    fields = [(name, dtype) for name, dtype in _table_columns(key.column).items() if name not in _IN_METADATA]
    fields += [
        (INPUTS, pa.list_(pa.float64(), len(key.input_names))),
        (TIMES, pa.list_(TIMESTAMP_TYPE, len(key.views))),
    ]
    lists = {INPUTS: json.dumps(key.input_names), "views": json.dumps(key.views)}
    definitions = {} if key.definitions is None else {"definitions": key.definitions}
    common = {"model": key.model, "column": key.column, "version": key.version, "route": key.route}
    return pa.schema(fields, metadata=common | definitions | lists)


def read_predictions(
    folder: Path | str, since: datetime | None = None, until: datetime | None = None, model: str = CHURN
) -> pa.Table:
    """Read the predictions of all versions of a model in a time range.

    Args:
        folder: Folder of the prediction log.
        since: First time of ``answered_at``; None for no lower limit.
        until: End of the range, exclusive; None for no upper limit.
        model: Name of the model.

    Returns:
        Table in no particular order. Columns: ``request_id``, ``answered_at``, ``customer_id``, ``as_of``, ``model``,
        ``version``, ``route``, ``definitions`` (null in files of early releases), ``churn_probability`` or the
        prediction of another model, ``stale``; one per model input; ``VIEW__timestamp`` per stored view. An input is
        null if the version does not have it, and NaN if it had no value. A timestamp is null if the view did not
        contain the customer.
    """
    tables = list(iter_predictions(folder, since, until, model))
    columns = _table_columns(CHURN_COLUMN) if model == CHURN else _COLUMNS
    empty = pa.schema(list(columns.items())).empty_table()
    return pa.concat_tables([empty, *tables], promote_options="default")


def iter_predictions(
    folder: Path | str, since: datetime | None = None, until: datetime | None = None, model: str = CHURN
) -> Iterator[pa.Table]:
    """Read predictions as :func:`read_predictions` does, one file at a time, to limit memory.

    Args:
        folder: Folder of the prediction log.
        since: First time of ``answered_at``; None for no lower limit.
        until: End of the range, exclusive; None for no upper limit.
        model: Name of the model.

    Yields:
        Table of one file with predictions in the range.
    """
    first, last = since and as_utc(since), until and as_utc(until)
    for day, day_folder in list_day_folders(folder, model):
        if (first and day < first.date()) or (last and day > last.date()):
            continue
        for table in iter_day_predictions(day_folder):
            for bound, compare in ((first, pc.greater_equal), (last, pc.less)):
                if bound and day == bound.date():
                    table = table.filter(compare(table["answered_at"], pa.scalar(bound, TIMESTAMP_TYPE)))
            if table.num_rows:
                yield table


class IncrementalReader:
    """Reader that returns only the predictions that were written since its last call.

    Args:
        folder: Folder of the prediction log.
        since: First time of ``answered_at``.
        model: Name of the model.
    """

    def __init__(self, folder: Path | str, since: datetime, model: str = CHURN) -> None:
        self._folder, self._since, self._model = folder, as_utc(since), model
        self._positions: dict[Path, _Position] = {}

    def read_new(self) -> Iterator[pa.Table]:
        """Read the predictions that no earlier call has returned.

        Yields:
            Table of one file.
        """
        for day, day_folder in list_day_folders(self._folder, self._model):
            if day < self._since.date():
                continue
            for file in sorted(day_folder.glob("*.arrows")):
                table, self._positions[file] = _read_from(file, self._positions.get(file, _Position()))
                if table.num_rows:
                    table = table.filter(pc.greater_equal(table["answered_at"], pa.scalar(self._since, TIMESTAMP_TYPE)))
                if table.num_rows:
                    yield table


def iter_day_predictions(day_folder: Path) -> Iterator[pa.Table]:
    """Read all predictions of a day.

    Args:
        day_folder: Folder as :func:`list_day_folders` returns it.

    Yields:
        Table of one file.
    """
    for file in sorted(day_folder.glob("*.arrows")):
        if (table := _read_from(file, _Position())[0]).num_rows:
            yield table


def list_day_folders(folder: Path | str, model: str = CHURN) -> list[tuple[date, Path]]:
    """List the days of the log with the folder of a model.

    Args:
        folder: Folder of the prediction log; other files and folders in it are ignored.
        model: Name of the model.

    Returns:
        Day and folder, earliest first; empty if ``folder`` does not exist.
    """
    found, root = [], Path(folder)
    for path in root.iterdir() if root.is_dir() else ():
        try:
            day = date.fromisoformat(path.name)
        except ValueError:
            continue
        own = path if model == CHURN else path / model
        if day.isoformat() == path.name and own.is_dir():  # fromisoformat also reads 20261121
            found.append((day, own))
    return sorted(found)


class _Position(NamedTuple):
    """End of the last complete record that was read, bytes, and the schema of the file once it was read."""

    end: int = 0
    schema: pa.Schema | None = None


def _read_from(file: Path, start: _Position) -> tuple[pa.Table, _Position]:
    """Read all complete records after ``start``, without a memory map: a writer may cut off a partial record."""
    records: list[pa.RecordBatch] = []
    header = start.schema.serialize().to_pybytes() if start.schema is not None else b""  # begins each stream
    schema, end = start.schema, start.end
    try:
        if start.end and file.stat().st_size <= start.end:
            return pa.table({}), start
        with file.open("rb") as opened:
            opened.seek(start.end)
            data = pa.BufferReader(header + opened.read())
        with pa.ipc.open_stream(data) as stream:
            schema, offset = stream.schema, start.end - len(header)
            end = offset + data.tell()
            for record in stream:
                records.append(record)
                end = offset + data.tell()
    except FileNotFoundError:  # the day was deleted after its retention period
        pass
    except (pa.ArrowException, OSError) as error:
        _log.warning("%s is incomplete or being written: read up to byte %d (%s)", file, end, error)
    if schema is None or not records:
        return pa.table({}), _Position(end, schema)
    return _expand(pa.Table.from_batches(records, schema).combine_chunks()), _Position(end, schema)


def _expand(table: pa.Table) -> pa.Table:
    """Convert the lists to one column per input and view, and add the columns that a file has in common."""
    metadata = {name.decode(): value.decode() for name, value in table.schema.metadata.items()}
    metadata = {"model": CHURN, "column": CHURN_COLUMN} | metadata  # of files of early releases
    columns = {
        name: pa.repeat(pa.scalar(metadata.get(name), dtype), table.num_rows) if name in _IN_METADATA else table[name]
        for name, dtype in _table_columns(metadata["column"]).items()
    }
    for names, lists in (
        (json.loads(metadata[INPUTS]), table[INPUTS]),
        (map(_timestamp_column, json.loads(metadata["views"])), table[TIMES]),
    ):
        columns |= {name: pc.list_element(lists, i) for i, name in enumerate(names)}
    return pa.table(columns)


def _table_columns(column: str) -> dict[str, pa.DataType]:
    """Return the columns of every prediction, with that of its value before the last."""
    *columns, last = _COLUMNS.items()
    return dict([*columns, (column, pa.float64()), last])


def _timestamp_column(view: str) -> str:
    return view + TIMESTAMP_SUFFIX
