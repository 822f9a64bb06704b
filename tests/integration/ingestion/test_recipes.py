"""Recipes of docs/recipes: the mapping of each page reads its export as its table shows."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import ibis
import openpyxl
import pandas as pd
import pytest

from feature_repo.settings import Settings
from feature_repo.source_features import join_to_customers, latest_attribute
from feature_repo.source_tables import transformation_sql
from holdfast.feature_store.transformation_run import create_source_tables, run_transformation
from holdfast.ingestion.kinds import KINDS
from holdfast.ingestion.mapping_file import load_mapping
from holdfast.ingestion.reading.reader import read_source
from holdfast.ingestion.tables import scan_table
from holdfast.ingestion.validation import validate_source
from tests.support.ingest_pipeline import run_ingest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOCS = Path(__file__).parents[3] / "docs"
PAGES = sorted((DOCS / "recipes").glob("*.md"))
_FILE = re.compile(r"^`([^`]+)`:\n\n```csv\n(.*?)```$", re.M | re.S)
_MAPPING = re.compile(
    r"^```yaml\n(.*?)```\n\n(\|.*?)\n\n(\d+) read, (\d+) filtered, (\d+) refunds, (\d+) quarantined\.$", re.M | re.S
)

_VALUES = {"transactions": ["amount", "quantity"], "attributes": ["attribute", "value"]}
_VALUE_TYPES = {"transactions": float, "attributes": str}


def _recipes() -> Iterator[tuple[str, int]]:
    for page in PAGES:
        for number in range(len(_MAPPING.findall(page.read_text(encoding="utf-8")))):
            yield page.name, number


def _write_export(folder: Path, text: str) -> Path:
    """Write the files of a page; a folder where there are several."""
    for name, content in text:
        if name.endswith(".xlsx"):
            book = openpyxl.Workbook()
            for row in csv.reader(io.StringIO(content)):
                book.active.append([_cell(value) for value in row])
            book.save(folder / name)
        else:
            (folder / name).write_text(content, encoding="utf-8")
    return folder / text[0][0] if len(text) == 1 else folder


def _cell(text: str) -> object:
    """Convert a value as Excel does: numbers and times have a type."""
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return float(text)
    return datetime.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d [\d:]{8}", text) else text or None


@pytest.mark.parametrize(("page", "number"), list(_recipes()))
def test_recipe_reads_its_export_as_its_table_shows(tmp_path: Path, page: str, number: int) -> None:
    text = (DOCS / "recipes" / page).read_text(encoding="utf-8")
    match = list(_MAPPING.finditer(text))[number]
    files = [found for found in _FILE.finditer(text) if found.start() < match.start()]
    sections = [found.start() for found in re.finditer(r"^## ", text, re.M) if found.start() < match.start()]
    of_section = [found for found in files if not sections or found.start() > sections[-1]]
    export = tmp_path / "export"
    export.mkdir()
    source = _write_export(export, [found.groups() for found in (of_section or files)])
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(match[1], encoding="utf-8")
    rules = load_mapping(mapping)
    result = validate_source(read_source(source, rules), rules, NOW)

    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in match[2].splitlines()]
    kind = str(rules.kind)
    assert lines[0] == ["customer_id", "event_timestamp", *_VALUES[kind]]
    expected = [(row[0], pd.Timestamp(row[1], tz="UTC"), *map(_VALUE_TYPES[kind], row[2:])) for row in lines[2:]]
    assert list(result.rows[lines[0]].itertuples(index=False, name=None)) == expected
    counts = (result.rows_read, result.rows_filtered, result.rows_from_refunds, len(result.quarantine))
    assert counts == tuple(map(int, match.groups()[2:]))


def test_every_recipe_has_a_mapping_and_is_in_the_index() -> None:
    index = (DOCS / "ingest.md").read_text(encoding="utf-8")
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert text.count("```yaml") == len(_MAPPING.findall(text)) > 0
        assert f"](recipes/{page.name})" in index


def test_country_of_the_uci_export_becomes_a_feature(tmp_path: Path) -> None:
    """One export, read by the two mappings of its page, gives the latest country of each customer."""
    text = (DOCS / "recipes" / "uci-online-retail.md").read_text(encoding="utf-8")
    export = _write_export(tmp_path, [found.groups() for found in _FILE.finditer(text)])
    settings = Settings(data=tmp_path / "data")
    added = []
    for number, match in enumerate(_MAPPING.finditer(text)):
        mapping = tmp_path / f"mapping{number}.yaml"
        mapping.write_text(match[1], encoding="utf-8")
        added.append(run_ingest(settings, export, mapping, NOW + number * timedelta(days=1)).rows_added)
    assert added == [3, 3]
    connection, later = ibis.duckdb.connect(), NOW + timedelta(days=1)
    try:
        tables = {str(kind): scan_table(connection, settings, kind, later) for kind in KINDS}
        create_source_tables(connection, tables, NOW, later)
        sql = transformation_sql(
            lambda transactions, attributes: join_to_customers(transactions, latest_attribute(attributes, "country"))
        )
        found = run_transformation(connection, sql, {}).to_pydict()
    finally:
        connection.disconnect()
    assert found == {"customer_id": ["13085"], "country": ["United Kingdom"]}
