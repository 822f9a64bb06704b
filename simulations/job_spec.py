"""Job specification of a simulation subprocess, stored as JSON in its state folder."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulations.workspace import StoreName

JOB_FILE, LOG_FILE = "simulation.json", "simulation.log"


class JobSpec(BaseModel):
    """Job of a simulation subprocess.

    Attributes:
        job: Build the baseline state, or run a scenario and write its outcome.
        customers: Number of customers; 0: all.
        with_fault: Whether the fault of the scenario is injected.
        disk_mb: Size of the disk for the tables; 0: no limit.
        outcome: File for the outcome of the scenario.
    """

    model_config = ConfigDict(frozen=True)

    job: Literal["baseline", "scenario"]
    scenario: str = ""
    days: int = 0
    customers: int
    store: StoreName = "sqlite"
    with_fault: bool = True
    disk_mb: int = 0
    outcome: Path | None = None


def write_job_spec(state: Path, spec: JobSpec) -> None:
    """Write the job specification of a subprocess.

    Args:
        state: State folder; created if missing.
        spec: Job specification.
    """
    state.mkdir(parents=True, exist_ok=True)
    (state / JOB_FILE).write_text(spec.model_dump_json(indent=2))


def read_job_spec(state: Path) -> JobSpec:
    """Read the job specification of a subprocess.

    Args:
        state: State folder.

    Returns:
        The job specification.
    """
    return JobSpec.model_validate_json((state / JOB_FILE).read_bytes())
