"""Trial of a new model version in a child process with limits, before the service loads it.

A model file can be valid and still take all memory or never return: compressed arrays, endless trees. In the service
that would end or block all predictions; a child process that exceeds its limits is only refused.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

from typing_extensions import override

from holdfast.core.model_names import ModelKind
from holdfast.models.contract import ServedModel
from holdfast.models.declaration import declared_name, load_declaration
from holdfast.models.loaded_model import UnusableModelError
from holdfast.models.registry_client import RegistryClient
from holdfast.models.version_loaders import VERSION_LOADERS
from services.errors import NotReadyError
from services.settings import ServingSettings

_ROOT = Path(__file__).resolve().parents[2]  # the checkout, or the source folder of the bento
_REFUSED = 3
_MEGABYTE = 1_000_000
_LONGEST_MESSAGE = 4000


class TryingRegistry(RegistryClient):
    """Client of the registry whose models were loaded and verified in a child process.

    Args:
        serving: Limits of the trial.
        arguments: Those of :class:`RegistryClient`.
    """

    def __init__(self, serving: ServingSettings, *arguments: str) -> None:
        super().__init__(*arguments)
        self._seconds, self._memory_mb = serving.model_trial_seconds, serving.model_trial_memory_mb

    @override
    def download_model(self, contract: ServedModel) -> bytes:
        """Download a model file and try it; raise NotReadyError if the trial fails."""
        content = super().download_model(contract)
        if self._seconds:
            try_model(contract, content, self._seconds, self._memory_mb)
        return content


def try_model(contract: ServedModel, content: bytes, seconds: float, memory_mb: int) -> None:
    """Load and verify a model file in a child process, which has none of the secrets of this process.

    Args:
        contract: Contract of the version.
        content: Model file.
        seconds: Limit of its time.
        memory_mb: Limit of its memory, megabytes.

    Raises:
        NotReadyError: The model was rejected, or a limit was exceeded.
    """
    about = f"Model version {contract.model_version}"
    kind = load_declaration(declared_name(contract.model_name)).kind
    command = [sys.executable, "-P", "-m", "services.models.model_trial", kind, str(seconds), str(memory_mb)]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment = {"PATH": os.defpath, "PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1", **threads}
    parts = contract.model_dump_json().encode()
    try:
        done = subprocess.run(
            command,
            input=len(parts).to_bytes(8) + parts + content,
            capture_output=True,
            env=environment,
            cwd="/",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotReadyError(f"{about} cannot be served.", _limit(f"was not loaded within {seconds:g} s")) from None
    except OSError as error:
        raise NotReadyError(f"{about} cannot be served.", f"Its trial cannot be started: {error}.") from error
    if done.returncode == _REFUSED:
        raise NotReadyError(*json.loads(done.stdout))
    if done.returncode:
        error_text = done.stderr.decode("utf-8", "replace").strip().splitlines()
        last = error_text[-1][:_LONGEST_MESSAGE] if error_text else f"status {done.returncode}"
        raise NotReadyError(
            f"{about} cannot be served.", _limit(f"ended the process that tried it, limited to {memory_mb} MB ({last})")
        )


def _limit(problem: str) -> str:
    return f"Its file {problem}. HOLDFAST_MODEL_TRIAL_SECONDS and HOLDFAST_MODEL_TRIAL_MEMORY_MB set the limits."


def _run_trial(kind: ModelKind, seconds: float, memory_mb: int) -> int:
    """Load and verify the model of standard input."""
    limit = memory_mb * _MEGABYTE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # a trial writes no file
    signal.setitimer(signal.ITIMER_REAL, seconds)  # also if the service, which stops a trial, was killed
    if (score := Path("/proc/self/oom_score_adj")).exists():
        score.write_text("1000")  # where a container is out of memory, the trial ends and not the service
    data = sys.stdin.buffer.read()
    start = 8 + int.from_bytes(data[:8])
    contract: Any = ServedModel.model_validate_json(data[8:start])
    try:
        VERSION_LOADERS[kind](contract, data[start:])
    except UnusableModelError as error:
        sys.stdout.write(json.dumps([error.message, error.remedy[:_LONGEST_MESSAGE]]))
        return _REFUSED
    return 0


if __name__ == "__main__":
    name, time, memory = sys.argv[1:]
    sys.exit(_run_trial(cast(ModelKind, name), float(time), int(memory)))
