"""Parity of training and serving: online values equal point-in-time values, bit for bit."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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
from holdfast.feature_store.historical_features import ARROW_TYPES, read_features_at
from holdfast.feature_store.store_outages import explain_outage
from holdfast.models.contract import Feature, model_inputs

_PYTHON_TYPES: dict[str, type] = {"Int64": int, "Float64": float, "String": str, "Bool": bool}


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

    Values are equal when both are null or their bits are the same: 0.0 and -0.0 differ, and so do null and NaN.

    Args:
        online: Feast store of the online store.
        offline: Feast store opened at the ``known_at`` of the materialized snapshot.
        customer_ids: Customers to compare.
        as_of: Time of the materialized snapshot.
        chunk: Customers per request to the online store.

    Returns:
        Counts, and the first mismatches.
    """
    features = model_inputs(online)
    service = online.get_feature_service(FEATURE_SERVICE)
    as_of_us = epoch_us(as_of)
    expected = read_features_at(offline, customer_ids, as_of)
    compared = mismatches = 0
    examples: list[Mismatch] = []
    for start in range(0, len(customer_ids), chunk):
        ids = customer_ids[start : start + chunk]
        response = online.get_online_features(
            features=service, entity_rows=[{ENTITY_KEY: id_, REQUEST_TIME: as_of_us} for id_ in ids]
        ).to_dict()
        for feature in features:
            values = response[feature.name]
            point_in_time = expected[feature.name].slice(start, len(ids))
            different = np.flatnonzero(
                _compare_bits(_to_arrow(values, feature), point_in_time) | _has_wrong_type(values, feature)
            )
            compared += len(ids)
            mismatches += len(different)
            examples += [
                Mismatch(ids[i], f"{feature.view}:{feature.name}", values[i], point_in_time[i].as_py())
                for i in different[: max(0, 20 - len(examples))]
            ]
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


def _to_arrow(values: list[Any], feature: Feature) -> pa.Array:
    """Convert values to an Arrow array of the type that their Python types imply."""
    array = pa.array(values)
    return array.cast(ARROW_TYPES[feature.dtype]) if array.type == pa.null() else array


def _has_wrong_type(values: list[Any], feature: Feature) -> Bools:
    """Find values of another Python type than the feature's: Arrow would convert 0 among floats to 0.0."""
    expected = _PYTHON_TYPES[feature.dtype]
    return np.array([value is not None and type(value) is not expected for value in values], dtype=bool)


def _compare_bits(left: pa.Array, right: pa.Array) -> np.ndarray:
    """Compare two arrays in type, nullness and bits."""
    if left.type != right.type:
        return np.ones(len(left), dtype=bool)
    nulls = np.asarray(left.is_null()) != np.asarray(right.is_null())
    return nulls | (_bits(left) != _bits(right))


def _bits(array: pa.Array) -> np.ndarray:
    if pa.types.is_floating(array.type):
        return pc.fill_null(array, 0.0).to_numpy(zero_copy_only=False).view(np.int64)
    default = "" if pa.types.is_string(array.type) else 0
    return pc.fill_null(array, pa.scalar(default).cast(array.type)).to_numpy(zero_copy_only=False)


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
