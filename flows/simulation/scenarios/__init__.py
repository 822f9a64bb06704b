"""The scenarios, by name."""

from flows.simulation.scenario import Scenario
from flows.simulation.scenarios.bad_challenger import BadChallenger
from flows.simulation.scenarios.broken_column import BrokenColumn
from flows.simulation.scenarios.changed_definition import ChangedDefinition
from flows.simulation.scenarios.disk_full import DiskFull
from flows.simulation.scenarios.killed_training import KilledTraining
from flows.simulation.scenarios.late_files import LateFiles
from flows.simulation.scenarios.price_change import PriceChange
from flows.simulation.scenarios.quiet_month import QuietMonth
from flows.simulation.scenarios.redis_restart import RedisRestart

ALL: list[type[Scenario]] = [
    QuietMonth,
    PriceChange,
    BrokenColumn,
    LateFiles,
    ChangedDefinition,
    BadChallenger,
    RedisRestart,
    KilledTraining,
    DiskFull,
]
SCENARIOS: dict[str, type[Scenario]] = {scenario.name: scenario for scenario in ALL}
