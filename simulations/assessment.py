"""Result of a simulation, from the state of Prefect's server, the registry, the alerts and the clients."""

from collections.abc import Sequence
from datetime import datetime

from feature_repo.settings import Settings
from holdfast.alerting.database import open_database
from holdfast.model_versions.aliases import list_versions
from holdfast.model_versions.records import parse_events
from holdfast.models.contract import MODEL_NAME
from holdfast.shared_state.database import fetch
from holdfast.training.lineage import read_git_commit
from holdfast.training.mlflow_client import open_registry
from simulations.environment import Environment
from simulations.job_spec import JobSpec
from simulations.load_clients import count_retries
from simulations.prefect_api import DeploymentRun
from simulations.scenario import Scenario
from simulations.scenario_result import Expectation, ScenarioResult

_EXAMPLES = 10


def build_result(scenario: Scenario, environment: Environment, spec: JobSpec, seconds: float) -> ScenarioResult:
    """Build the result of a finished scenario.

    Args:
        scenario: The scenario.
        environment: Environment that the scenario ran in.
        spec: Job specification.
        seconds: Duration of the scenario.

    Returns:
        The result.
    """
    shop = environment.shop
    detections, expectations = scenario.evaluate(environment)
    results = shop.clients.results
    return ScenarioResult(
        scenario=scenario.name,
        fault=scenario.fault,
        with_fault=spec.with_fault,
        customers=spec.customers,
        days=shop.number,
        store=spec.store,
        detected_by=detections,
        actions=_list_actions(environment),
        asked=len(results),
        answered=sum(result.probability is not None for result in results),
        repeated=count_retries(results),
        predictions_lost=len(shop.checker.lost),
        predictions_wrong=len(shop.checker.wrong),
        examples=[*shop.checker.lost[:_EXAMPLES], *shop.checker.wrong[:_EXAMPLES]],
        expectations=[
            *expectations,
            _expect_no_runs(environment, scenario.unexpected_runs),
            _expect_no_failed_steps(environment),
            _expect_all_checked(environment),
        ],
        findings=shop.findings,
        alerts=list_alerts(shop.settings),
        seconds=round(seconds, 1),
        commit=read_git_commit(),
    )


def _list_actions(environment: Environment) -> list[str]:
    """List the flow runs that the simulation did not start, and the registry events, each in order."""
    api = environment.shop.api
    automatic = [run for run in api.list_runs() if run.id not in api.started]
    return [*map(describe_run, automatic), *_registry_events(environment.shop.settings, environment.shop.started)]


def describe_run(run: DeploymentRun) -> str:
    """Describe a flow run in one line.

    Args:
        run: Flow run.

    Returns:
        Deployment, state and, unless completed, the message.
    """
    message = f": {run.message}" if run.message and run.state != "COMPLETED" else ""
    return f"{run.deployment} {run.state_name.lower()}{message}"


def list_alerts(settings: Settings) -> list[str]:
    """List all alerts, open or resolved.

    Args:
        settings: Location of the alerts.

    Returns:
        Severity and key of each alert.
    """
    if not settings.alerts.exists():
        return []
    with open_database(settings) as database:
        rows = fetch(database, "SELECT severity, key, resolved FROM alert ORDER BY id")
    return [f"{row['severity']}: {row['key']}{' (resolved)' if row['resolved'] else ''}" for row in rows]


def _expect_no_runs(environment: Environment, deployments: Sequence[str]) -> Expectation:
    runs = [describe_run(run) for run in environment.shop.api.list_runs() if run.deployment in deployments]
    return Expectation(expected=f"no run of {', '.join(deployments)}", found="; ".join(runs) or "none", met=not runs)


def _expect_no_failed_steps(environment: Environment) -> Expectation:
    failed = [f"{step}: {error}" for step, error in environment.shop.failed_steps.items()]
    monitoring_runs = len(environment.shop.monitoring_times)
    return Expectation(
        expected="every daily run and every monitoring run succeeds",
        found="; ".join(failed) or f"{environment.shop.number} days, {monitoring_runs} monitoring runs",
        met=not failed and monitoring_runs > 0,
    )


def _registry_events(settings: Settings, since: datetime) -> list[str]:
    """List the events of gates, rollouts, promotions and rollbacks on each version."""
    versions = sorted(list_versions(open_registry(settings)), key=lambda item: int(item.version))
    return [
        f"{MODEL_NAME} {version.version}: {_describe_record(record)}"
        for version in versions
        for record in parse_events(version.tags, str(version.version)) or ()
        if getattr(record, "when", since) >= since
    ]


def _describe_record(record: object) -> str:
    if summary := getattr(record, "summary", ""):
        return str(summary)
    return f"{type(record).__name__.removesuffix('Record').lower()} {getattr(record, 'verdict', '')}".strip()


def _expect_all_checked(environment: Environment) -> Expectation:
    requested, checked = len(environment.shop.clients.results), environment.shop.checker.checked
    return Expectation(
        expected="every request is compared with the log and recomputed",
        found=f"{checked} of {requested}",
        met=requested == checked > 0,
    )
