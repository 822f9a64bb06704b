"""Scenario: changed feature code is deployed without `feast apply`, so a feature differs from training."""

from datetime import UTC, datetime, timedelta

from typing_extensions import override

from holdfast.model_versions.aliases import list_versions
from holdfast.training.mlflow_client import open_registry
from simulations.daily_data import start_of_day
from simulations.environment import Environment
from simulations.scenario import FAULT_DAY, Scenario
from simulations.scenario_result import Detection, Expectation, find_detection
from simulations.scenarios.common_expectations import expect_no_findings
from simulations.workspace import ROOT, copy_source, replace_in_file

_NOON = timedelta(hours=12)
_RUN_WITHIN = 180.0


class ChangedDefinition(Scenario):
    """Scenario with changed feature code deployed without `feast apply`.

    Worker and service run a source tree with another mean amount, from noon to the evening of a day.
    """

    name = "changed-definition"
    fault = "From noon of the second day worker and service run code with another mean_purchase_amount, not applied."
    days = 4
    unexpected_runs = ("features", "daily", "retrain", "rollout", "rollback")
    _training_message = ""

    @override
    def inject_fault(self, environment: Environment) -> None:
        changed = copy_source(environment.workspace.state / "source")
        replace_in_file(
            changed,
            "feature_repo/transformations.py",
            'mean_purchase_amount=totals.gross.cast("float64") / totals.purchase_days.cast("float64")',
            'mean_purchase_amount=totals.net.cast("float64") / totals.purchase_days.cast("float64") * 0.9',
        )
        environment.deploy_source(changed)
        environment.shop.clients.request_predictions(self.requests_per_day)
        _run_monitoring(environment, environment.shop.today + _NOON)
        self._training_message = _run_training(environment)
        environment.deploy_source(ROOT)

    @override
    def evaluate(self, environment: Environment) -> tuple[list[Detection], list[Expectation]]:
        noon = start_of_day(FAULT_DAY) + _NOON
        return [
            find_detection(
                "holdfast.skew.detected", "*.changed-definition",
                "the first run by the changed code after customers were scored", noon, environment.shop.findings,
            )
        ], [
            Expectation(
                expected="training rejects definitions that are not applied",
                found=self._training_message or "no training",
                met="other definitions than this checkout" in self._training_message,
            ),
            Expectation(
                expected="no version except the champion",
                found=f"versions {', '.join(_versions(environment))}",
                met=_versions(environment) == ["1"],
            ),
            expect_no_findings(environment, "before", noon),
            expect_no_findings(environment, "after", start_of_day(FAULT_DAY + 1)),
        ]  # fmt: skip


def _run_monitoring(environment: Environment, as_of: datetime) -> None:
    """Run monitoring by the worker."""
    since = datetime.now(UTC)
    time = as_of.isoformat()
    environment.shop.run_deployment("monitor", {"as_of": time, "known_at": time}, _RUN_WITHIN)
    environment.shop.record_findings(as_of, None, since)


def _run_training(environment: Environment) -> str:
    """Run training by the worker; returns the message of the flow run."""
    known = (environment.shop.today + _NOON).isoformat()
    parameters = {"as_of": environment.shop.today.isoformat(), "known_at": known}
    return environment.shop.run_deployment("train", parameters, _RUN_WITHIN).message


def _versions(environment: Environment) -> list[str]:
    return sorted(str(item.version) for item in list_versions(open_registry(environment.shop.settings)))
