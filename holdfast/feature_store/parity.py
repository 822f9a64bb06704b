"""Parity of training and serving: online values equal point-in-time values, bit for bit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from feast import FeatureStore
from pydantic import BaseModel, ConfigDict, ValidationError

from feature_repo.names import ENTITY_KEY, FEATURE_SERVICE, REQUEST_TIME
from feature_repo.settings import Settings
from feature_repo.timestamps import epoch_us
from holdfast.core.atomic_files import replace_file
from holdfast.core.errors import HoldfastError
from holdfast.core.formatting import format_count
from holdfast.core.types import Bools
from holdfast.feast_stores.open_store import version_folder
from holdfast.feature_store.bit_comparison import find_different_bits
from holdfast.feature_store.historical_features import read_features_at
from holdfast.feature_store.store_outages import explain_outage
from holdfast.models.contract import Feature
from holdfast.online_features.reader import OnlineReader
from holdfast.online_features.value_decoder import Fault

_SAMPLE = 200  # customers at most that are read through Feast, which takes ten times as long


@dataclass(frozen=True)
class Mismatch:
    """Value that differs between the stores; None stands for null."""

    customer_id: str
    feature: str
    online: Any
    offline: Any

    def __str__(self) -> str:
        return f"customer {self.customer_id}, {self.feature}: online {self.online!r}, offline {self.offline!r}"


@dataclass(frozen=True)
class ParityReport:
    """Result of a comparison of all customers and all features of the feature service.

    Attributes:
        mismatches: Number of values that differ.
        examples: The first 20 mismatches.
    """

    as_of: datetime
    customers: int
    features: int
    values_compared: int
    mismatches: int
    examples: list[Mismatch]


class ParityError(HoldfastError):
    """Values of training and serving differ."""


@explain_outage()
def check_parity(
    online: FeatureStore, offline: FeatureStore, customer_ids: list[str], as_of: datetime, chunk: int = 2000
) -> ParityReport:
    """Compare every feature of every customer at ``as_of``.

    Values are equal when both are null or their bits are the same: 0.0 and -0.0 differ, and so do null and NaN. All
    customers are read as the service reads them, and a sample, and customers whose values differ, with Feast's
    ``get_online_features`` too.

    Args:
        online: Feast store of the online store.
        offline: Feast store opened at the ``known_at`` of the materialized snapshot.
        customer_ids: Customers to compare.
        as_of: Time of the materialized snapshot.
        chunk: Customers per request to the online store.

    Returns:
        Counts, and the first mismatches.
    """
    reader = OnlineReader(online, FEATURE_SERVICE)
    features = reader.inputs
    expected = read_features_at(offline, customer_ids, as_of)
    sample = set(range(0, len(customer_ids), -(-len(customer_ids) // _SAMPLE) or 1))
    mismatches = 0
    examples: list[Mismatch] = []
    for start in range(0, len(customer_ids), chunk):
        ids = customer_ids[start : start + chunk]
        point_in_time = [expected[feature.name].slice(start, len(ids)) for feature in features]
        values, faults = reader.read_values(ids, epoch_us(as_of))
        different = _find_differences(values, point_in_time, features) | (faults == Fault.WRONG_TYPE)
        missing = 20 - len(examples)
        differing = np.flatnonzero(different.any(axis=1))[:missing].tolist()
        rows = sorted({row for row in range(len(ids)) if start + row in sample} | set(differing))
        stock = _read_through_feast(online, [ids[row] for row in rows], as_of, features) if rows else []
        stock_different = _find_differences(stock, [column.take(rows) for column in point_in_time], features)
        different[rows] |= stock_different
        mismatches += int(different.sum())
        for row, column in np.argwhere(different)[:missing].tolist():
            position = rows.index(row)
            source = stock[column][position] if stock_different[position, column] else values[column][row]
            name = f"{features[column].view}:{features[column].name}"
            examples.append(Mismatch(ids[row], name, source, point_in_time[column][row].as_py()))
    compared = len(customer_ids) * len(features)
    return ParityReport(as_of, len(customer_ids), len(features), compared, mismatches, examples)


def require_parity(report: ParityReport) -> None:
    """Check that no value differs.

    Args:
        report: Result of the comparison.

    Raises:
        ParityError: Values differ; the message lists the first mismatches.
    """
    if report.mismatches:
        listed = "\n".join(f"  {example}" for example in report.examples)
        raise ParityError(
            f"The online store differs from the point-in-time values at {report.as_of:%Y-%m-%d %H:%M} UTC in "
            f"{report.mismatches:,} of {format_count(report.values_compared, 'value')}. The first "
            f"{len(report.examples)}:\n{listed}"
        )


def _read_through_feast(
    online: FeatureStore, customer_ids: list[str], as_of: datetime, features: Sequence[Feature]
) -> list[list[Any]]:
    """Read a column per feature with ``get_online_features``."""
    rows = [{ENTITY_KEY: customer_id, REQUEST_TIME: epoch_us(as_of)} for customer_id in customer_ids]
    service = online.get_feature_service(FEATURE_SERVICE)
    response = online.get_online_features(features=service, entity_rows=rows).to_dict()
    return [response[feature.name] for feature in features]


def _find_differences(
    values: Sequence[Sequence[Any]], expected: Sequence[pa.Array], features: Sequence[Feature]
) -> Bools:
    """Compare columns; return a row per customer and a column per feature."""
    columns = zip(values, expected, features, strict=True)
    return np.column_stack([find_different_bits(*column[:2], column[2].dtype) for column in columns])


class ParityRecord(BaseModel):
    """Record of the last comparison of a version of the definitions (``parity.json``).

    Attributes:
        known_at: Time at which the compared data was known.
        definitions: Fingerprint of the model inputs.
    """

    model_config = ConfigDict(frozen=True)

    as_of: datetime
    known_at: datetime
    definitions: dict[str, str]
    values_compared: int
    mismatches: int


class MissingParityError(HoldfastError):
    """The online values were not compared since the last write."""


def save_parity(
    settings: Settings, version: str, report: ParityReport, known_at: datetime, definitions: dict[str, str]
) -> None:
    """Save the result of a comparison. The caller holds the features lock.

    Args:
        settings: Settings with the data folder.
        version: Id of the version of the definitions.
        report: Result of the comparison.
        known_at: Time at which the compared data was known.
        definitions: Fingerprint of the model inputs.
    """
    record = ParityRecord(
        as_of=report.as_of,
        known_at=known_at,
        definitions=definitions,
        values_compared=report.values_compared,
        mismatches=report.mismatches,
    )
    with replace_file(_record_path(settings, version)) as temporary:
        temporary.write_text(record.model_dump_json(indent=2))


def delete_parity(settings: Settings, version: str) -> None:
    """Delete the record of the last comparison, before the online values change.

    Args:
        settings: Settings with the data folder.
        version: Id of the version of the definitions.
    """
    _record_path(settings, version).unlink(missing_ok=True)


def load_parity(settings: Settings, version: str) -> ParityRecord:
    """Load the record of the last comparison.

    Args:
        settings: Settings with the data folder.
        version: Id of the version of the definitions.

    Returns:
        Record of the comparison.

    Raises:
        MissingParityError: There is no record, or the record cannot be read.
    """
    path = _record_path(settings, version)
    try:
        return ParityRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise MissingParityError(
            f"There is no parity report of version {version} of the feature definitions ({path}). Run "
            "`python -m flows.features` to create one."
        ) from error


def _record_path(settings: Settings, version: str) -> Path:
    return settings.data / version_folder(version) / "parity.json"
