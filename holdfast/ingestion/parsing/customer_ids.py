"""Parser of customer ids: ids that spreadsheets and floats changed are restored where that is exact."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.core.errors import IngestError
from holdfast.ingestion.arrow_columns import as_text
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.parsing.columns import ParsedColumn, RowIssue, TextColumn, describe_issue
from holdfast.ingestion.parsing.customer_id_forms import apply_id_form
from holdfast.ingestion.parsing.number_notation import match_pattern

# From this share on, damaged ids show that the export is unusable; fewer are set aside.
_DAMAGED_SHARE = 0.05
# A spreadsheet keeps text as text by ="00042" or '00042.
_GUARDED = r"^=\"([^\"]*)\"$|^['\x{2018}\x{2019}`\x{00b4}]([0-9+=-].*)$"
_SCIENTIFIC = r"^[+-]?[0-9][.,][0-9]+[eE][+-]?[0-9]+$|^[+-]?[0-9][eE]\+[0-9]+$"  # 1E5 may be a code
_MONTHS = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DATE = rf"^(?:[0-9]{{1,2}}-{_MONTHS}|{_MONTHS}-[0-9]{{2}})$"  # a spreadsheet makes 3-Jan of 1-3 or 3-1
_ERROR = r"^#(?:N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!|#+)$"
_GROUPED = r"^[0-9]{1,3}(?:[,' \x{00a0}\x{202f}\x{2009}][0-9]{3})+$"
_FEWEST_ROUNDED = 5  # digits behind the 15th, all 0: one of 100,000 columns of arbitrary ids has that
_SEPARATORS = (",", "'", r"[ \x{00a0}\x{202f}\x{2009}]")
_EXACT_FLOAT64 = 2.0**53  # every whole number below has a float64 of its own
_EXACT_FLOATS = {pa.float16(): 2.0**11, pa.float32(): 2.0**24, pa.float64(): _EXACT_FLOAT64}


def parse_customer_ids(column: TextColumn, field: str, mapping: ColumnMapping) -> ParsedColumn:
    """Parse a column of customer ids.

    A whole number written as a float loses its ``.0``, a spreadsheet's ``="00042"`` its guard; leading zeros are
    preserved. Ids whose last digits were rounded away are never ids.

    Args:
        column: Column as text.
        field: Transaction field, for reasons and errors.
        mapping: Mapping with the form of ids.

    Returns:
        Ids as strings.

    Raises:
        IngestError: A large share of the ids is damaged.
    """
    encoded = pc.dictionary_encode(column.text)
    ids = encoded.dictionary
    of_row = pc.fill_null(encoded.indices, len(ids)).to_numpy()
    if column.type is not None and pa.types.is_floating(column.type):
        limit = _EXACT_FLOATS[column.type]
        text, damaged = _restore_floats(ids, limit)
        cause = f"numbers of {limit:,.0f} and more in a column of the type {column.type}"
        reason = f"{field} is a number that the type {column.type} rounds"
    else:
        text, damaged = _restore_text(ids, mapping.decimal, exact=column.type is not None)
        cause = "in scientific notation, or decimals of 16 digits and more"
        reason = f"{field} is a number whose last digits were rounded away"
    dates = match_pattern(text, _DATE) if column.type is None else np.zeros(len(ids), dtype=bool)
    errors = match_pattern(text, _ERROR)
    by_row = [np.append(rows, False)[of_row] for rows in (damaged, dates, errors)]
    _require_undamaged(column, by_row[0], field, cause)
    _require_undamaged(column, by_row[1], field, "dates that a spreadsheet made of other ids")
    text = apply_id_form(text, mapping.customer_id_form)
    text = pc.if_else(pa.array(damaged | dates | errors), pa.scalar(None, pa.string()), text)
    reasons = (
        reason,
        f"{field} is a date that a spreadsheet made",
        f"{field} is an error value of a spreadsheet",
    )
    issues = tuple(RowIssue(text, rows) for text, rows in zip(reasons, by_row, strict=True) if rows.any())
    values = as_text(text.take(encoded.indices))
    notes = [describe_issue(column, issue) for issue in issues]
    return ParsedColumn(values, issues, (*notes, *_describe_changes(column, ids, text)))


def _describe_changes(column: TextColumn, ids: pa.StringArray, text: pa.StringArray) -> list[str]:
    notes = []
    grouped = match_pattern(ids, _GROUPED) & ~match_pattern(text, _GROUPED)
    if grouped.any():
        example = int(np.flatnonzero(grouped)[0])
        notes.append(
            f"Column {column.name!r}: {grouped.sum():,} customer ids were read without their separators of thousands, "
            f"such as {ids[example].as_py()!r} as {text[example].as_py()!r}."
        )
    long, rounded = match_pattern(text, "^[0-9]{16,}$"), match_pattern(text, "^[0-9]{15}0+$")
    digits = pc.utf8_length(text).to_numpy(zero_copy_only=False)[rounded].sum() - 15 * rounded.sum()
    if digits >= _FEWEST_ROUNDED and rounded.sum() > 1 and (long == rounded).all():
        example = int(np.flatnonzero(rounded)[0])
        notes.append(
            f"Column {column.name!r}: each of the {rounded.sum():,} customer ids with 16 digits or more ends in 0, "
            f"such as {text[example].as_py()!r}. A spreadsheet stores 15 digits: if one wrote the file, the last "
            "digits are lost, and one id stands for several customers. Export the ids as text."
        )
    return notes


def _require_undamaged(column: TextColumn, damaged: np.ndarray, field: str, cause: str) -> None:
    present = int((~column.missing).sum())
    if damaged.any() and damaged.sum() >= _DAMAGED_SHARE * present:
        raise IngestError(
            f"Column {column.name!r} ({field}) has damaged ids: {damaged.sum():,} of {present:,} are {cause}, which "
            f"make one id of several customers: {column.describe_values(damaged)}. Export the ids as text (in a "
            "spreadsheet, give the column the format Text before the data is entered), or set "
            f"`columns.{field}` to another column."
        )


def _restore_floats(text: pa.StringArray, limit: float) -> tuple[pa.StringArray, np.ndarray]:
    """Write whole floats below a limit as integers; mark those beyond, which stand for several integers."""
    numbers = pc.fill_null(pc.cast(text, pa.float64()), 0.0).to_numpy(zero_copy_only=False)
    beyond = (np.abs(numbers) >= limit) & ~pc.is_null(text).to_numpy(zero_copy_only=False)
    whole = (numbers == np.trunc(numbers)) & ~beyond
    integers = pc.cast(pa.array(np.where(whole, numbers, 0).astype(np.int64)), pa.string())
    restored = pc.if_else(pc.and_(pa.array(whole), pc.is_valid(text)), integers, text)
    return restored, beyond


def _restore_text(text: pa.StringArray, decimal: str, exact: bool) -> tuple[pa.StringArray, np.ndarray]:
    """Remove guards and ``.0``, restore scientific notation with all digits; mark the ids that lost digits."""
    damaged = np.zeros(len(text), dtype=bool)
    if match_pattern(text, _GUARDED).any():
        text = pc.utf8_trim_whitespace(pc.replace_substring_regex(text, _GUARDED, r"\1\2"))
        text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    # 13,000 with a decimal point is 13000, and 13085,0 is no group of three.
    zeros = r"(?:\.0*|,0{1,2})" if decimal == "." else r"(?:,0*|\.0{1,2})"
    whole = match_pattern(text, rf"^-?[0-9]+{zeros}$")
    # Where other ids have a fraction other than 0, as 4711.1, an id such as 4711.0 is no number.
    if whole.any() and not match_pattern(text, r"^-?[0-9]+[.,][0-9]*[1-9][0-9]*$").any():
        if not exact:
            damaged |= match_pattern(text, rf"^-?[0-9]{{16,}}{zeros}$") & (_magnitudes(text, whole) >= _EXACT_FLOAT64)
        text = pc.replace_substring_regex(text, rf"^(-?[0-9]+){zeros}$", r"\1")
    text = _remove_separators(text)
    scientific = match_pattern(text, _SCIENTIFIC)
    if scientific.any() and not exact:
        encoded = pc.dictionary_encode(text.filter(pa.array(scientific)))
        restored = [_restore_scientific(value) for value in encoded.dictionary.to_pylist()]
        found = pa.array(restored, pa.string()).take(encoded.indices)
        text = pc.replace_with_mask(text, pa.array(scientific), found)
        damaged[scientific] = pc.is_null(found).to_numpy(zero_copy_only=False)
    return text, damaged


def _remove_separators(text: pa.StringArray) -> pa.StringArray:
    """Remove the separators of thousands of ids such as 13,085 where every such id groups its digits in threes."""
    for mark in _SEPARATORS:
        numbers = match_pattern(text, rf"^[0-9]+(?:{mark}[0-9]+)+$")
        if numbers.any() and (numbers == match_pattern(text, rf"^[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+$")).all():
            text = pc.if_else(pa.array(numbers), pc.replace_substring_regex(text, mark, ""), text)
    return text


def _magnitudes(text: pa.StringArray, rows: np.ndarray) -> np.ndarray:
    selected = pc.if_else(pa.array(rows), pc.replace_substring(text, ",", "."), "0")
    return np.asarray(np.abs(pc.cast(selected, pa.float64()).to_numpy(zero_copy_only=False)))


def _restore_scientific(text: str) -> str | None:
    """Return the integer if all of its digits are written, below 2**53; else None."""
    mantissa, _, exponent = text.lower().replace(",", ".").partition("e")
    whole, _, fraction = mantissa.partition(".")
    places = int(exponent)
    if not 0 <= places <= 15 or len(fraction) < places or fraction[places:].strip("0"):
        return None
    digits = whole.removeprefix("+") + fraction[:places]
    return digits if abs(int(digits)) < _EXACT_FLOAT64 else None
