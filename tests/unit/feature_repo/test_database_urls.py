"""A SQLite URL opens the file of its path, whatever characters the path has."""

from pathlib import Path

import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.database_urls import sqlite_path, sqlite_url
from tests.support.folder_names import AWKWARD_NAMES


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_sqlite_url_of_an_awkward_path_opens_that_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    path = tmp_path / name / "x.db"
    engine = sqlalchemy.create_engine(sqlite_url(path))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE t (x)"))
    engine.dispose()

    assert path.stat().st_size > 0
    assert [item for item in tmp_path.rglob("*") if item.is_file()] == [path]


_SEGMENTS = st.text(st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1)


@given(st.lists(_SEGMENTS.filter(lambda name: name not in (".", "..")), min_size=1, max_size=4))
def test_sqlite_path_of_a_url_is_the_path(segments: list[str]) -> None:
    path = Path("/", *segments)

    assert sqlite_path(sqlite_url(path)) == path


@pytest.mark.parametrize("url", ["http://host/x?uri=true", "postgresql://host/database", ""])
def test_sqlite_path_of_a_server_is_none(url: str) -> None:
    assert sqlite_path(url) is None


def test_sqlite_url_without_a_question_mark_is_plain() -> None:
    assert sqlite_url(Path("/data 1/mlflow.db")) == "sqlite:////data 1/mlflow.db"
    assert sqlite_url(Path("/data/prefect.db"), "aiosqlite") == "sqlite+aiosqlite:////data/prefect.db"
