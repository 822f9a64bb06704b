"""Commands to copy: interpreter, folders and settings of this run included."""

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from feature_repo.settings import Settings
from feature_repo.timestamps import as_utc
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.training.settings import TrainingSettings

_ROOT = Path(__file__).resolve().parents[2]
Serve = Literal["model", "base-rate"]
Option = str | bool | list[str] | None
_FIELDS = ("clock", "label", "horizon_days", "activity_days", "grace_days")


def format_command(settings: Settings, module: str, options: Mapping[str, Option] | None = None) -> str:
    """Format a command that works in any shell and folder; an option replaces the variable of its name.

    Args:
        settings: Settings with the data folder.
        module: Module of the command, such as ``flows.gates``.
        options: Option, without the hyphens, to its value; True for a switch; a list repeats the option; options
            without a value are left out.

    Returns:
        The command in one line.
    """
    variables = {"HOLDFAST_DATA": str(settings.data)}
    names = [Settings.variable(name) for name in _FIELDS if name.replace("_", "-") not in (options or {})]
    variables |= {name: os.environ[name] for name in names if name in os.environ}
    arguments = []
    for name, value in (options or {}).items():
        for item in (value if isinstance(value, list) else [value]) if value else []:
            arguments += [f"--{name}", *([item] if isinstance(item, str) else [])]
    assigned = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    command = shlex.join([sys.executable, "-m", module, *arguments])
    return f"cd {shlex.quote(str(_ROOT))} && {assigned} {command}"


@dataclass(frozen=True)
class JobOptions:
    """Options of the main job, from which commands to go on are formed.

    Attributes:
        data: Options that name the data: sources and mappings, or a data set, the time, and what to serve.
        training: Training settings other than the defaults.
        thresholds: Gate thresholds other than the defaults.
    """

    data: Mapping[str, Option]
    training: Mapping[str, Any]
    thresholds: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        pairs: Sequence[tuple[str, str]],
        dataset: str,
        as_of: datetime | None,
        training: TrainingSettings,
        thresholds: GateSettings,
        serve: Serve = "model",
    ) -> Self:
        """Collect the options of a run, with absolute paths.

        Args:
            pairs: Source and mapping of each ingest.
            dataset: Known data set, where there is no source.
            as_of: Time of the run, if it was given.
            training: Training settings.
            thresholds: Gate thresholds.
            serve: What the run serves.

        Returns:
            The options.
        """
        sources, mappings = ([str(Path(pair[side]).expanduser().resolve()) for pair in pairs] for side in (0, 1))
        data: dict[str, Option] = {
            **({"source": sources, "mapping": mappings} if pairs else {"dataset": dataset}),
            "as-of": f"{as_utc(as_of):%Y-%m-%dT%H:%M:%S}" if as_of else None,
            "serve": None if serve == "model" else serve,
        }
        return cls(data, training.model_dump(mode="json", exclude_defaults=True), thresholds.non_defaults())

    def command(self, settings: Settings, thresholds: Mapping[str, Any] | None = None, **options: str) -> str:
        """Format the command of the main job with other options.

        Args:
            settings: Settings with the data folder.
            thresholds: Gate thresholds to add.
            options: Further options; underscores become hyphens.

        Returns:
            The command in one line.
        """
        changed = {**self.thresholds, **(thresholds or {})}
        given: dict[str, Option] = {
            **self.data,
            "training": json.dumps(self.training) if self.training else None,
            "thresholds": json.dumps(changed) if changed else None,
            **{name.replace("_", "-"): value for name, value in options.items()},
        }
        return format_command(settings, "flows.lifecycle", given)

    def gates_command(self, settings: Settings, version: str) -> str:
        """Format the command that shows the gates of a version, with the thresholds of the run, and changes nothing.

        Args:
            settings: Settings with the data folder.
            version: Version number.

        Returns:
            The command in one line.
        """
        thresholds = json.dumps(self.thresholds) if self.thresholds else None
        return format_command(settings, "flows.gates", {"version": version, "thresholds": thresholds, "dry-run": True})
