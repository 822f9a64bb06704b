"""The table of scores: contract, file names, and the way to disk and back."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandera.errors import SchemaErrors

from feature_repo.model_contract import ServedModel
from flows.scoring.customers import Customers
from flows.scoring.scores import read_scores, scores_path, scores_table, write_scores

AS_OF = datetime(2024, 7, 1, tzinfo=UTC)
CONTRACT = ServedModel(
    model_name="m",
    model_version="7",
    feature_service="s",
    inputs=[],
    reference=[],
    threshold=0.6,
    horizon_days=90,
    activity_days=180,
    fingerprint={},
    model_sha256="",
)


def _table(scores: list[float]) -> pd.DataFrame:
    ids = [f"c{number}" for number in range(len(scores))]
    return scores_table(Customers(AS_OF, ids, np.empty((len(ids), 0)), []), np.array(scores), CONTRACT)


def test_a_row_says_who_when_what_and_by_which_version() -> None:
    assert _table([0.1, 0.6]).to_dict("records") == [
        {"customer_id": "c0", "as_of": AS_OF, "churn_probability": 0.1, "will_churn": False, "model_version": "7"},
        {"customer_id": "c1", "as_of": AS_OF, "churn_probability": 0.6, "will_churn": True, "model_version": "7"},
    ]


@pytest.mark.parametrize("score", [float("nan"), -0.01, 1.01])
def test_what_is_no_probability_is_refused(score: float) -> None:
    with pytest.raises(SchemaErrors, match="churn_probability"):
        _table([0.5, score])


def test_to_disk_and_back(tmp_path: Path) -> None:
    table, path = _table([0.1, 0.6]), tmp_path / "scores" / "one.parquet"
    write_scores(table, path)
    pd.testing.assert_frame_equal(read_scores(path), table)
    before = path.read_bytes()
    write_scores(table, path)
    assert path.read_bytes() == before
    assert [item.name for item in path.parent.iterdir()] == ["one.parquet"]


@pytest.mark.parametrize(
    ("as_of", "name"),
    [
        (AS_OF, "2024-07-01.parquet"),
        (AS_OF + timedelta(hours=3, microseconds=5), "2024-07-01T030000000005Z.parquet"),
        (datetime(2024, 7, 1, 2, tzinfo=timezone(timedelta(hours=2))), "2024-07-01.parquet"),
    ],
)
def test_one_file_per_moment(as_of: datetime, name: str) -> None:
    assert scores_path(Path("folder"), as_of) == Path("folder") / name
