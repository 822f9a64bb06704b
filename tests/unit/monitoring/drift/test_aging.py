"""Aging of a population: tenure grows, and with it what the version's on-demand functions compute from it."""

import numpy as np

from feature_repo.settings import Settings
from holdfast.monitoring.drift.aging import OnDemandFunction, age_customers, load_on_demand_functions
from tests.support.drift_populations import request_time_functions
from tests.support.small_shop import registered_store

NAMES = ["days_since_last_purchase", "tenure_days", "silence_share", "purchase_days", "lateness_ratio"]
ROWS = np.array([[10.0, 100.0, 0.1, 2.0, 7.0], [0.0, 0.0, 0.0, 1.0, 7.0]])


def test_age_customers_keeps_missing_values() -> None:
    names = ["purchase_days", "days_since_last_purchase", "tenure_days", "silence_share"]
    missing = [np.nan] * 4
    rows = np.array([missing, [1.0, 0.0, 0.0, 0.0], [2.0, 30.0, 40.0, 0.75]])
    older = age_customers(names, rows, 20, request_time_functions())
    np.testing.assert_array_equal(older, [missing, [1, 0, 20, 0], [2, 30, 60, 0.5]])


def test_age_customers_changes_tenure_and_inputs_computed_from_it() -> None:
    functions = request_time_functions()
    assert age_customers(NAMES, ROWS, 100, functions).tolist() == [[10, 200, 0.05, 2, 7], [0, 100, 0, 1, 7]]
    assert age_customers(["lateness_ratio"], ROWS[:, 4:], 100, functions).tolist() == [[7], [7]]
    assert ROWS[0, 1] == 100


def test_age_customers_uses_the_functions_of_the_version() -> None:
    """A function of another version counts, and one that reads other features is left out."""
    doubled = OnDemandFunction(
        frozenset({"first_purchase_us"}), lambda inputs: {"silence_share": [2.0 for _ in inputs["first_purchase_us"]]}
    )
    unknown = OnDemandFunction(frozenset({"visits"}), lambda inputs: {"silence_share": inputs["visits"]})
    assert age_customers(NAMES, ROWS, 100, [doubled, unknown])[:, 2].tolist() == [2, 2]
    assert age_customers(NAMES, ROWS, 100, [unknown]).tolist() == [[10, 200, 0.1, 2, 7], [0, 100, 0, 1, 7]]


def test_load_on_demand_functions_reads_the_registered_version(open_shop: Settings) -> None:
    (loaded,), (expected,) = load_on_demand_functions(registered_store()), request_time_functions()
    assert loaded.inputs == expected.inputs
    inputs = dict(zip(sorted(loaded.inputs), ([86_400_000_000], [0], [0], [1.0], [2]), strict=True))
    assert loaded.compute(inputs) == expected.compute(inputs)
