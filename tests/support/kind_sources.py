"""A small source of each kind with its mapping: what the tests of ingest run for every kind."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from holdfast.ingestion.kinds import KINDS, KindName
from tests.support.ingestion_fixtures import SIMPLE


@dataclass(frozen=True)
class KindSource:
    """Mapping and rows of a kind.

    Attributes:
        mapping: Mapping file.
        header: Columns of the export.
        row: Row of a number; rows of different numbers are different, and none repeats what another one states.
        bad: Row that goes to quarantine, by a number.
    """

    kind: KindName
    mapping: str
    header: str
    row: Callable[[int], str]
    bad: Callable[[int], str]

    @property
    def key(self) -> list[str]:
        """Return the columns that make two rows equal."""
        return list(KINDS[self.kind].key)

    @property
    def file(self) -> str:
        """Return the name of the table's file in a batch."""
        return KINDS[self.kind].file

    def write(self, path: Path, first: int, last: int) -> Path:
        """Write an export of rows ``first`` to ``last`` (excluded) and one bad row."""
        rows = [self.row(number) for number in range(first, last)] + [self.bad(first)]
        path.write_text("\n".join([self.header, *rows]) + "\n")
        return path

    def write_mapping(self, folder: Path) -> Path:
        """Write the mapping file."""
        path = folder / f"{self.kind}.yaml"
        path.write_text(self.mapping)
        return path


def _day(number: int) -> str:
    return f"2025-{1 + number // 28 % 12:02}-{1 + number % 28:02}"


KIND_SOURCES = [
    KindSource(
        "transactions",
        SIMPLE,
        "id,when,amount,quantity",
        lambda number: f"{number % 7},2025-01-01,{number % 50 + 1},1",
        lambda number: f",2025-01-01,{number},1",
    ),
    KindSource(
        "attributes",
        "kind: attributes\n"
        "columns: {customer_id: id, event_timestamp: when, attributes: {country: country, plan: plan}}\n"
        "erased_values: [deleted]\nmax_bad_share: 1\n",
        "id,when,country,plan",
        lambda number: f"{number // 12},{_day(number % 12)},{'deleted' if number % 5 == 0 else f'c{number}'},",
        lambda number: f",2025-01-01,c{number},",
    ),
    KindSource(
        "events",
        "kind: events\ncolumns: {customer_id: id, event_timestamp: when, kind: kind, value: minutes}\n"
        "max_bad_share: 1\n",
        "id,when,kind,minutes",
        lambda number: f"{number % 7},2025-01-01,{'visit' if number % 2 else 'ticket'},{number % 50 or ''}",
        lambda number: f",2025-01-01,visit,{number}",
    ),
]
