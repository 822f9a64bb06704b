"""Evidence for the role of each column: types, repeats, missing values, and relations between columns."""

import re
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.ingestion.parsing.columns import TextColumn
from holdfast.ingestion.parsing.timestamp_formats import ISO_8601
from holdfast.inspection.column_names import ColumnName, split_name
from holdfast.inspection.number_evidence import NumberEvidence, measure_numbers, read_numbers
from holdfast.inspection.source_sample import SourceSample
from holdfast.inspection.time_evidence import TimeEvidence, measure_times, read_first_reading
from holdfast.inspection.words import PLACEHOLDERS

_NAMED_SHARE = 0.4
_FIRST_VALUES = 2000
_EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
_NAME = r"^[\p{L}\p{M}][\p{L}\p{M} .,'’&-]*$"
_EPOCHS = ("epoch_milliseconds", "epoch_microseconds", "epoch_nanoseconds")
_FIRST_EPOCH = np.datetime64("1995-01-01")


@dataclass(frozen=True)
class ColumnEvidence:
    """Evidence of one column.

    Attributes:
        column: Sampled values as text.
        name: Name with its words.
        codes: Number of the distinct value of each row, -1 where missing, shape (rows,).
        distinct: Number of distinct values.
        numbers: Notation of its numbers.
        times: Formats of its times.
    """

    column: TextColumn
    name: ColumnName
    codes: np.ndarray = field(repr=False)
    distinct: int
    numbers: NumberEvidence
    times: TimeEvidence

    @property
    def text(self) -> str:
        """Return the name of the column."""
        return self.column.name

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    @cached_property
    def present(self) -> int:
        """Return the number of rows with a value."""
        return int((self.codes >= 0).sum())

    @property
    def is_time(self) -> bool:
        """Return whether the column holds times."""
        return bool(self.times.readings)

    @property
    def is_written_time(self) -> bool:
        """Return whether the column holds times with separators, which no number has."""
        formats = self.times.readings[0] if self.times.readings else ()
        return self.column.is_time or self.has_separators or ISO_8601 in formats

    @property
    def has_separators(self) -> bool:
        """Return whether the times have separators by their format, whatever numbers the values could be."""
        formats = self.times.readings[0] if self.times.readings else ()
        return any(re.search("%.[-/.: ]", name) for name in formats)

    @cached_property
    def is_compact_day(self) -> bool:
        """Return whether every value is a day without separators, such as 20250131; ids are so by chance of 1e-4."""
        texts = self.column.text.drop_null()
        if self.times.share < 1 or self.times.readings not in (((ISO_8601,),), (("%Y%m%d",),)):
            return False
        return bool(pc.all(pc.match_substring_regex(texts, "^(19|20)[0-9]{6}$")).as_py())

    @cached_property
    def is_epoch(self) -> bool:
        """Return whether every value is a number of milliseconds, or of less, since 1970, and they span days.

        Ids in sequence span less, others leave the years until now.
        """
        if self.times.share < 1 or self.times.readings[0][0] not in _EPOCHS or len(self.times.readings) > 1:
            return False
        times = read_first_reading(self.column, self.times)
        known = times[~np.isnat(times)]
        return bool(known.min() > _FIRST_EPOCH and known.max() - known.min() > np.timedelta64(2, "D"))

    @property
    def is_number(self) -> bool:
        """Return whether the column holds numbers; where the name speaks for money, half of the values suffice."""
        named = self.name.amount_class in ("total", "price", "quantity")
        return self.numbers.is_number or (named and self.numbers.share >= _NAMED_SHARE)

    @property
    def is_constant(self) -> bool:
        """Return whether the column has at most one value."""
        return self.distinct <= 1

    @property
    def is_integer(self) -> bool:
        """Return whether the numbers have no decimals."""
        return self.is_number and self.numbers.is_integer

    @property
    def is_decimal(self) -> bool:
        """Return whether the column holds numbers with decimals."""
        return self.is_number and not self.numbers.is_integer

    @property
    def is_unique(self) -> bool:
        """Return whether no value occurs twice."""
        return self.present > 0 and self.distinct == self.present

    @cached_property
    def is_email(self) -> bool:
        """Return whether nearly all values are email addresses."""
        texts = self.column.text.drop_null()[:_FIRST_VALUES]
        return bool(len(texts)) and float(pc.mean(pc.match_substring_regex(texts, _EMAIL)).as_py()) > 0.9

    @cached_property
    def is_person_name(self) -> bool:
        """Return whether the values are words without digits, such as names of persons, which several persons have."""
        texts = self.column.text.drop_null()[:_FIRST_VALUES]
        return bool(len(texts)) and float(pc.mean(pc.match_substring_regex(texts, _NAME)).as_py()) > 0.9

    @cached_property
    def has_fractions(self) -> bool:
        """Return whether the numbers have decimals other than 0, which ids have not."""
        return self.is_decimal and bool((np.nan_to_num(self.read_numbers(self.numbers.decimal or ".")) % 1).any())

    @cached_property
    def largest_share(self) -> float:
        """Return the share of the rows with a value that have the most frequent one."""
        counts = np.bincount(self.codes[self.codes >= 0])
        return float(counts.max() / counts.sum()) if len(counts) else 0.0

    @cached_property
    def is_known(self) -> np.ndarray:
        """Return True for the rows with a value that is no placeholder, such as 0 or guest, shape (rows,)."""
        texts = pc.utf8_lower(self.column.text)
        is_placeholder = pc.is_in(texts, value_set=pa.array(PLACEHOLDERS)).to_numpy(zero_copy_only=False)
        return (self.codes >= 0) & ~np.asarray(is_placeholder, dtype=bool)

    @cached_property
    def is_sentence(self) -> bool:
        """Return whether the values are mostly several words."""
        texts = self.column.text.drop_null()[:_FIRST_VALUES]
        return bool(len(texts)) and float(pc.mean(pc.count_substring(texts, " ")).as_py()) >= 1.5

    def read_numbers(self, decimal: str) -> np.ndarray:
        """Read the numbers of the column.

        Args:
            decimal: Decimal sign.

        Returns:
            Numbers, NaN where a value is none, shape (rows,).
        """
        return read_numbers(self.column, decimal)


