"""Files of a folder that restate one another: refused, as a restated export is that is ingested after another."""

from collections.abc import Sequence

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from feature_repo.timestamps import DAY_US
from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.kinds import KINDS, Kind
from holdfast.ingestion.reading.source import SourceFile
from holdfast.ingestion.restatements import LEAST_SHARE, Restatement, compare_rows
from holdfast.ingestion.row_changes import CHANGES, Change, list_equal_columns, select_comparable_rows
from holdfast.ingestion.stored_rows import fetch_row, match_columns, to_arrow

_MOST_ROWS = 100_000  # that search for candidates; of more rows a sample is searched


def require_no_restated_files(
    files: Sequence[SourceFile], frames: Sequence[pd.DataFrame], mapping: ColumnMapping
) -> None:
    """Require that no file of a folder restates another one: the same sales with another time, amount or customer.

    Args:
        files: Files of the source.
        frames: Valid rows of each file.
        mapping: Mapping of the source, with the treatment of overlaps.

    Raises:
        IngestError: Most rows of two files are the same, but for one or two columns.
    """
    pairs = [pair for pair in zip(files, frames, strict=True) if not pair[0].of_refunds and len(pair[1])]
    if mapping.overlapping_files == "keep" or mapping.kind == "attributes" or len(pairs) < 2:
        return
    kind = KINDS[mapping.kind]
    inside = _select_common_periods([frame["event_timestamp"] for _, frame in pairs])
    if sum(rows.any() for rows in inside) < 2:
        return
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for first, second in _find_candidates(connection, kind, [frame for _, frame in pairs], inside):
            found = _compare(connection, kind, pairs[first][1], pairs[second][1])
            if found is not None and found.is_certain:
                _refuse(pairs[first][0], pairs[second][0], found, kind)


def _refuse(first: SourceFile, second: SourceFile, found: Restatement, kind: Kind) -> None:
    noun = "orders" if found.column.startswith("lines") else f"{kind.noun}s"
    raise IngestError(
        f"{second.name} and {first.name} have {found.pairs:,} {noun} in two versions: they are equal except for "
        f"{found.column}, such as {found.example[0]} in {first.name}; {found.example[1]} in {second.name}. They would "
        "count twice. Leave one of the files out with `exclude_files` in the mapping; `overlapping_files: keep` in the "
        "mapping reads every file as a whole."
    )


def _select_common_periods(columns: Sequence[pd.Series]) -> list[np.ndarray]:
    """Mark the rows of each file in the period of another file."""
    times = [column.dt.as_unit("us").astype(np.int64).to_numpy() for column in columns]
    begins, ends = (np.array(limits) for limits in zip(*map(_find_period, times), strict=True))
    selected = []
    for position, values in enumerate(times):
        rows = np.zeros(len(values), dtype=bool)
        meets = (begins < ends[position]) & (ends > begins[position])
        meets[position] = False
        for other in np.flatnonzero(meets):
            rows |= (values >= begins[other]) & (values < ends[other])
            if rows.all():
                break
        selected.append(rows)
    return selected


def _find_period(times: np.ndarray) -> tuple[int, int]:
    """Return the begin and the end of a file, which is that of its last day where no row has a time of day."""
    return int(times.min()), int(times.max()) + (1 if (times % DAY_US).any() else DAY_US)


def _find_candidates(
    connection: duckdb.DuckDBPyConnection, kind: Kind, frames: Sequence[pd.DataFrame], inside: Sequence[np.ndarray]
) -> list[tuple[int, int]]:
    """Find the pairs of files with so many changed rows that one may restate the other."""
    tables = [
        to_arrow(kind, frame[rows]).append_column("file", pa.repeat(pa.scalar(position), int(rows.sum())))
        for position, (frame, rows) in enumerate(zip(frames, inside, strict=True))
        if rows.any()
    ]
    every_nth = 1 + sum(table.num_rows for table in tables) // _MOST_ROWS
    connection.register("texts", pa.concat_tables(tables))
    connection.execute("CREATE TEMP TABLE common AS SELECT * REPLACE (hash(customer_id) AS customer_id) FROM texts")
    counts: dict[tuple[int, int], int] = {}
    for change in CHANGES[kind.name]:
        if change.can_refuse:
            for first, second, pairs in _count_pairs(connection, kind, change, every_nth):
                counts[first, second] = max(pairs * every_nth, counts.get((first, second), 0))
    connection.unregister("texts")
    return sorted(pair for pair, count in counts.items() if count >= _least_pairs(frames, pair))


def _least_pairs(frames: Sequence[pd.DataFrame], pair: tuple[int, int]) -> float:
    """Return the pairs that may suffice: half as many as refuse a file, because a sample has more or fewer."""
    inside = _select_common_periods([frames[position]["event_timestamp"] for position in pair])
    return LEAST_SHARE / 2 * min(int(rows.sum()) for rows in inside)


def _count_pairs(
    connection: duckdb.DuckDBPyConnection, kind: Kind, change: Change, every_nth: int
) -> list[tuple[int, int, int]]:
    """Count the changed rows of each pair of files, in a sample of the values of an equal column."""
    equal = list_equal_columns(kind, change)
    sampled = "event_timestamp" if "customer_id" in change.columns else "customer_id"
    rows = select_comparable_rows(kind, change, f"(FROM common WHERE hash({sampled}) % {every_nth} = 0)", of="file")
    return connection.execute(
        f"WITH comparable AS MATERIALIZED ({rows}) SELECT o.file, f.file, count(*) FROM comparable o "
        f"JOIN comparable f ON {match_columns('f', 'o', equal)} AND o.file < f.file WHERE {change.condition} "
        "GROUP BY ALL"
    ).fetchall()


def _compare(
    connection: duckdb.DuckDBPyConnection, kind: Kind, first: pd.DataFrame, second: pd.DataFrame
) -> Restatement | None:
    """Compare the rows of two files in their common period, equal rows apart."""
    inside = _select_common_periods([first["event_timestamp"], second["event_timestamp"]])
    if sum(rows.any() for rows in inside) < 2:
        return None
    earlier, later = (to_arrow(kind, frame[rows]) for frame, rows in zip((first, second), inside, strict=True))
    connection.register("stored", earlier.append_column("batch_id", pa.repeat(pa.scalar(""), earlier.num_rows)))
    connection.register("later", later)
    columns = ", ".join(kind.key)
    for table, of, other in (("orphans", "stored", "later"), ("fresh", "later", "stored")):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {table} AS "
            f"SELECT {columns} FROM {of} EXCEPT ALL SELECT {columns} FROM {other}"
        )
    new = int(fetch_row(connection, "SELECT count(*) FROM fresh")[0])
    return compare_rows(connection, kind, later.num_rows - new)
