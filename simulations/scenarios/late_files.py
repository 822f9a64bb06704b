"""For two days no file comes; then all of them do."""

import pandas as pd

from simulations.assessment import none_of
from simulations.daily_data import START, day_after, write_day
from simulations.environment import Running
from simulations.outcome import Detection, Expectation, detection
from simulations.scenario import Scenario
from simulations.scenarios.common_expectations import every_step_went_well, nothing_found_after

_MISSING = (1, 2)
_ARRIVES = 3


class LateFiles(Scenario):
    """Features grow old while nothing comes; what was served then is not what is known now."""

    name = "late-files"
    planted = "No file on the second and third day; on the fourth all three come."
    days = 6

    def delivered(self, run: Running, rows: pd.DataFrame) -> pd.DataFrame | None:
        """Nothing, nothing, everything."""
        shop = run.shop
        if shop.number in _MISSING:
            return None
        if shop.number == _ARRIVES:
            for number in _MISSING:
                day = day_after(START, number)
                write_day(shop.days.of(day), shop.landing, f"{day:%Y-%m-%d}")
        return rows

    def judge(self, run: Running) -> tuple[list[Detection], list[Expectation]]:
        """Each run without a file says so; the run after all have come names what was served without them."""
        seen = run.shop.seen
        first, come = day_after(START, _MISSING[0] + 1), day_after(START, _ARRIVES + 1)
        here = "the first run after the files have come"
        return [
            detection(
                "holdfast.data.late", "transactions", "the first run after a morning without a file", first, seen
            ),
            detection("holdfast.data.late", "transactions.delay", here, come, seen),
            detection("holdfast.skew.detected", "*.late-data", here, come, seen),
        ], [
            Expectation(
                expected="afterwards every row is there",
                found=f"{_known(run)} rows of {_happened(run)}",
                met=_known(run) == _happened(run) > 0,
            ),
            nothing_found_after(run, come),
            none_of(run, ["retrain", "rollout", "rollback"]),
            every_step_went_well(run),
            Expectation(
                expected="what was served is named as late data, and as nothing else",
                found=_causes(run),
                met=_causes(run) == "late-data",
            ),
        ]


def _causes(run: Running) -> str:
    causes = {item.subject.rsplit(".", 1)[-1] for item in run.shop.seen if item.event == "holdfast.skew.detected"}
    return ", ".join(sorted(causes)) or "none"


def _known(run: Running) -> int:
    """Rows of the simulated days that are in the table or in quarantine."""
    from holdfast.ingestion.batches import list_batches

    return sum(batch.rows_added + batch.rows_quarantined for batch in list_batches(run.shop.settings)[2:])


def _happened(run: Running) -> int:
    return sum(len(run.shop.days.of(day_after(START, number))) for number in range(run.shop.number))
