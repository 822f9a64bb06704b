"""Specification of the job of a simulation subprocess, which the command writes and the subprocess reads."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulations.workspace import StoreName


class JobSpec(BaseModel):
    """Job of a simulation subprocess.

    Attributes:
        job: Build the baseline state, or run a scenario and write its result.
        customers: Number of customers; 0: all.
        with_fault: Whether the fault of the scenario is injected.
        disk_mb: Size of the disk for the tables; 0: no limit.
        predictions: Predictions that the clients request at least, in scenarios with two versions of the features.
        result: File for the result of the scenario.
    """

    model_config = ConfigDict(frozen=True)

    job: Literal["baseline", "scenario"]
    scenario: str = ""
    days: int = 0
    customers: int
    store: StoreName = "sqlite"
    with_fault: bool = True
    disk_mb: int = 0
    predictions: int = 0
    result: Path | None = None
