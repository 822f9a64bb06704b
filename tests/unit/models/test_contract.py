"""Tests of fingerprint, contract and input matrix."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from holdfast.models.categories import category_code
from holdfast.models.contract import (
    Feature,
    MissingFeatureError,
    ServedModel,
    freshness_limits,
    input_matrix,
    model_inputs,
)

PARTS = ["feature_service", "labels", "on_demand", "transformations"]
Change = Callable[[Any], object]


class TestInputs:
    def test_model_inputs_are_those_of_the_feature_service_in_its_order(self, store: Any) -> None:
        inputs = model_inputs(store)
        names = [feature.name for feature in inputs]
        assert names[:3] == ["purchase_days", "total_amount", "mean_purchase_amount"]
        log_odds = [f"no_purchase_log_odds_{days}d" for days in (40, 60, 90)]
        silence = ["lateness_ratio", "silence_share", *log_odds]
        assert names[-7:] == ["days_since_last_purchase", "tenure_days", *silence]
        assert len(names) == len(set(names)) == 21
        assert [feature.name for feature in inputs if feature.log_odds] == log_odds
        assert [feature.name for feature in inputs if feature.increasing] == ["days_since_last_purchase", *silence]
        assert {feature.name for feature in inputs if feature.nullable} == {
            "mean_gap_days",
            "std_gap_days",
            "max_gap_days",
            "last_gap_days",
            "lateness_ratio",
        }

    def test_freshness_limits_are_those_of_the_views(self, store: Any) -> None:
        limits = freshness_limits(store)
        assert sorted(limits) == ["customer_purchase_history", "customer_purchase_rhythm", "customer_recent_activity"]
        for limit in limits.values():
            assert (limit.soft, limit.hard) == (timedelta(hours=48), timedelta(days=30))

    def test_freshness_limits_view_without_ttl_has_no_hard_limit(self, store: Any) -> None:
        view = store.get_feature_view("customer_purchase_rhythm")
        view.ttl = timedelta(0)
        store.registry.apply_feature_view(view, store.project)
        store.refresh_registry()
        assert freshness_limits(store)["customer_purchase_rhythm"].hard == timedelta.max


class TestServedModel:
    CONTRACT: ClassVar[dict[str, Any]] = {
        "model_name": "m",
        "model_version": "1",
        "feature_service": "s",
        "inputs": ["a", "b"],
        "reference": [1.5, None],
        "threshold": 0.5,
        "horizon_days": 90,
        "activity_days": 180,
        "fingerprint": {"labels": "0"},
        "model_sha256": "",
    }

    def test_served_model_written_and_read_is_equal(self) -> None:
        served = ServedModel(**self.CONTRACT)
        assert served.reference == [1.5, None]
        assert ServedModel.model_validate_json(served.model_dump_json()) == served

    def test_served_model_of_early_release_has_no_categories(self) -> None:
        written = ServedModel(**self.CONTRACT).model_dump()
        del written["categories"]
        assert ServedModel(**written).categories == {}

    def test_served_model_categories_of_no_input_raise(self) -> None:
        categories = {"b": {"known": ["x", ""], "rare": []}}
        served = ServedModel(**self.CONTRACT | {"categories": categories})
        assert ServedModel.model_validate_json(served.model_dump_json()) == served
        with pytest.raises(ValidationError, match="categories of c, which is no input"):
            ServedModel(**self.CONTRACT | {"categories": {"c": categories["b"]}})

    @pytest.mark.parametrize(
        ("reference", "why"),
        [
            ([1.0], "1 values for 2 inputs"),
            ([1.0, 2.0, 3.0], "3 values for 2 inputs"),
            ([1.0, float("nan")], "finite"),  # JSON knows no NaN; missing is None
            (None, "list"),
        ],
    )
    def test_served_model_reference_of_other_length_raises(self, reference: Any, why: str) -> None:
        with pytest.raises(ValidationError, match=why):
            ServedModel(**self.CONTRACT | {"reference": reference})

    def test_served_model_invalid_example_raises(self) -> None:
        good = {"inputs": [1.5, None], "churn_probability": 0.25}
        served = ServedModel(**self.CONTRACT | {"examples": [good, good]})
        assert ServedModel.model_validate_json(served.model_dump_json()) == served
        for bad, why in (
            ({"inputs": [1.0]}, "example 1 has 1 values for 2 inputs"),
            ({"inputs": [1.0, float("inf")]}, "finite"),
            ({"churn_probability": 1.1}, "less than or equal to 1"),
            ({"churn_probability": float("nan")}, "equal to"),
        ):
            with pytest.raises(ValidationError, match=why):
                ServedModel(**self.CONTRACT | {"examples": [good, good | bad]})

    def test_served_model_missing_field_raises(self) -> None:
        without = {name: value for name, value in self.CONTRACT.items() if name != "reference"}
        with pytest.raises(ValidationError, match="reference"):
            ServedModel(**without)


INPUTS = [Feature("v", "count", "Int64", False), Feature("v", "gap", "Float64", True)]


class TestInputMatrix:
    def test_input_matrix_columns_have_the_order_of_the_inputs(self) -> None:
        matrix = input_matrix(INPUTS, {"unused": ["x", "y"], "gap": [0.5, -0.0], "count": [1, 2]})
        assert matrix.dtype == np.float64
        assert matrix.tolist() == [[1.0, 0.5], [2.0, -0.0]]

    @pytest.mark.parametrize("missing", [None, float("nan")])
    def test_input_matrix_null_in_nullable_feature_is_nan(self, missing: float | None) -> None:
        matrix = input_matrix(INPUTS, {"gap": [1.0, missing], "count": [1, 2]})
        assert np.isnan(matrix).tolist() == [[False, False], [False, True]]

    @pytest.mark.parametrize("missing", [None, float("nan")])
    def test_input_matrix_null_in_other_feature_raises(self, missing: float | None) -> None:
        with pytest.raises(MissingFeatureError, match=r"v:count is null in row 2, and is not declared nullable"):
            input_matrix(INPUTS, {"gap": [1.0, None, 2.0], "count": [1, 2, missing]})

    def test_input_matrix_text_is_its_code(self) -> None:
        inputs = [*INPUTS, Feature("v", "country", "String", True), Feature("v", "plan", "String", False)]
        columns: dict[str, list[Any]] = {"count": [1, 2], "gap": [None, 0.5], "country": ["", None], "plan": ["x", "x"]}
        matrix = input_matrix(inputs, columns)
        assert matrix[:, :2].tobytes() == input_matrix(INPUTS, columns).tobytes()
        assert matrix[:, 2].tolist()[0] == category_code("")
        assert np.isnan(matrix[1, 2])
        assert matrix[:, 3].tolist() == [category_code("x")] * 2
        with pytest.raises(MissingFeatureError, match="v:plan is null in row 1"):
            input_matrix(inputs, columns | {"plan": ["x", None]})

    def test_input_matrix_no_rows_returns_no_rows(self) -> None:
        assert input_matrix(INPUTS, {"gap": [], "count": []}).shape == (0, 2)

    def test_input_matrix_missing_or_shorter_column_raises(self) -> None:
        with pytest.raises(KeyError):
            input_matrix(INPUTS, {"count": [1]})
        with pytest.raises(ValueError, match="broadcast"):
            input_matrix(INPUTS, {"count": [1, 2], "gap": [1.0, 2.0, 3.0]})
