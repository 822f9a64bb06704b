"""Scenarios, one module each, with their fault, expected detections and expected reactions; SCENARIOS lists all.

Servers, clients and the simulated shop belong to simulations, changes of transactions to simulations.faults.
"""

from simulations.scenario import Scenario
from simulations.scenarios.bad_challenger import BadChallenger
from simulations.scenarios.broken_column import BrokenColumn
from simulations.scenarios.changed_definition import ChangedDefinition
from simulations.scenarios.disk_full import DiskFull
from simulations.scenarios.killed_training import KilledTraining
from simulations.scenarios.late_files import LateFiles
from simulations.scenarios.price_change import PriceChange
from simulations.scenarios.quiet_month import QuietMonth
from simulations.scenarios.redis_restart import RedisRestart

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
