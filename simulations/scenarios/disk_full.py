"""Scenario: the data disk is full when the daily run starts."""

import errno
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import override

from simulations.assessment import describe_run, list_alerts
from simulations.daily_data import start_of_day
from simulations.environment import Environment
from simulations.scenario import FAULT_DAY, Scenario
from simulations.scenario_result import Detection, Expectation, direct_detection, find_detection
from simulations.scenarios.common_expectations import expect_every_row_ingested
from simulations.servers import wait_until

_DAILY_WITHIN = 240.0
_PIECE = 65_536


class DiskFull(Scenario):
    """Scenario with a full data disk at the start of the daily run.

    Batches, snapshots, scores and the prediction log are on a small disk.
    """

    name = "disk-full"
    fault = (
        "From noon of the second day to the next morning the disk of batches, features, scores and the prediction log "
        "is full. Prefect, MLflow and the alerts are on another disk, as they should be."
    )
    days = 4
    disk_mb = 400
    _degraded = 0.0
    _new_files: tuple[str, ...] = ()
    _run_id = ""

    @override
    def inject_fault(self, environment: Environment) -> None:
        shop = environment.shop
        filler = environment.workspace.state / "disk" / "filler"
        _fill(filler)
        files_before = _files(environment.workspace.data)
        shop.clients.request_predictions(self.requests_per_day)
        wait_until(
            lambda: environment.metric("holdfast_prediction_log_degraded") == 1, 60, "Degradation of the prediction log"
        )
        self._degraded = environment.metric("holdfast_prediction_log_degraded")
        shop.deliver(shop.transactions.on_day(shop.today))
        parameters = {"source": str(shop.landing), "mapping": str(shop.mapping), "as_of": shop.tomorrow.isoformat()}
        self._run_id = shop.run_deployment("daily", parameters, _DAILY_WITHIN).id
        self._new_files = tuple(sorted(path.name for path in _files(environment.workspace.data) - files_before))
        shop.run_monitoring()
        shop.wait_until_idle()
        filler.unlink()
        wait_until(
            lambda: environment.metric("holdfast_prediction_log_degraded") == 0, 60, "Recovery of the prediction log"
        )

    @override
    def evaluate(self, environment: Environment) -> tuple[list[Detection], list[Expectation]]:
        failed = [item for item in environment.shop.api.list_runs("daily") if item.id == self._run_id]
        alerts = [alert for alert in list_alerts(environment.shop.settings) if "holdfast.run.failed:daily" in alert]
        return [
            find_detection(
                "holdfast.data.late", "transactions", "the first run after a failed daily run",
                start_of_day(FAULT_DAY + 1), environment.shop.findings,
            ),
            direct_detection("holdfast.run.failed", "daily", "at its end", start_of_day(FAULT_DAY), "; ".join(alerts)),
        ], [
            Expectation(
                expected="the daily run fails with the reason",
                found="; ".join(map(describe_run, failed)) or "no daily run failed",
                met=bool(failed) and failed[0].state == "FAILED" and "No space left" in failed[0].message,
            ),
            Expectation(
                expected="no file is half written",
                found=", ".join(self._new_files) or "none",
                met=not self._new_files,
            ),
            Expectation(
                expected="the prediction log is reported as degraded, and loses no prediction",
                found=f"degraded: {self._degraded:g}",
                met=self._degraded == 1,
            ),
            expect_every_row_ingested(environment, "with space again, the next daily run ingests the missing rows"),
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
