"""Scenario: the data disk is full when the daily run starts."""

import errno
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import override

from holdfast.ingestion.batches import list_batches
from simulations.assessment import describe_run, expect_no_runs, list_alerts
from simulations.daily_data import START, day_after
from simulations.environment import Environment
from simulations.outcome import Detection, Expectation, direct_detection, find_detection
from simulations.scenario import Scenario
from simulations.scenarios.common_expectations import expect_no_failed_steps
from simulations.servers import wait_until

_DAY = 1
_DAILY_WITHIN = 240.0
_PIECE = 65_536


class DiskFull(Scenario):
    """Batches, snapshots, scores and the prediction log are on a small disk."""

    name = "disk-full"
    fault = (
        "From noon of the second day to the next morning the disk of batches, features, scores and the prediction log "
        "is full. Prefect, MLflow and the alerts are on another disk, as they should be."
    )
    days = 4
    disk_mb = 400

    def __init__(self, days: int, with_fault: bool) -> None:
        super().__init__(days, with_fault)
        self._degraded = 0.0
        self._files_before: set[Path] = set()
        self._files_after: set[Path] = set()
        self._run_id = ""

    @override
    def inject_fault(self, environment: Environment) -> None:
        """Inject the fault; an override of ``Scenario.inject_fault``."""
        shop = environment.shop
        if shop.number != _DAY:
            return
        filler = environment.workspace.state / "disk" / "filler"
        _fill(filler)
        self._files_before = _files(environment.workspace.data)
        shop.clients.request_predictions(self.requests_per_day)
        wait_until(
            lambda: environment.metric("holdfast_prediction_log_degraded") == 1, 60, "Degradation of the prediction log"
        )
        self._degraded = environment.metric("holdfast_prediction_log_degraded")
        shop.deliver(shop.transactions.on_day(shop.today))
        parameters = {"source": str(shop.landing), "mapping": str(shop.mapping), "as_of": shop.tomorrow.isoformat()}
        self._run_id = shop.run_deployment("daily", parameters, _DAILY_WITHIN).id
        self._files_after = _files(environment.workspace.data)
        shop.run_monitoring()
        shop.wait_until_idle()
        filler.unlink()
        wait_until(
            lambda: environment.metric("holdfast_prediction_log_degraded") == 0, 60, "Recovery of the prediction log"
        )

    @override
    def evaluate(self, environment: Environment) -> tuple[list[Detection], list[Expectation]]:
        """Compare the reactions of the system with the expected ones; an override of ``Scenario.evaluate``."""
        failed = [item for item in environment.shop.api.list_runs("daily") if item.id == self._run_id]
        alerts = [alert for alert in list_alerts(environment.shop.settings) if "holdfast.run.failed:daily" in alert]
        new_files = sorted(str(path.name) for path in self._files_after - self._files_before)
        rows = _rows(environment)
        return [
            find_detection(
                "holdfast.data.late", "transactions", "the first run after a failed daily run",
                day_after(START, _DAY + 1), environment.shop.findings,
            ),
            direct_detection("holdfast.run.failed", "daily", "at its end", day_after(START, _DAY), "; ".join(alerts)),
        ], [
            Expectation(
                expected="the daily run fails with the reason",
                found="; ".join(map(describe_run, failed)) or "no daily run failed",
                met=bool(failed) and failed[0].state == "FAILED" and "No space left" in failed[0].message,
            ),
            Expectation(expected="no file is half written", found=", ".join(new_files) or "none", met=not new_files),
            Expectation(
                expected="the prediction log is reported as degraded, and loses no prediction",
                found=f"degraded: {self._degraded:g}",
                met=self._degraded == 1,
            ),
            Expectation(
                expected="with space again, the next daily run ingests the missing rows",
                found=f"{rows[0]} rows of {rows[1]}",
                met=rows[0] == rows[1] > 0,
            ),
            expect_no_runs(environment, ["retrain", "rollout", "rollback"]),
            expect_no_failed_steps(environment),
        ]  # fmt: skip


def _fill(filler: Path) -> None:
    """Write to a file until the disk is full."""
    for piece in (_PIECE, 512, 1):
        try:
            with filler.open("ab", buffering=0) as file:
                while True:
                    file.write(bytes(piece))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def _files(data: Path) -> set[Path]:
    """List the files of the tables, without locks and the growing prediction log."""
    folders: Sequence[str] = ("batches", "staging", "snapshots", "scores", "feast")
    return {path for name in folders for path in (data / name).rglob("*") if path.is_file() and path.suffix != ".lock"}


def _rows(environment: Environment) -> tuple[int, int]:
    ingested = sum(batch.rows_added + batch.rows_quarantined for batch in list_batches(environment.shop.settings)[2:])
    return ingested, sum(
        len(environment.shop.transactions.on_day(day_after(START, number))) for number in range(environment.shop.number)
    )
