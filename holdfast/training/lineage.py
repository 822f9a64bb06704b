"""Lineage of a training run: the inputs that are needed to trace and to reproduce a model."""

import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, TypeAdapter

from feature_repo.settings import Settings
from feature_repo.source_hash import sha256, strip_formatting
from feature_repo.timestamps import as_utc
from holdfast.ingestion.batches import list_batches, select_used
from holdfast.models.declaration import CHURN, load_declaration
from holdfast.models.label import LabelName, LabelTerms
from holdfast.training.numeric_environment import (
    NUMERIC_ENVIRONMENT,
    NumericEnvironment,
    current_numeric_environment,
)
from holdfast.training.settings import TrainingSettings

# Modules of holdfast.models that decide a model; the others only serve it.
_MODEL_MODULES = (
    "additive_terms",
    "calibrated_classifier",
    "categories",
    "category_columns",
    "contract",
    "fingerprint",
    "label",
    "purchase_models",
)
_NOT_IN_KEY = ("git_commit", "known_at", "arithmetic")
Utc = Annotated[datetime, AfterValidator(as_utc)]  # a stored time in another zone would change the training key
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Lineage:
    """Inputs of a training run.

    Attributes:
        model: Name of the model's declaration.
        batches: Ids of the batches that were used.
        fingerprint: Part of the feature and label definitions to its digest.
        settings: Training settings.
        training_code: Digest of the code that decides the model, without comments and formatting.
        lock: Digest of ``requirements.lock``.
        arithmetic: Numeric environment; computations of another one differ in the last bits. None for runs before it
            was recorded.
    """

    as_of: Utc
    known_at: Utc
    batches: list[str]
    fingerprint: dict[str, str]
    settings: dict[str, Any]
    horizon_days: int
    activity_days: int
    training_code: str
    lock: str
    python: str
    git_commit: str
    arithmetic: dict[str, Any] | None = None
    label: LabelName = "no_purchase"
    grace_days: int = 0
    model: str = CHURN

    @property
    def terms(self) -> LabelTerms:
        """Return the terms of the label."""
        return LabelTerms(self.label, self.horizon_days, self.activity_days, self.grace_days)

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the settings, nested ones as ``search.trials``, with those of the label."""
        of_label = {"horizon_days": self.horizon_days, "activity_days": self.activity_days}
        if self.terms.has_subscriptions:
            of_label = {"horizon_days": self.horizon_days, "grace_days": self.grace_days}
        return _flatten(self.settings) | {"label": self.label} | of_label

    @property
    def numeric_environment(self) -> NumericEnvironment | None:
        """Return the numeric environment of the training; None if it was not recorded."""
        return NUMERIC_ENVIRONMENT.validate_python(self.arithmetic) if self.arithmetic else None

    @property
    def key(self) -> str:
        """Return the training key: a SHA-256 over the inputs that decide the model.

        The key is the same when training would give the same model, unless the search runs out of time on a slow
        machine. It excludes the commit, which changes with unrelated files, and the numeric environment of the machine.
        """
        parts = {name: value for name, value in asdict(self).items() if name not in _NOT_IN_KEY}
        return sha256(repr(sorted(parts.items(), key=lambda item: item[0])))


LINEAGE = TypeAdapter(Lineage)


def build_lineage(
    settings: Settings,
    training: TrainingSettings,
    fingerprint: dict[str, str],
    as_of: datetime,
    known_at: datetime,
    model: str = CHURN,
) -> Lineage:
    """Build the lineage of a training run of this checkout.

    Args:
        settings: Settings with the data folder and the label.
        training: Training settings.
        fingerprint: Fingerprint of the definitions.
        as_of: Time of the training.
        known_at: Latest arrival of the data.
        model: Name of the model's declaration.

    Returns:
        Lineage.
    """
    declaration = load_declaration(model)
    is_regression = declaration.kind == "regression"
    modules = _MODEL_MODULES + (("spend_models",) if is_regression else ())
    files = [
        *sorted((ROOT / "holdfast" / "training").glob("*.py")),
        *(sorted((ROOT / "holdfast" / "training" / "regression").glob("*.py")) if is_regression else []),
        ROOT / "flows" / "train.py",
        ROOT / "flows" / "_training.py",
        *(ROOT / "holdfast" / "models" / f"{name}.py" for name in modules),
    ]
    terms = LabelTerms.of(settings, declaration.label)
    code = "\n".join(strip_formatting(path.read_text()) for path in files)
    return Lineage(
        as_of=as_of,
        known_at=known_at,
        batches=[batch.batch_id for batch in select_used(list_batches(settings), as_of, known_at)],
        fingerprint=fingerprint,
        settings=training.model_dump(),
        label=terms.name,
        horizon_days=terms.horizon_days,
        activity_days=terms.activity_days,
        grace_days=terms.grace_days,
        training_code=sha256(code),
        lock=sha256((ROOT / "requirements.lock").read_text()),
        python=platform.python_version(),
        git_commit=read_git_commit(),
        arithmetic=asdict(current_numeric_environment()),
        model=model,
    )


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def read_git_commit() -> str:
    """Read the commit of the checkout.

    Returns:
        Commit, marked when tracked files have local changes; "unknown" outside a checkout.
    """
    try:
        commit = _git("rev-parse", "HEAD")
        return f"{commit} with local changes" if _git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()  # fmt: skip
