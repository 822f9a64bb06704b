"""Context of a gate verdict, and the key of its evidence."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from feature_repo.settings import Settings
from feature_repo.source_hash import sha256, strip_formatting
from holdfast.core.definition_hashes import definitions_version, feature_fingerprint
from holdfast.feature_store.definition_versions import open_version
from holdfast.feature_store.parity import ParityRecord, load_parity
from holdfast.model_versions.aliases import get_champion_version
from holdfast.model_versions.candidate import ModelCandidate
from holdfast.model_versions.champion_history import RolloutBreach, find_last_breach
from holdfast.model_versions.evidence import Unavailable, compute_or_unavailable
from holdfast.model_versions.gate_settings import GateThresholds
from holdfast.model_versions.records import GatesRecord, RollbackRecord
from holdfast.training.mlflow_client import ModelClient

_LIBRARY = Path(__file__).resolve().parents[1]
_EVALUATION_CODE = [
    "promotion/*.py",
    "model_versions/*.py",
    "training/bootstrap.py",
    "training/dataset.py",
    "training/label_query.py",
    "training/metrics.py",
    "training/regression/scores.py",
]


@dataclass(frozen=True)
class EvaluationContext:
    """Everything besides the version that a gate verdict depends on.

    Attributes:
        champion: Champion to compare with, None without one.
        definitions: Fingerprint of the version of the feature definitions that the model was trained on, as registered.
        parity: Last parity report of that version.
        rollback: Rollback of the version, None without one.
        breach: Breach of the version in a rollout, None without one.
    """

    champion: str | None
    definitions: dict[str, str] | Unavailable
    parity: ParityRecord | Unavailable
    rollback: RollbackRecord | None
    breach: RolloutBreach | None = None

    def ignore_breach(self) -> "EvaluationContext":
        """Ignore a breach, for a version that a person names to be evaluated again.

        Returns:
            The context in which a breach fails no gate.
        """
        return replace(self, breach=replace(self.breach, is_in_force=False)) if self.breach else self

    def key(self, version: str, settings: GateThresholds) -> str:
        """Compute the key of the evidence: the same key gives the same verdict.

        Args:
            version: Version to evaluate.
            settings: Gate settings.

        Returns:
            SHA-256, hexadecimal.
        """
        parity = self.parity
        parts = [
            version,
            self.champion,
            repr(self.definitions),
            parity.reason
            if isinstance(parity, Unavailable)
            else [sorted(parity.definitions.items()), parity.mismatches],
            self.rollback.model_dump_json() if self.rollback else None,
            self.breach.record.model_dump_json() if self.breach else None,
            settings.model_dump_json(),
            _code(),
        ]
        return sha256(json.dumps(parts))


def load_evaluation_context(client: ModelClient, settings: Settings, version: str) -> EvaluationContext:
    """Load the context of a version; the caller holds the features lock.

    The champion is compared with the champion before it, as at its promotion.

    Args:
        client: MLflow client.
        settings: Settings with the data folder.
        version: Version to evaluate.

    Returns:
        The context.
    """

    def definitions() -> str:
        return definitions_version(ModelCandidate(client, version).definitions)

    champion = get_champion_version(client)
    if champion == version:
        record = GatesRecord.load(client, version)
        champion = record.champion if record else None
    return EvaluationContext(
        champion,
        compute_or_unavailable(lambda: feature_fingerprint(open_version(settings, definitions()))),
        compute_or_unavailable(lambda: load_parity(settings, definitions())),
        RollbackRecord.load(client, version),
        find_last_breach(client, version),
    )


def _code() -> str:
    files = [path for pattern in _EVALUATION_CODE for path in sorted(_LIBRARY.glob(pattern))]
    return sha256("\n".join(strip_formatting(path.read_text()) for path in files))
