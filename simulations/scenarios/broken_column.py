"""For a day the upstream system loses the amounts of many purchases."""

import pandas as pd

from simulations.assessment import none_of
from simulations.daily_data import START, day_after
from simulations.environment import Running
from simulations.faults import broken_amounts
from simulations.outcome import Detection, Expectation, detection
from simulations.scenario import Scenario
from simulations.scenarios.common_expectations import every_step_went_well

_DAY = 2
_SHARE = 0.4


class BrokenColumn(Scenario):
    """Rows without an amount go to quarantine; the others count."""

    name = "broken-column"
    planted = f"On the third day {_SHARE:.0%} of the amounts are empty or text."
    days = 5

    def delivered(self, run: Running, rows: pd.DataFrame) -> pd.DataFrame:
        """Broken on the day."""
        return broken_amounts(rows, _SHARE, seed=0) if run.shop.number == _DAY else rows

    def judge(self, run: Running) -> tuple[list[Detection], list[Expectation]]:
        """The run after the day's file has come in sees what ingest refused of it."""
        from holdfast.ingestion.batches import list_batches

        found = detection(
            "holdfast.data.broken",
            "*",
            "the first run after the file has come in",
            day_after(START, _DAY + 1),
            run.shop.seen,
        )
        held = sum(batch.rows_quarantined for batch in list_batches(run.shop.settings)[2:])
        wanted = round(_SHARE * len(run.shop.days.of(day_after(START, _DAY))))
        return [found], [
            Expectation(
                expected="the broken rows are in quarantine", found=f"{held} of {wanted}", met=held >= wanted > 0
            ),
            none_of(run, ["retrain", "rollout", "rollback"]),
            every_step_went_well(run),
        ]
