"""Comparison of a version's feature definitions with the applied definitions of this checkout."""

from mlflow import MlflowClient

from feature_repo.settings import Settings
from holdfast.model_versions.aliases import get_contract
from holdfast.model_versions.evidence import Unavailable, compute_or_unavailable


def matches_current_definitions(client: MlflowClient, settings: Settings, version: str) -> bool:
    """Check if checkout, Feast's registry and a version have equal definitions.

    Args:
        client: MLflow's client.
        settings: Settings of the feature store.
        version: Version number.

    Returns:
        True if they are equal; False if they differ or cannot be compared.
    """
    from holdfast.monitoring.skew.recompute import checkout_definitions  # with Feast: seconds, for the few who ask

    def fits() -> bool:
        fingerprint = get_contract(client, version).fingerprint
        with checkout_definitions(settings) as by:
            return not by.changed_since(fingerprint)

    found = compute_or_unavailable(fits)
    return not isinstance(found, Unavailable) and found
