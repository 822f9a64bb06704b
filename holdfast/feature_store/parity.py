"""The proof that serving sees what training sees: online values equal point-in-time values, bit for bit."""

from collections.abc import Iterable, Iterator
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
from feature_repo.source_hash import transformations_version
from feature_repo.timestamps import epoch_us
from holdfast.core.atomic_files import replace_file
from holdfast.core.errors import HoldfastError
from holdfast.core.types import Bools
from holdfast.feature_store.historical_features import read_features_at
from holdfast.models.contract import Feature, model_inputs
from holdfast.models.fingerprint import fingerprint

_ARROW_TYPES = {"Int64": pa.int64(), "Float64": pa.float64(), "String": pa.string(), "Bool": pa.bool_()}

_PYTHON_TYPES: dict[str, type] = {"Int64": int, "Float64": float, "String": str, "Bool": bool}


@dataclass(frozen=True)
class Mismatch:
    """One value that differs; None stands for null."""

    customer_id: str
    feature: str
    online: Any
    offline: Any

    def __str__(self) -> str:
        return f"customer {self.customer_id}, {self.feature}: online {self.online!r}, offline {self.offline!r}"


@dataclass(frozen=True)
class ParityReport:
    """The outcome over all customers and all features of the feature service."""

    as_of: datetime
    customers: int
    features: int
    values_compared: int
    mismatches: int
    examples: list[Mismatch]


class ParityError(HoldfastError):
    """Training and serving would see different values."""


def check_parity(
    online: FeatureStore, offline: FeatureStore, customer_ids: list[str], as_of: datetime, chunk: int = 2000
) -> ParityReport:
    """Compare every feature of every customer at ``as_of``.

    ``offline`` is a store opened at the ``known_at`` of the materialised snapshot. Values are equal when both
    are null or their bits are the same: 0.0 and -0.0 differ, and so do null and NaN.
    """
    features = model_inputs(online)
    service = online.get_feature_service(FEATURE_SERVICE)
    as_of_us = epoch_us(as_of)
    expected = read_features_at(offline, customer_ids, as_of)
    compared = mismatches = 0
    examples: list[Mismatch] = []
    for start, ids in _chunks(customer_ids, chunk):
        response = online.get_online_features(
            features=service, entity_rows=[{ENTITY_KEY: id_, REQUEST_TIME: as_of_us} for id_ in ids]
        ).to_dict()
        for feature in features:
            values = response[feature.name]
            wanted = expected[feature.name].slice(start, len(ids))
            found = to_arrow(values, feature)
            different = np.flatnonzero(compare_bits(found, wanted) | has_wrong_type(values, feature))
            compared += len(ids)
            mismatches += len(different)
            examples += [
                Mismatch(ids[i], f"{feature.view}:{feature.name}", values[i], wanted[i].as_py())
                for i in different[: max(0, 20 - len(examples))]
            ]
    return ParityReport(as_of, len(customer_ids), len(features), compared, mismatches, examples)


def require_parity(report: ParityReport) -> None:
    """Raise when a value differs.

    Raises:
        ParityError: Names the first customers, features and both values.
    """
    if report.mismatches:
        listed = "\n".join(f"  {example}" for example in report.examples)
        raise ParityError(
            f"{report.mismatches} of {report.values_compared} values differ between the online store and the "
            f"point-in-time values at {report.as_of:%Y-%m-%d %H:%M} UTC. The first {len(report.examples)}:\n{listed}"
        )


def to_arrow(values: list[Any], feature: Feature) -> pa.Array:
    """Values as Arrow sees them; nothing but nulls has the type that the feature declares."""
    array = pa.array(values)
    wanted = _ARROW_TYPES[feature.dtype]
    return array.cast(wanted) if array.type == pa.null() else array


def has_wrong_type(values: list[Any], feature: Feature) -> Bools:
    """True where a value is of another Python type than the feature's: Arrow would read 0 among floats as 0.0."""
    wanted = _PYTHON_TYPES[feature.dtype]
    return np.array([value is not None and type(value) is not wanted for value in values], dtype=bool)


def compare_bits(left: pa.Array, right: pa.Array) -> np.ndarray:
    """Boolean array, True where the two differ in type, nullness or bits."""
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
    """What the last comparison found, of data known at ``known_at``, under which definitions of the inputs."""

    model_config = ConfigDict(frozen=True)

    as_of: datetime
    known_at: datetime
    transformations: str
    definitions: dict[str, str]
    values_compared: int
    mismatches: int


def input_definitions(store: FeatureStore, settings: Settings) -> dict[str, str]:
    """The fingerprint of the model's inputs as Feast's registry holds them; that of the label is left out."""
    return without_label(fingerprint(store, settings.horizon_days, settings.activity_days))


def without_label(parts: dict[str, str]) -> dict[str, str]:
    """The parts of a fingerprint that say what the inputs are."""
    return {part: value for part, value in parts.items() if part != "labels"}


class MissingParityError(HoldfastError):
    """The online store has not been compared since it was last written to."""


def save_parity(settings: Settings, report: ParityReport, known_at: datetime, definitions: dict[str, str]) -> None:
    """Keep the outcome, good or bad; the caller holds the features lock."""
    record = ParityRecord(
        as_of=report.as_of,
        known_at=known_at,
        transformations=transformations_version(),
        definitions=definitions,
        values_compared=report.values_compared,
        mismatches=report.mismatches,
    )
    with replace_file(_record_path(settings)) as temporary:
        temporary.write_text(record.model_dump_json(indent=2))


def delete_parity(settings: Settings) -> None:
    """The online store is about to change: what was found before says nothing any more."""
    _record_path(settings).unlink(missing_ok=True)


def load_parity(settings: Settings) -> ParityRecord:
    """The last outcome.

    Raises:
        NoParityError: There is none, or it cannot be read.
    """
    path = _record_path(settings)
    try:
        return ParityRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise MissingParityError(
            f"There is no parity report of the online store ({path}). `python -m flows.features` makes one."
        ) from error


def _record_path(settings: Settings) -> Path:
    return settings.feast / "parity.json"


def _chunks(ids: list[str], size: int) -> Iterator[tuple[int, list[str]]]:
    starts: Iterable[int] = range(0, len(ids), size)
    return ((start, ids[start : start + size]) for start in starts)
