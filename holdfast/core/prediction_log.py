"""The prediction log: what was predicted, and what the model saw. Its format and its reader.

A file is an Arrow IPC stream of predictions of one day, model version and route:
``FOLDER/2026-11-21/VERSION-PID-START-N.arrows``. Feature values are stored as the model received them, one row of
float64 after the other, in a fixed-size list; their names, the version and the route are in the schema's metadata.
A writer that is killed leaves a file without an end, or with part of a record: both are read up to there.
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
from holdfast.core.types import Bools, Floats, Ints

Route = Literal["champion", "canary", "shadow"]

_log = logging.getLogger(__name__)
TIMESTAMP_TYPE = pa.timestamp("us", "UTC")
# What every prediction has, in the order of the table that is read.
_COLUMNS = {
    "request_id": pa.string(),
    "answered_at": TIMESTAMP_TYPE,
    "customer_id": pa.string(),
    "as_of": TIMESTAMP_TYPE,
    "version": pa.string(),
    "route": pa.string(),
    "churn_probability": pa.float64(),
    "stale": pa.bool_(),
}
_IN_METADATA = ("version", "route")
INPUTS, TIMES = "inputs", "feature_timestamps"  # the columns that hold lists
TIMESTAMP_SUFFIX = "__timestamp"  # what ends the name of the column of a view's timestamp, once read


class LogKey(NamedTuple):
    """What the predictions of one file have in common."""

    day: int
    version: str
    route: str
    input_names: tuple[str, ...]
    views: tuple[str, ...]

    @property
    def date(self) -> str:
        """The name of the day's folder."""
        return datetime.fromtimestamp(self.day * 86_400, UTC).date().isoformat()


@dataclass(frozen=True)
class ScoredBatch:
    """n predictions that one version answered at one moment; who hands it over changes nothing in it any more.

    Times are microseconds since 1970, UTC. ``inputs`` has shape (n, len(input_names)), ``timestamps_us``
    (n, len(views)), ``NO_TIME`` where the view does not hold the customer.
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
    probabilities: Floats
    stale: Bools

    @property
    def rows(self) -> int:
        """How many predictions these are."""
        return len(self.request_ids)

    @property
    def key(self) -> LogKey:
        """Which file they go to."""
        names, views = tuple(self.input_names), tuple(self.views)
        return LogKey(self.answered_at_us // DAY_US, self.version, self.route, names, views)


@functools.lru_cache(maxsize=64)
def log_schema(key: LogKey) -> pa.Schema:
    """The schema of a file.

    Raises:
        ValueError: An input has the name of another column of the table that is read.
    """
    columns = [*_COLUMNS, *key.input_names, *map(_timestamp_column, key.views)]
    if len(set(columns)) < len(columns):
        raise ValueError(f"two columns of the prediction log would have one name: {sorted(columns)}")
    fields = [(name, dtype) for name, dtype in _COLUMNS.items() if name not in _IN_METADATA]
    fields += [
        (INPUTS, pa.list_(pa.float64(), len(key.input_names))),
        (TIMES, pa.list_(TIMESTAMP_TYPE, len(key.views))),
    ]
    lists = {INPUTS: json.dumps(key.input_names), "views": json.dumps(key.views)}
    return pa.schema(fields, metadata={"version": key.version, "route": key.route} | lists)


def read_predictions(folder: Path | str, since: datetime | None = None, until: datetime | None = None) -> pa.Table:
    """Predictions answered from ``since`` on and before ``until``, of every version, in no particular order.

    Columns: ``request_id``, ``answered_at``, ``customer_id``, ``as_of``, ``version``, ``route``,
    ``churn_probability``, ``stale``; one per model input; ``VIEW__timestamp`` per stored view. An input that a
    version does not have is null; one that had no value is NaN, as the model received it. A timestamp is null where
    the view did not hold the customer.
    """
    tables = list(iter_predictions(folder, since, until))
    nothing = pa.schema(list(_COLUMNS.items())).empty_table()
    return pa.concat_tables([nothing, *tables], promote_options="default")


def iter_predictions(
    folder: Path | str, since: datetime | None = None, until: datetime | None = None
) -> Iterator[pa.Table]:
    """As :func:`read_predictions`, a table per file: for more than fits into memory."""
    first, last = since and as_utc(since), until and as_utc(until)
    for day, day_folder in list_day_folders(folder):
        if (first and day < first.date()) or (last and day > last.date()):
            continue
        for table in iter_day_predictions(day_folder):
            for bound, keeps in ((first, pc.greater_equal), (last, pc.less)):
                if bound and day == bound.date():
                    table = table.filter(keeps(table["answered_at"], pa.scalar(bound, TIMESTAMP_TYPE)))
            if table.num_rows:
                yield table


class IncrementalReader:
    """A log that is read again and again: each time only what was written since the time before."""

    def __init__(self, folder: Path | str, since: datetime) -> None:
        self._folder, self._since = folder, as_utc(since)
        self._read: dict[Path, _Read] = {}

    def read_new(self) -> Iterator[pa.Table]:
        """Predictions answered from ``since`` on that no earlier call gave, a table per file."""
        for day, day_folder in list_day_folders(self._folder):
            if day < self._since.date():
                continue
            for file in sorted(day_folder.glob("*.arrows")):
                table, self._read[file] = _read_on(file, self._read.get(file, _Read()))
                if table.num_rows:
                    table = table.filter(pc.greater_equal(table["answered_at"], pa.scalar(self._since, TIMESTAMP_TYPE)))
                if table.num_rows:
                    yield table


def iter_day_predictions(day_folder: Path) -> Iterator[pa.Table]:
    """All of one of :func:`day_folders`, a table per file."""
    for file in sorted(day_folder.glob("*.arrows")):
        if (table := _read_file(file)).num_rows:
            yield table


def list_day_folders(folder: Path | str) -> list[tuple[date, Path]]:
    """The log's days, oldest first; nothing else that may lie in ``folder``."""
    found, root = [], Path(folder)
    for path in root.iterdir() if root.is_dir() else ():
        try:
            day = date.fromisoformat(path.name)
        except ValueError:
            continue
        if day.isoformat() == path.name and path.is_dir():  # fromisoformat also reads 20261121
            found.append((day, path))
    return sorted(found)


