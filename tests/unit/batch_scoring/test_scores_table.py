"""Score table: schema, file names, writing and reading."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandera.errors import SchemaErrors
from sklearn.ensemble import HistGradientBoostingClassifier

from holdfast.batch_scoring.champion_model import InputMismatchError, ScoringModel
from holdfast.batch_scoring.population import ScoringPopulation
from holdfast.batch_scoring.scores_table import build_scores, read_scores, scores_path, write_scores
from holdfast.batch_scoring.summary import plot_score_histogram, summarize_decisions
from holdfast.models.contract import Feature
from holdfast.models.label import RECENCY_FEATURE
from holdfast.models.loaded_model import LoadedModel, load_verified_model
from tests.support.registry import build_contract, fit_classifier, serialize_model

AS_OF = datetime(2024, 7, 1, tzinfo=UTC)
INPUTS = [RECENCY_FEATURE, "purchase_days", "mean_gap_days"]


def champion(model: Any = None, **changed: Any) -> ScoringModel:
    model = model or fit_classifier()
    content = serialize_model(model)
    return ScoringModel(
        load_verified_model(build_contract(model, content, inputs=INPUTS, model_version="7", **changed), content)
    )


def customers(rows: list[list[float]]) -> ScoringPopulation:
    ids = [f"c{number}" for number in range(len(rows))]
    return ScoringPopulation(
        AS_OF, ids, np.array(rows, dtype=float), [Feature("v", name, "Float64", False) for name in INPUTS]
    )


PEOPLE = customers([[0.0, 2.0, float("nan")], [180.0, -1.0, 0.5], [180.1, 0.0, 2.0]])


def test_build_scores_row_has_all_fields() -> None:
    model = champion(threshold=0.6)
    table = build_scores(PEOPLE, model)
    expected = model.model.churn_probabilities(PEOPLE.x)
    assert table["churn_probability"].to_numpy().tobytes() == expected.tobytes()
    assert table["will_churn"].tolist() == (expected >= 0.6).tolist()
    assert 0 < table["will_churn"].sum() < 3
    assert table["active"].tolist() == [True, True, False]
    for name, value in {"as_of": AS_OF, "threshold": 0.6, "model_version": "7", "stale": False}.items():
        assert table[name].tolist() == [value] * 3
    assert (table["feature_timestamp"] == table["as_of"]).all()
    assert table["customer_id"].tolist() == ["c0", "c1", "c2"]
    for why, details in zip(table["reasons"], table["reason_details"], strict=True):
        assert len(why) == len(details) <= 3
        assert all(item["direction"] == ("raises" if item["effect"] > 0 else "lowers") for item in details)
        strengths = [abs(item["effect"]) for item in details]
        assert strengths == sorted(strengths, reverse=True)
    assert table["reasons"].iloc[1][0].startswith("last bought 180 days ago")


def test_build_scores_score_equal_to_threshold_will_churn() -> None:
    (first, *_) = champion().model.churn_probabilities(PEOPLE.x).tolist()
    assert build_scores(PEOPLE, champion(threshold=first))["will_churn"].iloc[0]


def test_build_scores_of_non_additive_model_has_no_reasons(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(400, 3))
    model = HistGradientBoostingClassifier(max_iter=5).fit(x, x[:, 0] * x[:, 1] > 0)
    table = build_scores(PEOPLE, champion(model))
    assert table["reasons"].isna().all()
    assert table["reason_details"].isna().all()
    write_scores(table, tmp_path / "one.parquet")
    pd.testing.assert_frame_equal(read_scores(tmp_path / "one.parquet"), table)


@pytest.mark.parametrize("score", [float("nan"), -0.01, 1.01])
def test_build_scores_invalid_probability_raises(score: float, monkeypatch: pytest.MonkeyPatch) -> None:
    model = champion()
    monkeypatch.setattr(LoadedModel, "churn_probabilities", lambda *_: np.array([0.5, score, 0.5]))
    with pytest.raises(SchemaErrors, match="churn_probability"):
        build_scores(PEOPLE, model)


def test_build_scores_other_inputs_raise() -> None:
    others = ScoringPopulation(AS_OF, PEOPLE.ids, PEOPLE.x[:, ::-1], PEOPLE.inputs[::-1])
    with pytest.raises(InputMismatchError, match=r"version 7 reads .* its feature service gives"):
        build_scores(others, champion())


def test_write_scores_is_read_unchanged(tmp_path: Path) -> None:
    table, path = build_scores(PEOPLE, champion()), tmp_path / "scores" / "one.parquet"
    write_scores(table, path)
    pd.testing.assert_frame_equal(read_scores(path), table)
    some = ["customer_id", "churn_probability"]
    pd.testing.assert_frame_equal(read_scores(path, some), table[some])
    before = path.read_bytes()
    write_scores(table, path)
    assert path.read_bytes() == before
    assert [item.name for item in path.parent.iterdir()] == ["one.parquet"]


def test_read_scores_changed_decision_raises(tmp_path: Path) -> None:
    table = build_scores(PEOPLE, champion())
    write_scores(table.assign(will_churn=~table["will_churn"]), tmp_path / "one.parquet")
    with pytest.raises(SchemaErrors, match="will_churn does not match probability and threshold"):
        read_scores(tmp_path / "one.parquet")


@pytest.mark.parametrize(
    ("as_of", "name"),
    [
        (AS_OF, "2024-07-01.parquet"),
        (AS_OF + timedelta(hours=3, microseconds=5), "2024-07-01T030000000005Z.parquet"),
        (datetime(2024, 7, 1, 2, tzinfo=timezone(timedelta(hours=2))), "2024-07-01.parquet"),
    ],
)
def test_scores_path_is_unique_per_time(as_of: datetime, name: str) -> None:
    assert scores_path(Path("folder"), as_of) == Path("folder") / name


def test_summarize_decisions_and_plot() -> None:
    table = build_scores(PEOPLE, champion(threshold=0.6))
    active, others = summarize_decisions(table)
    churns = table["will_churn"].tolist()
    assert (active["customers"], active["scored"], active["will churn"]) == ("active", 2, sum(churns[:2]))
    assert (others["customers"], others["scored"], others["will stay"]) == ("not active", 1, 1 - churns[2])
    (axes,) = plot_score_histogram(table).axes
    assert sum(bar.get_height() for bar in axes.patches) == 3
    assert "3 customers as of 2024-07-01, version 7" in axes.get_title()
