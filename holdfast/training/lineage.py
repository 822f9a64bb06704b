"""What a model was made from: enough to trace it, and to make it again."""

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
from holdfast.ingestion.batches import list_batches
from holdfast.training.numeric_environment import current_numeric_environment
from holdfast.training.settings import TrainingSettings

_MODEL_MODULES = ("calibrated_classifier", "contract", "fingerprint")  # of holdfast.models; the rest only serves
_NOT_IN_KEY = ("git_commit", "known_at", "arithmetic")
Utc = Annotated[datetime, AfterValidator(as_utc)]  # else what is read back has a zone, and so a key, of its own
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Lineage:
    """The inputs of a training run.

    ``key`` is the same when training would give the same model, unless the search's time runs out on a slow machine.
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
    """The processor code that computed it: another one differs in the last bits. Runs before it was kept have none."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The settings, nested ones as ``search.trials``, and the two numbers of the label."""
        return _flat(self.settings) | {"horizon_days": self.horizon_days, "activity_days": self.activity_days}

    @property
    def key(self) -> str:
        """SHA-256 over what decides which model comes out.

        The commit changes with files that do not matter here, the arithmetic with the machine.
        """
        parts = {name: value for name, value in asdict(self).items() if name not in _NOT_IN_KEY}
        return sha256(repr(sorted(parts.items(), key=lambda item: item[0])))


LINEAGE = TypeAdapter(Lineage)


def build_lineage(
    settings: Settings, training: TrainingSettings, fingerprint: dict[str, str], as_of: datetime, known_at: datetime
) -> Lineage:
    """The lineage of a training run of this checkout."""
    files = [
        *sorted((ROOT / "holdfast" / "training").glob("*.py")),
        ROOT / "flows" / "train.py",
        *(ROOT / "holdfast" / "models" / f"{name}.py" for name in _MODEL_MODULES),
    ]
    code = "\n".join(strip_formatting(path.read_text()) for path in files)
    return Lineage(
        as_of=as_of,
        known_at=known_at,
        batches=[
            b.batch_id
            for b in list_batches(settings)
            if b.ingested_at <= known_at and b.first_event is not None and b.first_event < as_of
        ],
        fingerprint=fingerprint,
        settings=training.model_dump(),
        horizon_days=settings.horizon_days,
        activity_days=settings.activity_days,
        training_code=sha256(code),
        lock=sha256((ROOT / "requirements.lock").read_text()),
        python=platform.python_version(),
        git_commit=read_git_commit(),
        arithmetic=asdict(current_numeric_environment()),
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def read_git_commit() -> str:
    """The commit of the checkout, marked when files differ from it; "unknown" outside a checkout."""
    try:
        commit = _git("rev-parse", "HEAD")
        return f"{commit} with local changes" if _git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()  # fmt: skip
