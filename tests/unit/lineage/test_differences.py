"""Differences between a version and its reproduction, by kind."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from holdfast.lineage import differences
from holdfast.lineage.isolated_retraining import RetrainingOutcome
from holdfast.lineage.reproduction import RecordedVersion, Reproduction, compare_with_records
from holdfast.lineage.retrain_worker import RetrainedModel
from tests.support.version_histories import BATCH, LINEAGE, RECIPE, scores

FRAME = scores(0.25, 0.75, 0.5)
RECORDED = RecordedVersion("3", LINEAGE, RECIPE, FRAME)
SAME = RetrainingOutcome(LINEAGE, RetrainedModel(RECIPE.digests, FRAME))


def _digests(period: str, **changed: str) -> dict[str, dict[str, str]]:
    return RECIPE.digests | {period: RECIPE.digests[period] | changed}


def _parts(result: Reproduction) -> list[str]:
    return [item.part for item in result.differences]


def test_compare_same_model_is_identical() -> None:
    result = compare_with_records(RECORDED, SAME, [])
    assert (result.identical, result.differences, result.rows) == (True, [], 3)


@pytest.mark.parametrize(
    ("lineage", "part", "detail"),
    [
        ({"training_code": "0123" * 16}, "code", "training code c0dec0dec0de, here 012301230123"),
        ({"lock": "0123" * 16}, "code", "lock 10cc10cc10cc, here 012301230123"),
        ({"python": "3.12.1"}, "code", "Python 3.11.7, here 3.12.1"),
    ],
)
def test_compare_other_code_with_same_result_is_identical(lineage: Any, part: str, detail: str) -> None:
    result = compare_with_records(RECORDED, replace(SAME, current=replace(LINEAGE, **lineage)), [])
    assert result.identical
    assert _parts(result) == [part]
    assert detail in result.differences[0].detail
    assert result.differences[0].advice == "Check out c5e4c58859c6 and run this command there."


@pytest.mark.parametrize(
    ("commit", "detail"),
    [("unknown", "not recorded"), (f"{'a' * 40} with local changes", "aaaaaaaaaaaa (the training had uncommitted")],
)
def test_diff_code_advice_names_unknown_or_changed_commit(commit: str, detail: str) -> None:
    recorded = replace(LINEAGE, git_commit=commit)
    assert detail in differences.diff_code(recorded, replace(LINEAGE, python="3"))[0].advice


def test_compare_other_definitions_come_first_with_their_parts() -> None:
    current = replace(LINEAGE, fingerprint=LINEAGE.fingerprint | {"on_demand": "new", "labels": "new"}, lock="new")
    result = compare_with_records(RECORDED, RetrainingOutcome(current, None), [])
    assert not result.identical
    assert _parts(result) == ["definitions", "code"]
    assert "labels, on_demand differ from" in result.differences[0].detail


def test_compare_without_training_set_has_the_error() -> None:
    result = compare_with_records(RECORDED, RetrainingOutcome(LINEAGE, None, "total_amount is null in row 7"), ["late"])
    assert not result.identical
    assert _parts(result) == ["training set"]
    assert "null in row 7" in result.differences[0].detail
    assert result.unused_batches == ["late"]


@pytest.mark.parametrize(
    ("digests", "part", "detail"),
    [
        (_digests("development", rows="x"), "rows", "development"),
        (_digests("test", labels="x"), "labels", "test"),
        (_digests("development", total_amount="x"), "inputs", "1 of 2 differ in development: total_amount"),
        (_digests("test", total_amount="x", purchase_days="y"), "inputs", "2 of 2 differ in test: purchase_days, tot"),
        (_digests("test", new_feature="x"), "inputs", "1 of 2 differ in test: new_feature"),
    ],
)
def test_compare_other_data_is_not_identical(digests: Any, part: str, detail: str) -> None:
    result = compare_with_records(RECORDED, replace(SAME, model=RetrainedModel(digests, FRAME)), [])
    assert not result.identical
    assert _parts(result) == [part]
    assert detail in result.differences[0].detail


def test_diff_data_other_rows_skip_the_inputs_of_that_period() -> None:
    retrained = _digests("test", rows="x", labels="x", total_amount="x")
    assert [item.part for item in differences.diff_data(RECIPE.digests, retrained)] == ["rows", "labels"]


def test_diff_test_rows_names_rows_and_labels() -> None:
    assert differences.diff_test_rows(FRAME, FRAME) == []
    found = differences.diff_test_rows(FRAME, FRAME.iloc[1:])
    assert [item.detail for item in found] == ["1 recorded rows are missing, the first of customer c0 at 2023-09-01"]
    found = differences.diff_test_rows(FRAME.iloc[:2], FRAME)
    assert [item.detail for item in found] == ["1 rows were not recorded, the first of customer c2 at 2023-09-01"]
    found = differences.diff_test_rows(FRAME, scores(0.25, 0.75, 0.5, churned=(False, False, True)))
    assert [item.detail for item in found] == ["2 of 3 differ, the first of customer c1 at 2023-09-01"]


class TestDiffScores:
    def test_diff_scores_one_bit_is_a_difference(self) -> None:
        bit = float(np.nextafter(0.75, 1))
        found = differences.diff_scores(FRAME, scores(0.25, bit, 0.5))
        assert len(found) == 1
        assert found[0].detail == (
            f"1 of 3 differ, by 1.11e-16 at most; the first of customer c1 at 2023-09-01: recorded 0.75, here {bit!r}"
        )

    def test_diff_scores_ignores_row_order(self) -> None:
        assert differences.diff_scores(FRAME, FRAME.iloc[::-1]) == []

    def test_diff_scores_signed_zero_differs_and_nan_is_equal(self) -> None:
        assert differences.diff_scores(scores(0.0), scores(-0.0))
        assert differences.diff_scores(scores(np.nan), scores(np.nan)) == []

    def test_diff_scores_after_refit_both_models_compared(self) -> None:
        """The scores of the shipped model are compared like those of the tested one."""
        refitted = FRAME.assign(served=[0.3, 0.7, 0.6])
        assert differences.diff_scores(refitted, refitted.iloc[::-1]) == []
        found = differences.diff_scores(refitted, refitted.assign(served=[0.3, 0.7, 0.5]))
        assert [item.part for item in found] == ["predictions of the shipped model"]
        both = differences.diff_scores(refitted, scores(0.25, 0.75, 0.4).assign(served=[0.3, 0.7, 0.5]))
        assert [item.part for item in both] == ["predictions", "predictions of the shipped model"]

    def test_compare_other_scores_only_names_recipe_or_libraries(self) -> None:
        model = RetrainedModel(RECIPE.digests, scores(0.25, 0.75, 0.4))
        result = compare_with_records(RECORDED, replace(SAME, model=model), [])
        assert _parts(result) == ["fit", "predictions"]
        assert "the recipe was changed, or the installed libraries" in result.differences[0].detail

    def test_compare_unrecorded_numeric_environment_is_a_possible_cause(self) -> None:
        model = RetrainedModel(RECIPE.digests, scores(0.25, 0.75, 0.4))
        result = compare_with_records(
            replace(RECORDED, lineage=replace(LINEAGE, arithmetic=None)), replace(SAME, model=model), []
        )
        assert "another processor computed it (here OpenBLAS Haswell, numpy X86_V3" in result.differences[0].detail

    def test_compare_other_numeric_environment_is_named(self) -> None:
        outcome = replace(
            SAME,
            current=replace(LINEAGE, arithmetic={"blas": "Nehalem", "simd": []}),
            model=RetrainedModel(RECIPE.digests, scores(0, 1, 0.4)),
        )
        result = compare_with_records(RECORDED, outcome, [])
        assert _parts(result)[0] == "numeric environment"
        assert "this processor gave OpenBLAS Nehalem, numpy baseline" in result.differences[0].detail


class TestDiffBatches:
    def test_diff_batches_missing_batch_is_named(self) -> None:
        recorded = replace(LINEAGE, batches=["b1c2d3e4", "removed"])
        found = differences.diff_batches(recorded, [BATCH], Path("/data/batches"))
        assert [item.part for item in found] == ["batches"]
        assert found[0].detail == "1 of 2 are no longer in /data/batches: removed"
        assert differences.diff_batches(LINEAGE, [BATCH], Path()) == []

    def test_list_unused_batches_returns_batches_that_arrived_in_time(self) -> None:
        early = replace(BATCH, batch_id="early")
        late = replace(BATCH, batch_id="late", ingested_at=LINEAGE.known_at + timedelta(seconds=1))
        after = replace(BATCH, batch_id="after", first_event=LINEAGE.as_of)
        empty = replace(BATCH, batch_id="empty", first_event=None)
        assert differences.list_unused_batches(LINEAGE, [BATCH, early, late, after, empty]) == ["early"]


def test_diff_scores_after_parquet_is_empty(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "x.parquet", index=False)
    read = pd.read_parquet(tmp_path / "x.parquet")
    assert differences.diff_test_rows(FRAME, read) + differences.diff_scores(FRAME, read) == []
