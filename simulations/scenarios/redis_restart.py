"""Redis dies under load and comes back with nothing in it."""

import time
from datetime import timedelta

from simulations.assessment import none_of
from simulations.daily_data import START, day_after
from simulations.environment import Running
from simulations.outcome import Detection, Expectation, detection
from simulations.scenario import Scenario
from simulations.scenarios.common_expectations import every_step_went_well, nothing_found_after, nothing_found_before

_DAY = 1
_NOON = timedelta(hours=12)
_DOWN_SECONDS = 3.0


class RedisRestart(Scenario):
    """Callers are told to come back; the next monitoring run sees it, and features are built again by themselves."""

    name = "redis-restart"
    planted = "At noon of the second day Redis is killed under load, and started again, empty."
    days = 3
    store = "redis"

    def __init__(self, days: int, fault: bool) -> None:
        super().__init__(days, fault)
        self.seconds = 0.0

    def during(self, run: Running) -> None:
        """Callers never stop asking."""
        shop = run.shop
        if shop.number != _DAY:
            return
        assert run.redis is not None
        with shop.callers.asking_on(threads=3):
            time.sleep(2)
            began = time.monotonic()
            run.redis.kill()
            time.sleep(_DOWN_SECONDS)
            run.redis.start_empty()
            shop.looks_around(shop.today + _NOON)
            shop.settles(threads=1)
            self.seconds = time.monotonic() - began

    def judge(self, run: Running) -> tuple[list[Detection], list[Expectation]]:
        """Seen at once, repaired without a hand, and callers who asked again were all answered."""
        noon = day_after(START, _DAY) + _NOON
        repaired = [item for item in run.shop.api.runs("features") if item.state == "COMPLETED"]
        again = sum(answer.attempts > 1 for answer in run.shop.callers.answers)
        return [
            detection(
                "holdfast.freshness.breached", "online store", "the first run after Redis is back, empty", noon,
                run.shop.seen,
            )
        ], [
            Expectation(
                expected="features are materialised again by themselves, in one run",
                found=f"{len(repaired)} runs of features, all well again {self.seconds:.0f} s after the kill",
                met=len(repaired) == 1,
            ),
            Expectation(
                expected="callers were told to come back, and were answered then",
                found=f"{again} customers had to be asked for again",
                met=again > 0,
            ),
            nothing_found_before(run, noon),
            nothing_found_after(run, noon),
            none_of(run, ["retrain", "rollout", "rollback"]),
            every_step_went_well(run),
        ]  # fmt: skip