def measure_columns(sample: SourceSample) -> list[ColumnEvidence]:
    """Measure every column of a sample.

    Args:
        sample: Sample of the source.

    Returns:
        Evidence in the order of the columns.
    """
    measured = []
    for name in sample.columns:
        column = sample.read_column(name)
        codes, values = pd.factorize(column.text.to_pandas())
        measured.append(
            ColumnEvidence(column, split_name(name), codes, len(values), measure_numbers(column), measure_times(column))
        )
    return measured


def measure_determination(finer: ColumnEvidence, coarser: ColumnEvidence) -> float:
    """Measure how far a column determines another: the share of its repeated values with a single other value.

    Args:
        finer: Column that may determine the other.
        coarser: Other column.

    Returns:
        Share from 0 to 1; NaN where no value of ``finer`` occurs twice.
    """
    both = (finer.codes >= 0) & (coarser.codes >= 0)
    frame = pd.DataFrame({"finer": finer.codes[both], "coarser": coarser.codes[both]})
    groups = frame.groupby("finer")["coarser"].agg(["size", "nunique"])
    repeated = groups[groups["size"] > 1]
    return float((repeated["nunique"] == 1).mean()) if len(repeated) else float("nan")


def is_order_like(column: ColumnEvidence, time: ColumnEvidence) -> bool:
    """Return whether each value of a column occurs at one time only, as an order's number does.

    Args:
        column: Column.
        time: Column of times.

    Returns:
        True if no value, or next to none, occurs at two times.
    """
    share = measure_determination(column, time)
    return bool(np.isnan(share) or share > 0.98)
