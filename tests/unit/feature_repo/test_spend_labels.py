"""Tests of spend labels against the oracle."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import ibis
import pytest
from hypothesis import given
from ibis.backends.duckdb import Backend

from feature_repo.labels import churn_labels, spend_labels
from tests.support import feature_oracle
from tests.support.feature_oracle import MICROSECOND, Transaction
from tests.support.strategies import EXAMPLES, table
from tests.unit.feature_repo.test_labels import ACTIVITY, CUTOFF, HORIZON, LabelCase, bought, cutoff_table, label_cases

Labels = dict[tuple[str, datetime], tuple[bool, float]]


@pytest.fixture(scope="module")
def connection() -> Backend:
    return ibis.duckdb.connect()


def _label(connection: Backend, case: LabelCase) -> Labels:
    rows, cutoffs, *days = case
    found = connection.to_pyarrow(spend_labels(table(rows), cutoff_table(cutoffs), *days)).to_pylist()
    labels = {(row["customer_id"], row["cutoff"]): (row["churned"], row["spend"]) for row in found}
    assert len(labels) == len(found)
    return labels


def _oracle(case: LabelCase) -> Labels:
    rows, cutoffs, horizon_days, activity_days = case
    churned = feature_oracle.churn_labels(rows, cutoffs, horizon_days, activity_days)

    def spend(customer: str, cutoff: datetime) -> float:
        end = cutoff + timedelta(days=horizon_days)
        bought = [row for row in rows if row.customer_id == customer and cutoff <= row.event_timestamp < end]
        return float(sum((Decimal(repr(row.amount)) for row in bought if row.amount > 0), Decimal(0)))

    return {key: (value, spend(*key)) for key, value in churned.items()}


@EXAMPLES
@given(case=label_cases())
def test_spend_labels_any_shop_equals_oracle(connection: Backend, case: LabelCase) -> None:
    assert _label(connection, case) == _oracle(case)


@EXAMPLES
@given(case=label_cases())
def test_spend_labels_rows_are_those_of_churn(connection: Backend, case: LabelCase) -> None:
    rows, cutoffs, *days = case
    churned = connection.to_pyarrow(churn_labels(table(rows), cutoff_table(cutoffs), *days)).to_pylist()
    labels = _label(connection, case)
    assert {key: value[0] for key, value in labels.items()} == {
        (row["customer_id"], row["cutoff"]): row["churned"] for row in churned
    }
    assert all((spend == 0) == is_churned for is_churned, spend in labels.values())


@pytest.mark.parametrize(
    ("time", "spend"),
    [
        (CUTOFF - MICROSECOND, 0.0),
        (CUTOFF, 7.25),
        (CUTOFF + timedelta(days=HORIZON) - MICROSECOND, 7.25),
        (CUTOFF + timedelta(days=HORIZON), 0.0),
    ],
)
def test_spend_labels_horizon_is_half_open(connection: Backend, time: datetime, spend: float) -> None:
    rows = [bought(CUTOFF - timedelta(days=10)), bought(time, 7.25)]
    assert _label(connection, (rows, [CUTOFF], HORIZON, ACTIVITY)) == {("a", CUTOFF): (spend == 0, spend)}


def test_spend_labels_returns_are_not_subtracted(connection: Backend) -> None:
    after = [bought(CUTOFF + timedelta(days=days), amount) for days, amount in ((1, 20.0), (2, -20.0))]
    rows: list[Transaction] = [bought(CUTOFF - timedelta(days=10)), *after]
    assert _label(connection, (rows, [CUTOFF], HORIZON, ACTIVITY)) == {("a", CUTOFF): (False, 20.0)}


def test_spend_labels_amounts_sum_exactly(connection: Backend) -> None:
    rows = [bought(CUTOFF - timedelta(days=1))] + [bought(CUTOFF + timedelta(hours=n), 0.1) for n in range(10)]
    assert _label(connection, (rows, [CUTOFF], HORIZON, ACTIVITY)) == {("a", CUTOFF): (False, 1.0)}
    assert CUTOFF.tzinfo is UTC
