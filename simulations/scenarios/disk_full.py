"""The disk of the data is full when the daily run comes."""

import errno
from collections.abc import Sequence
from pathlib import Path

from simulations.assessment import alerts_told, none_of, told_of
from simulations.daily_data import START, day_after
from simulations.environment import Running
from simulations.outcome import Detection, Expectation, detection, noticed
from simulations.scenario import Scenario
from simulations.scenarios.common_expectations import every_step_went_well
from simulations.servers import wait_until

_DAY = 1
_DAILY_WITHIN = 240.0
_PIECE = 65_536


class DiskFull(Scenario):
    """Batches, snapshots, scores and the prediction log are on a small disk of their own."""

    name = "disk-full"
    planted = (
        "From the second day's noon to the morning after the disk of batches, features, scores and the prediction "
        "log is full. Prefect, MLflow and the alerts are on another, as they should be."
    )
    days = 4
    disk_mb = 400

    def __init__(self, days: int, fault: bool) -> None:
        super().__init__(days, fault)
        self.degraded = 0.0
        self.before: set[Path] = set()
        self.after: set[Path] = set()
        self.run_id = ""

    def during(self, run: Running) -> None:
        """Full: callers go on asking, and the next morning's daily run cannot write."""
        shop = run.shop
        if shop.number != _DAY:
            return
        filler = run.place.state / "disk" / "filler"
        _fill(filler)
        self.before = _files(run.place.data)
        shop.callers.ask(self.asked_a_day)
        wait_until(lambda: run.metric("holdfast_prediction_log_degraded") == 1, 60, "A degraded prediction log")
        self.degraded = run.metric("holdfast_prediction_log_degraded")
        shop.sells(shop.days.of(shop.today))
        parameters = {"source": str(shop.landing), "mapping": str(shop.mapping), "as_of": shop.tomorrow.isoformat()}
        self.run_id = shop.worker_runs("daily", parameters, _DAILY_WITHIN).id
        self.after = _files(run.place.data)
        shop.looks_around()
        shop.settles()
        filler.unlink()
        wait_until(lambda: run.metric("holdfast_prediction_log_degraded") == 0, 60, "A prediction log that works again")

    def judge(self, run: Running) -> tuple[list[Detection], list[Expectation]]:
        """Said by the daily run, by an alert and by monitoring; nothing half written; the next run catches up."""
        failed = [item for item in run.shop.api.runs("daily") if item.id == self.run_id]
        told = [alert for alert in alerts_told(run.shop.settings) if "holdfast.run.failed:daily" in alert]
        left = sorted(str(path.name) for path in self.after - self.before)
        rows = _rows(run)
        return [
            detection(
                "holdfast.data.late", "transactions", "the first run after a morning on which nothing could be written",
                day_after(START, _DAY + 1), run.shop.seen,
            ),
            noticed("holdfast.run.failed", "daily", "when it fails", day_after(START, _DAY), "; ".join(told)),
        ], [
            Expectation(
                expected="the daily run fails and says why",
                found="; ".join(map(told_of, failed)) or "no daily run failed",
                met=bool(failed) and failed[0].state == "FAILED" and "No space left" in failed[0].said,
            ),
            Expectation(expected="nothing is half written", found=", ".join(left) or "no new file", met=not left),
            Expectation(
                expected="the prediction log says that it is degraded, and loses nothing",
                found=f"degraded: {self.degraded:g}",
                met=self.degraded == 1,
            ),
            Expectation(
                expected="with space again, the next run catches up",
                found=f"{rows[0]} rows of {rows[1]}",
                met=rows[0] == rows[1] > 0,
            ),
            none_of(run, ["retrain", "rollout", "rollback"]),
            every_step_went_well(run),
        ]  # fmt: skip


def _fill(filler: Path) -> None:
    """Until nothing more can be written."""
    for piece in (_PIECE, 512, 1):
        try:
            with filler.open("ab", buffering=0) as file:
                while True:
                    file.write(bytes(piece))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def _files(data: Path) -> set[Path]:
    """Files of the tables, but for the prediction log, which grows, and locks."""
    folders: Sequence[str] = ("batches", "staging", "snapshots", "scores", "feast")
    return {path for name in folders for path in (data / name).rglob("*") if path.is_file() and path.suffix != ".lock"}


def _rows(run: Running) -> tuple[int, int]:
    from holdfast.ingestion.batches import list_batches

    known = sum(batch.rows_added + batch.rows_quarantined for batch in list_batches(run.shop.settings)[2:])
    return known, sum(len(run.shop.days.of(day_after(START, number))) for number in range(run.shop.number))
