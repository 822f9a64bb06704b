"""What came of a simulation, from what is there at its end: Prefect's server, the registry, the alerts, the answers."""

from collections.abc import Iterable
from datetime import datetime

from feature_repo.settings import Settings
from holdfast.model_versions.aliases import list_versions, open_registry
from holdfast.model_versions.records import parse_events
from holdfast.models.contract import MODEL_NAME
from holdfast.training.lineage import read_git_commit
from simulations.environment import Running
from simulations.job_spec import Told
from simulations.load_clients import repeated
from simulations.outcome import Expectation, Outcome
from simulations.prefect_api import Run
from simulations.scenario import Scenario

_EXAMPLES = 10


def outcome_of(scenario: Scenario, run: Running, told: Told, seconds: float) -> Outcome:
    """The outcome: every field from the state that the simulation left."""
    shop = run.shop
    detections, expectations = scenario.judge(run)
    answers = shop.callers.answers
    return Outcome(
        scenario=scenario.name,
        planted=scenario.planted,
        with_fault=told.fault,
        customers=told.customers,
        days=shop.number,
        store=told.store,
        detected_by=detections,
        actions=actions(run),
        asked=len(answers),
        answered=sum(answer.probability is not None for answer in answers),
        repeated=repeated(answers),
        predictions_lost=len(shop.checker.lost),
        predictions_wrong=len(shop.checker.wrong),
        examples=[*shop.checker.lost[:_EXAMPLES], *shop.checker.wrong[:_EXAMPLES]],
        expectations=[*expectations, _all_checked(run)],
        findings=shop.seen,
        alerts=alerts_told(shop.settings),
        seconds=round(seconds, 1),
        commit=read_git_commit(),
    )


def actions(run: Running) -> list[str]:
    """What ran by itself, and what was left in the registry, each in its order."""
    api = run.shop.api
    by_itself = [item for item in api.runs() if item.id not in api.started]
    return [*map(told_of, by_itself), *registry_events(run.shop.settings, run.shop.began)]


def told_of(run: Run) -> str:
    """A flow run in a line."""
    said = f": {run.said}" if run.said and run.state != "COMPLETED" else ""
    return f"{run.deployment} {run.state_name.lower()}{said}"


def registry_events(settings: Settings, since: datetime) -> list[str]:
    """What gates, rollouts, promotions and rollbacks left on each version from ``since`` on."""
    versions = sorted(list_versions(open_registry(settings)), key=lambda item: int(item.version))
    return [
        f"{MODEL_NAME} {version.version}: {_told(record)}"
        for version in versions
        for record in parse_events(version.tags, str(version.version)) or ()
        if getattr(record, "when", since) >= since
    ]


def alerts_told(settings: Settings) -> list[str]:
    """Every alert there was, open or not."""
    import sqlite3

    if not settings.alerts.exists():
        return []
    with sqlite3.connect(settings.alerts) as database:
        rows = database.execute("SELECT severity, key, resolved FROM alert ORDER BY id").fetchall()
    return [f"{severity}: {key}{' (resolved)' if resolved else ''}" for severity, key, resolved in rows]


def none_of(run: Running, deployments: Iterable[str], but: str = "") -> Expectation:
    """That none of these flows ran by itself."""
    names = list(deployments)
    ran = [told_of(item) for item in run.shop.api.runs() if item.deployment in names]
    return Expectation(expected=f"no run of {', '.join(names)}{but}", found="; ".join(ran) or "none", met=not ran)


def _told(record: object) -> str:
    if told := getattr(record, "told", ""):
        return str(told)
    return f"{type(record).__name__.removesuffix('Record').lower()} {getattr(record, 'verdict', '')}".strip()


def _all_checked(run: Running) -> Expectation:
    """That no answer escaped the check."""
    asked, checked = len(run.shop.callers.answers), run.shop.checker.checked
    return Expectation(
        expected="every request is held against the log and recomputed",
        found=f"{checked} of {asked}",
        met=asked == checked > 0,
    )