class _Read(NamedTuple):
    """Up to which byte a file was read: the end of its last whole record. ``schema`` is None before there is one."""

    end: int = 0
    schema: pa.Schema | None = None


def _read_file(file: Path) -> pa.Table:
    return _read_on(file, _Read())[0]


def _read_on(file: Path, read: _Read) -> tuple[pa.Table, _Read]:
    """All whole records from there on. They are read in one go: a writer may cut a torn end off under a memory map."""
    records: list[pa.RecordBatch] = []
    header = read.schema.serialize().to_pybytes() if read.schema is not None else b""  # a stream begins with it
    schema, good = read.schema, read.end
    try:
        if read.end and file.stat().st_size <= read.end:
            return pa.table({}), read
        with file.open("rb") as opened:
            opened.seek(read.end)
            data = pa.BufferReader(header + opened.read())
        with pa.ipc.open_stream(data) as stream:
            schema, before = stream.schema, read.end - len(header)
            good = before + data.tell()
            for record in stream:
                records.append(record)
                good = before + data.tell()
    except FileNotFoundError:  # its day ended its time here
        pass
    except (pa.ArrowException, OSError) as error:
        _log.warning("%s is cut off, or being written: read up to byte %d (%s)", file, good, error)
    if schema is None or not records:
        return pa.table({}), _Read(good, schema)
    return _expand(pa.Table.from_batches(records, schema).combine_chunks()), _Read(good, schema)


def _expand(table: pa.Table) -> pa.Table:
    """A column per input and per view, and those that a file has in common."""
    metadata = {name.decode(): value.decode() for name, value in table.schema.metadata.items()}
    columns = {
        name: pa.repeat(pa.scalar(metadata[name]), table.num_rows) if name in _IN_METADATA else table[name]
        for name in _COLUMNS
    }
    for names, lists in (
        (json.loads(metadata[INPUTS]), table[INPUTS]),
        (map(_timestamp_column, json.loads(metadata["views"])), table[TIMES]),
    ):
        columns |= {name: pc.list_element(lists, i) for i, name in enumerate(names)}
    return pa.table(columns)


def _timestamp_column(view: str) -> str:
    return view + TIMESTAMP_SUFFIX
