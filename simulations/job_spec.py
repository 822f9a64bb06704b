"""What the process of a simulation is told, as a file in its state folder."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulations.workspace import StoreName

FILE, LOG = "simulation.json", "simulation.log"


class Told(BaseModel):
    """``work``: make the world that simulations of this size begin in, or play a scenario and write its outcome."""

    model_config = ConfigDict(frozen=True)

    work: Literal["world", "scenario"]
    scenario: str = ""
    days: int = 0
    customers: int
    store: StoreName = "sqlite"
    fault: bool = True
    disk_mb: int = 0
    outcome: Path | None = None


def tell(state: Path, told: Told) -> None:
    """Write it down."""
    state.mkdir(parents=True, exist_ok=True)
    (state / FILE).write_text(told.model_dump_json(indent=2))


def read_told(state: Path) -> Told:
    """What was written down."""
    return Told.model_validate_json((state / FILE).read_bytes())
