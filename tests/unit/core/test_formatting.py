"""Formats of times, versions, cut-offs and counts."""

import re

import pytest

from holdfast.core.formatting import format_count
from tests.support.main_job import ROOT


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (0, "row", "0 rows"),
        (1, "row", "1 row"),
        (2, "test row", "2 test rows"),
        (3210, "cut-off", "3,210 cut-offs"),
        (1, "earlier batch", "1 earlier batch"),
        (0, "mismatch", "0 mismatches"),
    ],
)
def test_format_count_noun_agrees_with_the_count(count: int, noun: str, text: str) -> None:
    assert format_count(count, noun) == text


def test_messages_have_no_plural_in_brackets() -> None:
    files = [*ROOT.glob("holdfast/**/*.py"), *ROOT.glob("flows/*.py"), *ROOT.glob("services/**/*.py")]
    assert len(files) > 100
    bracket = re.compile(r"\b(?!log\()\w+\((?:s|es)\)[ .,\"]")
    found = [f"{file.name}: {text}" for file in files for text in bracket.findall(file.read_text())]
    assert found == []
