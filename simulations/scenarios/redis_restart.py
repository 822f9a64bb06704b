"""Scenario: Redis is killed under load and restarts empty."""

import time
from datetime import timedelta

from typing_extensions import override

from simulations.daily_data import start_of_day
from simulations.environment import Environment
from simulations.scenario import FAULT_DAY, Scenario
from simulations.scenario_result import Detection, Expectation, find_detection
from simulations.scenarios.common_expectations import expect_no_findings

_NOON = timedelta(hours=12)
_DOWN_SECONDS = 3.0


class RedisRestart(Scenario):
    """Scenario with Redis killed under load and restarted empty.

    Clients retry; the next monitoring run detects the empty store, and an automation materializes the features.
    """

    name = "redis-restart"
    fault = "At noon of the second day Redis is killed under load and restarts empty."
    days = 3
    store = "redis"
    _seconds = 0.0

    @override
    def inject_fault(self, environment: Environment) -> None:
        shop = environment.shop
        assert environment.redis is not None
        with shop.clients.continuous_load(threads=3):
            time.sleep(2)
            start = time.monotonic()
            environment.redis.kill()
            time.sleep(_DOWN_SECONDS)
            environment.redis.start_empty()
            shop.run_monitoring(shop.today + _NOON)
            shop.wait_until_idle(threads=1)
            self._seconds = time.monotonic() - start

    @override
    def evaluate(self, environment: Environment) -> tuple[list[Detection], list[Expectation]]:
        noon = start_of_day(FAULT_DAY) + _NOON
        repaired = [item for item in environment.shop.api.list_runs("features") if item.state == "COMPLETED"]
        retried = sum(result.attempts > 1 for result in environment.shop.clients.results)
        return [
            find_detection(
                "holdfast.freshness.breached", "online store", "the first run after Redis restarted empty", noon,
                environment.shop.findings,
            )
        ], [
            Expectation(
                expected="features are materialized again without intervention, in one run",
                found=f"{len(repaired)} runs of features, idle {self._seconds:.0f} s after the kill",
                met=len(repaired) == 1,
            ),
            Expectation(
                expected="clients retried and then got a prediction",
                found=f"{retried} customers needed a retry",
                met=retried > 0,
            ),
            expect_no_findings(environment, "before", noon),
            expect_no_findings(environment, "after", noon),
        ]  # fmt: skip
