"""Tests of categories and their codes."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.models.categories import InputCategories, category_code, encode_categories, locate_categories

TEXTS = st.text(max_size=20) | st.sampled_from(["", " ", "France", "france", "Österreich", "中国", "a\x00b", "🇫🇷"])


def test_category_code_is_equal_in_every_release() -> None:
    assert category_code("") == 4022468892641179.0
    assert category_code("France") == category_code("Fra" + "nce") == 1148000677790975.0


@given(st.lists(TEXTS, unique=True, max_size=50))
def test_category_code_is_a_whole_number_per_text(texts: list[str]) -> None:
    codes = encode_categories(texts)
    assert len(set(codes.tolist())) == len(texts)
    assert ((codes >= 0) & (codes < 2**52) & (codes == np.floor(codes))).all()


def test_category_code_of_equal_looks_differs() -> None:
    composed = "é"
    assert category_code(composed) != category_code(unicodedata.normalize("NFD", composed))
    assert category_code("France") != category_code("France ")


def test_encode_categories_missing_is_nan() -> None:
    codes = encode_categories([None, "", float("nan"), "x"])
    assert np.isnan(codes).tolist() == [True, False, True, False]
    assert encode_categories([]).shape == (0,)


def test_encode_categories_number_raises() -> None:
    with pytest.raises(AttributeError):
        encode_categories([3])


@given(st.lists(TEXTS, unique=True, max_size=10), st.lists(TEXTS | st.none(), max_size=20))
def test_locate_categories_finds_each_known_text(known: list[str], texts: list[str | None]) -> None:
    codes = np.sort(encode_categories(known))
    positions = locate_categories(encode_categories(texts), codes)
    for text, position in zip(texts, positions, strict=True):
        if text is None:
            assert position == len(known) + 1
        elif text in known:
            assert codes[position] == category_code(text)
        else:
            assert position == len(known)


def test_input_categories_texts_cover_known_and_rare() -> None:
    categories = InputCategories(known=("a", ""), rare=("b",))
    assert categories.texts == {category_code(text): text for text in ("a", "", "b")}
    assert InputCategories.model_validate_json(categories.model_dump_json()) == categories
