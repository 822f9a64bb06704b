"""Overlaps of files: the rows that both hold, and whether their order shows one export."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.ingestion.reading.overlaps import find_overlaps, hash_rows


def _hashes(*files: str) -> list[np.ndarray]:
    return [np.array([ord(letter) for letter in file], dtype=np.uint64) for file in files]


def _overlaps(*files: str) -> list[tuple[int, int, str, int]]:
    return [
        (pair.first, pair.second, "".join(files[pair.second][i] for i in pair.positions), pair.longest_run)
        for pair in find_overlaps(_hashes(*files))
    ]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("abc", "def"), []),
        (("", "abc"), []),
        (("aab", "cc"), []),  # repeats within a file are no overlap
        (("abc", "abcde"), [(0, 1, "abc", 3)]),
        (("abcd", "cdef"), [(0, 1, "cd", 2)]),
        (("abcd", "dcef"), [(0, 1, "dc", 2)]),  # sorted in opposite orders
        (("abcd", "xbyd"), [(0, 1, "bd", 1)]),
        (("aabb", "axay"), [(0, 1, "aa", 1)]),
        (("a", "aa"), [(0, 1, "a", 1)]),  # the second one of two equal rows is new
        (("ab", "bc", "bd"), [(0, 1, "b", 1), (1, 2, "b", 1)]),
        (("aaaa", "aaaa"), [(0, 1, "aaaa", 1)]),  # a run of one repeated row shows nothing
        (("abcxyz", "abc-xyz"), [(0, 1, "abcxyz", 3)]),
    ],
)
def test_find_overlaps_of_files(files: tuple[str, ...], expected: list[tuple[int, int, str, int]]) -> None:
    assert _overlaps(*files) == expected


@given(st.integers(0, 4), st.integers(0, 4), st.booleans(), st.permutations("abcdefgh"))
def test_find_overlaps_counts_a_run_whatever_lies_before_and_after(
    before: int, after: int, backward: bool, letters: list[str]
) -> None:
    run = "".join(letters[:4])
    first = "x" + "uvwy"[:before] + (run[::-1] if backward else run) + "mnop"[:after] + "z"
    (found,) = find_overlaps(_hashes(first, f"x{run}z"))
    assert found.rows == 6
    assert found.longest_run >= 4
    assert [first[i] for i in found.first_positions] == [f"x{run}z"[i] for i in found.positions]


@given(st.lists(st.text("abcde", max_size=8), min_size=1, max_size=5))
def test_find_overlaps_leaves_each_row_as_often_as_the_file_that_has_it_most(files: list[str]) -> None:
    dropped = Counter(letter for _, _, rows, _ in _overlaps(*files) for letter in rows)
    total = sum((Counter(file) for file in files), Counter[str]())
    most: Counter[str] = Counter()
    for file in files:
        most |= Counter(file)

    assert total - dropped == most
    assert dropped.total() == total.total() - most.total()


def test_hash_rows_compares_columns_by_name() -> None:
    first = pa.table({"id": ["a", "b"], "amount": ["1", "2"]})
    second = pa.table({"amount": ["2", "1"], "extra": ["x", "y"], "id": ["b", "b"]})
    one, other = hash_rows([first, second], ["id", "amount"])

    assert one[1] == other[0]
    assert len({*one.tolist(), *other.tolist()}) == 3
