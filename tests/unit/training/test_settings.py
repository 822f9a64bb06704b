"""Validation of training settings."""

from typing import Any

import pytest
from pydantic import ValidationError

from holdfast.training.settings import DEFAULT_SLICES, SearchSettings, Slice, TrainingSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("test_cutoffs", 0),
        ("folds", 0),
        ("min_fit_cutoffs", 0),
        ("min_history_days", -1),
        ("max_cutoffs", 1),
        ("resamples", 49),
        ("search", {"trials": 0}),
        ("search", {"seconds": 0}),
        ("value", {"kept_customer": 0}),
        ("value", {"offer_cost": 0}),
        ("value", {"response_rate": 0}),
        ("value", {"response_rate": 1.1}),
    ],
)
def test_training_settings_invalid_value_raises(name: str, value: Any) -> None:
    inner = next(iter(value)) if isinstance(value, dict) else name
    with pytest.raises(ValidationError, match=inner):
        TrainingSettings.model_validate({name: value})


@pytest.mark.parametrize("settings", [{"threshold": 0.5}, {"search": {"trial": 3}}, {"value": {"worth": 3}}])
def test_training_settings_unknown_setting_raises(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        TrainingSettings.model_validate(settings)


def test_training_settings_assignment_raises() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrainingSettings().search.trials = 3


def test_training_settings_json_round_trip_equal() -> None:
    settings = TrainingSettings(search=SearchSettings(trials=3), slices=DEFAULT_SLICES[:1])
    assert TrainingSettings.model_validate_json(settings.model_dump_json()) == settings


class TestSlice:
    @pytest.mark.parametrize(
        "fields",
        [
            {"labels": ["all"]},
            {"edges": [1], "quantiles": 2, "labels": ["a", "b"]},
            {"edges": [2, 1], "labels": ["a", "b", "c"]},
            {"edges": [1, 1], "labels": ["a", "b", "c"]},
        ],
    )
    def test_slice_invalid_edges_or_quantiles_raise(self, fields: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match="slice by age: give either ascending edges or a number of quantiles"):
            Slice.model_validate({"feature": "age"} | fields)

    @pytest.mark.parametrize("fields", [{"edges": [1]}, {"quantiles": 2}])
    def test_slice_wrong_label_count_raises(self, fields: dict[str, Any]) -> None:
        for labels in (["a"], ["a", "b", "c"]):
            with pytest.raises(ValidationError, match=f"2 groups need 2 labels, not {len(labels)}"):
                Slice.model_validate({"feature": "age", "labels": labels} | fields)
        Slice.model_validate({"feature": "age", "labels": ["a", "b"]} | fields)

    def test_slice_single_quantile_raises(self) -> None:
        with pytest.raises(ValidationError, match="quantiles"):
            Slice(feature="age", quantiles=1, labels=["all"])
