"""A shop at work: its days pass as a scenario says, and what the system makes of them is noted."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from feature_repo.settings import Settings
from holdfast.monitoring.findings import Finding
from simulations.answer_checker import Checker, Materialised
from simulations.daily_data import START, Days, day_after, write_day
from simulations.load_clients import Callers
from simulations.observed_findings import seen_by
from simulations.outcome import Seen
from simulations.prefect_api import PrefectApi, Run

_ARRIVAL, _LOOK = timedelta(hours=1), timedelta(hours=2)  # after midnight: a day's file comes in, monitoring looks
_REACTS_WITHIN = 6.0  # seconds from an event to the run that an automation starts
_SETTLES_WITHIN = 420.0


class SimulationError(Exception):
    """The simulation itself cannot go on."""


@dataclass
class Shop:
    """One simulation.

    Attributes:
        number: Which day it is, the first being 0.
        seen: What each monitoring run found.
        actions: What happened without us, in order.
        failed: Steps that failed, by what was done on which day.
    """

    settings: Settings
    days: Days
    callers: Callers
    api: PrefectApi
    landing: Path
    mapping: Path
    say: Callable[[str], None]
    began: datetime
    number: int = 0
    seen: list[Seen] = field(default_factory=list)
    materialised: list[Materialised] = field(default_factory=list)
    looks: list[datetime] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    checker: Checker = field(init=False)
    _checked: int = 0

    def __post_init__(self) -> None:
        self.checker = Checker(self.settings)
        self.note_materialised(0.0)

    @property
    def today(self) -> datetime:
        """The midnight with which the day begins."""
        return day_after(START, self.number)

    @property
    def tomorrow(self) -> datetime:
        """The midnight with which it ends."""
        return day_after(START, self.number + 1)

    def opens(self) -> None:
        """The day begins: who may be asked for is who was active lately."""
        self.callers.customers = active_customers(self.settings) or self.callers.customers
        self.callers.day = self.today

    def sells(self, rows: pd.DataFrame) -> None:
        """What the upstream system delivers of the day."""
        write_day(rows, self.landing, f"{self.today:%Y-%m-%d}")

    def daily(self) -> bool:
        """The daily run of the next morning; whether it went well."""
        from flows.daily import daily
        from flows.ingest import ingest

        def run() -> None:
            # The rows become known on the simulated morning; the daily run finds them there.
            ingest(str(self.landing), str(self.mapping), ingested_at=self.tomorrow + _ARRIVAL)
            daily(str(self.landing), str(self.mapping), as_of=self.tomorrow)

        began = time.time()
        done = self._step("daily", run)
        self.note_materialised(began)
        return done

    def looks_around(self, at: datetime | None = None) -> list[Seen]:
        """Monitoring, after the daily run, or within the day; what it found."""
        from flows.monitor import monitor

        as_of = at or self.tomorrow
        since, told = datetime.now(UTC), list[Finding]()

        def look() -> None:
            told.extend(monitor(as_of=as_of, known_at=at or as_of + _LOOK).findings)

        whole = self._step("monitor", look)
        return self.noted(as_of, told if whole else None, since)

    def noted(self, as_of: datetime, told: Sequence[Finding] | None, since: datetime) -> list[Seen]:
        """What a monitoring run found, by its result and by its events."""
        found = seen_by(self.api, as_of, told, since)
        self.seen += found
        self.looks.append(as_of)
        return found

    def worker_runs(self, deployment: str, parameters: dict[str, Any], within: float) -> Run:
        """Have the worker run it; how that ended.

        Raises:
            SimulationError: It has not in ``within`` seconds.
        """
        run_id, deadline = self.api.run(deployment, parameters), time.monotonic() + within
        while True:
            (run,) = [run for run in self.api.runs(deployment) if run.id == run_id]
            if run.ended:
                return run
            if time.monotonic() > deadline:
                raise SimulationError(f"{deployment} has not ended within {within:g} s: {run.state_name}")
            time.sleep(0.5)

    def settles(self, threads: int = 2) -> None:
        """Wait, while callers go on asking, until nothing runs that the system started by itself.

        Raises:
            SimulationError: It goes on for too long.
        """
        began = time.time()
        self._morning_has_come()
        deadline, quiet_since = time.monotonic() + _SETTLES_WITHIN, time.monotonic()
        with self.callers.asking_on(threads):
            while time.monotonic() - quiet_since < _REACTS_WITHIN:
                if self.at_work():
                    quiet_since = time.monotonic()
                if time.monotonic() > deadline:
                    raise SimulationError(f"Still at work after {_SETTLES_WITHIN:g} s: {self.at_work()}")
                time.sleep(0.5)
        self.note_materialised(began)

    def _morning_has_come(self) -> None:
        """Who asks after the daily run asks for the day that has begun."""
        if self.materialised[-1].as_of == self.tomorrow:
            self.callers.customers, self.callers.day = active_customers(self.settings), self.tomorrow

    def at_work(self) -> list[Run]:
        """Runs of deployments that have not ended."""
        return [run for run in self.api.runs() if not run.ended]

    def closes(self) -> None:
        """The day ends: every answer is checked, and the next day comes."""
        answers = self.callers.answers[self._checked :]
        self._checked += len(answers)
        self.checker.check(answers, self.materialised)
        self.number += 1

    def note_materialised(self, began: float) -> None:
        """Remember what the online store holds now, if that is new; it was begun after the Unix time ``began``."""
        from holdfast.feature_store.materialization import load_online_state

        state = load_online_state(self.settings)
        if state is None or any((m.as_of, m.known_at) == (state.as_of, state.known_at) for m in self.materialised):
            return
        self.materialised.append(Materialised(state.as_of, state.known_at, began, time.time()))

    def _step(self, what: str, run: Callable[[], object]) -> bool:
        try:
            run()
        except Exception as error:  # whatever it is, days go on
            about = f"{what} {self.tomorrow:%Y-%m-%d}"
            self.failed[about] = f"{type(error).__name__}: {error}"
            logging.getLogger(__name__).warning("%s: %s", about, self.failed[about])
            return False
        return True


def active_customers(settings: Settings) -> Sequence[str]:
    """Who bought in the last 180 days, by the snapshot that the online store holds."""
    from holdfast.feature_store.materialization import load_online_state
    from holdfast.feature_store.snapshots import snapshot_path

    state = load_online_state(settings)
    if state is None:
        return ()
    table = pq.read_table(
        snapshot_path(settings, "customer_recent_activity", state.as_of, state.known_at),
        columns=["customer_id"],
        filters=[("purchase_days_180d", ">", 0)],
    )
    return list(table["customer_id"].to_pylist())
