"""Simulated shop: its days pass, and the reactions of the system are recorded."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from feature_repo.settings import Settings
from holdfast.core.parquet_files import read_parquet_file
from holdfast.feature_store.definition_versions import list_versions, open_version
from holdfast.feature_store.materialization import load_online_state
from holdfast.feature_store.snapshots import snapshot_path
from holdfast.model_versions.definitions_in_use import list_served_definitions
from holdfast.monitoring.findings import Finding
from simulations.daily_data import DailyTransactions, start_of_day, write_day
from simulations.load_clients import LoadClients
from simulations.observed_findings import observe_findings
from simulations.prediction_checker import Materialization, PredictionChecker
from simulations.prefect_api import DeploymentRun, PrefectApi
from simulations.scenario_result import ObservedFinding
from simulations.servers import ComponentError, wait_until

# Times after midnight at which the file of a day arrives, and at which monitoring runs.
_ARRIVAL, _MONITORING = timedelta(hours=1), timedelta(hours=2)
_REACTION_SECONDS = 6.0  # from an event to the flow run that an automation starts
_IDLE_WITHIN = 420.0


@dataclass
class SimulatedShop:
    """Shop of one simulation.

    Attributes:
        landing: Folder for the files of the upstream system.
        mapping: Column mapping of these files.
        report: Called with a line for the user.
        started: Start of the simulation, by the wall clock.
        number: Number of the current day, from 0.
        findings: Findings of all monitoring runs.
        monitoring_times: as_of of each monitoring run.
        failed_steps: Name and day of failed steps, with the error.
    """

    settings: Settings
    transactions: DailyTransactions
    clients: LoadClients
    api: PrefectApi
    landing: Path
    mapping: Path
    report: Callable[[str], None]
    started: datetime
    number: int = 0
    findings: list[ObservedFinding] = field(default_factory=list)
    materializations: list[Materialization] = field(default_factory=list)
    monitoring_times: list[datetime] = field(default_factory=list)
    failed_steps: dict[str, str] = field(default_factory=dict)
    checker: PredictionChecker = field(init=False)
    _checked: int = 0

    def __post_init__(self) -> None:
        self.checker = PredictionChecker(self.settings)
        self.record_materializations(0.0)

    @property
    def today(self) -> datetime:
        """Return the midnight at the start of the day."""
        return start_of_day(self.number)

    @property
    def tomorrow(self) -> datetime:
        """Return the midnight at the end of the day."""
        return start_of_day(self.number + 1)

    def start_day(self) -> None:
        """Start the day: clients request predictions of recently active customers."""
        self.clients.customers = _active_customers(self.settings) or self.clients.customers
        self.clients.day = self.today

    def deliver(self, rows: pd.DataFrame) -> None:
        """Deliver the day's file of the upstream system.

        Args:
            rows: Transactions of the day.
        """
        write_day(rows, self.landing, f"{self.today:%Y-%m-%d}")

    def run_daily(self) -> None:
        """Run the daily flow of the next morning."""
        from flows.daily import daily
        from flows.ingest import ingest

        def run() -> None:
            # The rows become known on the simulated morning; the daily run finds them ingested.
            ingest(str(self.landing), str(self.mapping), ingested_at=self.tomorrow + _ARRIVAL)
            daily([str(self.landing)], [str(self.mapping)], as_of=self.tomorrow)

        start = time.time()
        self._run_step("daily", run)
        self.record_materializations(start)

    def run_monitoring(self, at: datetime | None = None) -> list[ObservedFinding]:
        """Run monitoring.

        Args:
            at: End of the window; None: the end of the day, after the daily run.

        Returns:
            Findings of the run.
        """
        from flows.monitor import monitor

        as_of = at or self.tomorrow
        since, findings = datetime.now(UTC), list[Finding]()

        def run() -> None:
            findings.extend(monitor(as_of=as_of, known_at=at or as_of + _MONITORING).findings)

        succeeded = self._run_step("monitor", run)
        return self.record_findings(as_of, findings if succeeded else None, since)

    def record_findings(
        self, as_of: datetime, findings: Sequence[Finding] | None, since: datetime
    ) -> list[ObservedFinding]:
        """Record the findings of a monitoring run.

        Args:
            as_of: End of the window.
            findings: Result of the run; None: the events at Prefect's server are the findings.
            since: Start of the run, by the wall clock.

        Returns:
            Findings of the run.
        """
        observed = observe_findings(self.api, as_of, findings, since)
        self.findings += observed
        self.monitoring_times.append(as_of)
        return observed

    def run_deployment(self, deployment: str, parameters: dict[str, Any], timeout: float) -> DeploymentRun:
        """Run a deployment by the worker and wait for its end.

        Args:
            deployment: Name of the deployment.
            parameters: Parameters of the flow.
            timeout: Seconds until the wait is given up.

        Returns:
            The ended flow run.

        Raises:
            ComponentError: The flow run did not end in time.
        """
        run_id = self.api.start_run(deployment, parameters)

        def find_ended() -> DeploymentRun | None:
            runs = self.api.list_runs(deployment)
            return next((run for run in runs if run.id == run_id and run.is_terminal), None)

        run = wait_until(find_ended, timeout, f"The end of {deployment}")
        assert run is not None
        return run

    def wait_until_idle(self, threads: int = 2) -> None:
        """Wait, under continuous load, until no flow run is active.

        Args:
            threads: Number of clients.

        Raises:
            ComponentError: Flow runs are active for too long.
        """
        start = time.time()
        self._move_clients_to_materialized_day()
        deadline, idle_since = time.monotonic() + _IDLE_WITHIN, time.monotonic()
        with self.clients.continuous_load(threads):
            while time.monotonic() - idle_since < _REACTION_SECONDS:
                if active := self._active_runs():
                    idle_since = time.monotonic()
                if time.monotonic() > deadline:
                    raise ComponentError(f"Flow runs are active after {_IDLE_WITHIN:g} s: {active}")
                time.sleep(0.5)
        self.record_materializations(start)

    def end_day(self) -> None:
        """End the day: check all predictions of the day."""
        results = self.clients.results[self._checked :]
        self._checked += len(results)
        self.checker.check(results, self.materializations)
        self.number += 1

    def record_materializations(self, start: float) -> None:
        """Record the content of the online store, for each version of the feature definitions, if it is new.

        Args:
            start: Unix time before which nothing new was loaded.
        """
        known = {(item.definitions, item.as_of, item.known_at) for item in self.materializations}
        for definitions in list_versions(self.settings):
            state = load_online_state(self.settings, definitions)
            if state is not None and (definitions, state.as_of, state.known_at) not in known:
                loaded = Materialization(definitions, state.as_of, state.known_at, start, time.time())
                self.materializations.append(loaded)

    def _move_clients_to_materialized_day(self) -> None:
        """Let clients request predictions of the next day once its features are materialized."""
        latest = {item.definitions: item.as_of for item in self.materializations}
        if set(latest.values()) == {self.tomorrow}:
            self.clients.customers, self.clients.day = _active_customers(self.settings), self.tomorrow

    def _active_runs(self) -> list[DeploymentRun]:
        return [run for run in self.api.list_runs() if not run.is_terminal]

    def _run_step(self, name: str, run: Callable[[], object]) -> bool:
        try:
            run()
        except Exception as error:  # any error: the next day comes
            step = f"{name} {self.tomorrow:%Y-%m-%d}"
            self.failed_steps[step] = f"{type(error).__name__}: {error}"
            logging.getLogger(__name__).warning("%s: %s", step, self.failed_steps[step])
            return False
        return True


def _active_customers(settings: Settings) -> Sequence[str]:
    """List the customers with a purchase in the last 180 days, by the snapshot in the online store if there is one."""
    definitions = list_served_definitions(settings)[0]
    state = load_online_state(settings, definitions)
    if state is None:
        return ()
    view = open_version(settings, definitions).get_feature_view("customer_recent_activity")
    path = snapshot_path(view, state.as_of, state.known_at)
    table = read_parquet_file(path, columns=["customer_id", "purchase_days_180d"])
    return list(table.filter(pc.field("purchase_days_180d") > 0)["customer_id"].to_pylist())
