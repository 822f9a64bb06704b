"""Tests of drift in categorical inputs: PSI over categories, new and vanished ones."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.models.categories import InputCategories, category_code, encode_categories
from holdfast.monitoring.drift.categories import find_category_change
from holdfast.monitoring.drift.psi import count_categories, measure_psi
from holdfast.monitoring.drift.reference import DriftReference
from holdfast.monitoring.drift.rule import compare_with_reference, mark_drifted
from holdfast.monitoring.settings import DriftRules

COUNTRIES = InputCategories(known=("", "France", "Österreich", "中国"), rare=("Malta", "Monaco"))
AS_OF = datetime(2024, 1, 1, tzinfo=UTC)


def draw(shares: dict[str | None, float], rows: int, seed: int) -> np.ndarray:
    """Draw codes of texts with the given shares."""
    numbers = np.random.default_rng(seed).choice(len(shares), rows, p=list(shares.values()))
    return encode_categories(list(shares))[numbers]


STABLE: dict[str | None, float] = {"France": 0.5, "Österreich": 0.2, "中国": 0.15, "": 0.1, "Malta": 0.03, None: 0.02}


@given(st.lists(st.sampled_from([*COUNTRIES.known, *COUNTRIES.rare, "Spain", "Chile", None]), max_size=40))
def test_count_categories_counts_each_row_once(texts: list[str | None]) -> None:
    rare, new = ("Malta", "Monaco"), ("Spain", "Chile")
    expected = [texts.count(text) for text in COUNTRIES.known]
    expected += [sum(text in rare for text in texts), sum(text in new for text in texts), texts.count(None)]
    assert count_categories(encode_categories(texts), COUNTRIES).tolist() == expected
    nothing_known = count_categories(encode_categories(texts), InputCategories(known=()))
    assert nothing_known.tolist() == [0, len(texts) - texts.count(None), texts.count(None)]


def test_measure_psi_of_categories_does_not_depend_on_codes() -> None:
    before, now = draw(STABLE, 4000, 1), draw({"France": 0.3, "Österreich": 0.4, "中国": 0.3}, 4000, 2)
    renamed = {text: f"another {text}" for text in COUNTRIES.known}
    others = InputCategories(known=tuple(sorted(renamed.values())), rare=("Malta",))

    def rename(codes: np.ndarray) -> np.ndarray:
        by_code = {category_code(old): category_code(new) for old, new in renamed.items()}
        return np.array([by_code.get(code, code) for code in codes.tolist()])

    one = measure_psi("country", before, now, COUNTRIES)
    two = measure_psi("country", rename(before), rename(now), others)
    assert one.psi == pytest.approx(two.psi)
    assert one.p_value == pytest.approx(two.p_value)


def test_measure_psi_of_unchanged_categories_has_uniform_p_values() -> None:
    p_values = [
        measure_psi("country", draw(STABLE, 5000, seed), draw(STABLE, 1000, 1000 + seed), COUNTRIES).p_value
        for seed in range(300)
    ]
    assert 0.01 <= np.mean(np.array(p_values) < 0.05) <= 0.09
    assert 0.4 < np.mean(p_values) < 0.6


def test_find_category_change_lists_new_and_vanished() -> None:
    before = draw(STABLE, 2000, 1)
    now = np.concatenate([encode_categories(["France"] * 80 + ["Spain"] * 15 + ["Chile"] * 5 + ["Monaco"] * 100)])
    change = find_category_change(before, now, COUNTRIES)
    assert list(change.new.values()) == [0.075, 0.025]
    assert change.new_share == pytest.approx(0.1)
    assert list(change.vanished) == ["Österreich", "中国", ""]
    text = change.describe({category_code("Spain"): "Spain"})
    assert text.startswith("new: Spain (7.5%), an unknown text (2.5%); vanished: Österreich (was ")
    assert find_category_change(before, before, COUNTRIES).describe({}) == ""


def test_find_category_change_few_customers_have_no_vanished_category() -> None:
    before = draw(STABLE, 2000, 1)
    assert find_category_change(before, encode_categories(["France"] * 15), COUNTRIES).vanished == {}


@pytest.mark.parametrize(
    ("now", "drifted"),
    [
        (STABLE, False),
        ({"France": 0.1, "Spain": 0.4, "Österreich": 0.2, "中国": 0.15, "": 0.1, "Malta": 0.03, None: 0.02}, True),
        ({"Österreich": 0.5, "中国": 0.3, "": 0.2}, True),
        ({"France": 0.5, "Österreich": 0.2, None: 0.3}, True),
    ],
)
def test_mark_drifted_finds_new_vanished_and_missing_categories(now: dict[str | None, float], drifted: bool) -> None:
    score = np.random.default_rng(0).random((5000, 1))
    before = np.column_stack([draw(STABLE, 5000, 1), score])
    reference = DriftReference("1", AS_OF, ["country", "score"], before, before, categories={"country": COUNTRIES})
    current = np.column_stack([draw(now, 1000, 3), score[:1000]])
    results = mark_drifted(compare_with_reference(reference, current, AS_OF + timedelta(days=30)), DriftRules())
    assert {item.name: item.drifted for item in results} == {"country": drifted, "score": False}
    (country,) = [item for item in results if item.name == "country"]
    assert country.categories is not None
    assert country.categories.new_share == pytest.approx(0.4 if "Spain" in now else 0, abs=0.05)
