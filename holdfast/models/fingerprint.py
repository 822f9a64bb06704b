"""Fingerprint of feature and label definitions: one hash per part."""

from typing import TYPE_CHECKING

from feature_repo.source_hash import sha256
from holdfast.core.definition_hashes import (
    feature_fingerprint,
)
from holdfast.models.label import LabelDefinition

if TYPE_CHECKING:
    from feast import FeatureStore


def fingerprint(store: "FeatureStore", label: LabelDefinition) -> dict[str, str]:
    """Compute the SHA-256 of each part of the definitions of the model's inputs and label.

    Args:
        store: The feature store.
        label: Label of the model.

    Returns:
        Part to SHA-256: those of :func:`feature_fingerprint`, and ``labels``, from its SQL.
    """
    return feature_fingerprint(store) | {"labels": sha256(label.sql)}


def differing_parts(expected: dict[str, str], actual: dict[str, str]) -> list[str]:
    """List the parts in which two fingerprints differ.

    Args:
        expected: One fingerprint.
        actual: The other fingerprint.

    Returns:
        Names of the parts, sorted.
    """
    return sorted(part for part in expected.keys() | actual.keys() if expected.get(part) != actual.get(part))
