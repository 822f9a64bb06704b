"""Promote: a version that passes its checks becomes the champion. `python -m flows.promote --version 3`"""

from dataclasses import dataclass

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from feature_repo.errors import HoldfastError
from feature_repo.model_contract import MODEL_NAME
from feature_repo.settings import load_settings
from flows.promotion.checks import Check, PromotionSettings, promotion_checks


class PromotionRefusedError(HoldfastError):
    """The version did not pass its checks; the champion stays."""


@dataclass(frozen=True)
class PromoteResult:
    """Which version serves now, and which did before."""

    version: str
    previous: str | None
    moved: bool
    checks: list[Check]


@task(name="checks", task_run_name="checks of version {version}", cache_policy=NO_CACHE, persist_result=False)
def checks_task(version: str, thresholds: PromotionSettings) -> list[Check]:
    """Hold the test metrics of a version against the thresholds."""
    from flows.promotion.registry import get_version
    from flows.training.tracking import open_mlflow

    client = open_mlflow(load_settings())
    run = client.get_run(str(get_version(client, version).run_id))
    checks = promotion_checks(run.data.metrics, thresholds)
    create_table_artifact(
        [
            {
                "check": check.name,
                "value": "not computed" if check.value is None else round(check.value, 4),
                "at least": check.at_least,
                "verdict": "passed" if check.passed else "FAILED",
            }
            for check in checks
        ],
        key="promotion-checks",
        description=f"{MODEL_NAME} version {version}",
    )
    return checks


@task(name="move champion", cache_policy=NO_CACHE, persist_result=False)
def move_task(version: str) -> str | None:
    """Move the alias; returns the version it named before."""
    from flows.promotion.registry import champion_version, set_champion
    from flows.training.tracking import open_mlflow

    client = open_mlflow(load_settings())
    previous = champion_version(client)
    if previous != version:
        set_champion(client, version)
    return previous


def _shown(check: Check) -> str:
    return "not computed" if check.value is None else f"{check.value:.4f}"


def _run_name() -> str:
    from prefect.runtime import flow_run

    return f"promote version {flow_run.parameters.get('version') or '(the latest)'}"


@flow(name="promote", flow_run_name=_run_name, persist_result=False)
def promote(version: str | None = None, thresholds: PromotionSettings | None = None) -> PromoteResult:
    """Make a version the champion if it passes its checks.

    Args:
        version: The registered version; the latest when left out.
        thresholds: What it must reach on the test period.
    """
    from flows.promotion.registry import get_version
    from flows.training.tracking import open_mlflow

    number = str(get_version(open_mlflow(load_settings()), version).version)
    checks = checks_task(number, thresholds or PromotionSettings())
    if failed := [check for check in checks if not check.passed]:
        reasons = "; ".join(f"{check.name} is {_shown(check)}, wants at least {check.at_least}" for check in failed)
        raise PromotionRefusedError(
            f"{MODEL_NAME} version {number} stays out: {reasons}. The champion is unchanged. Its curves are in MLflow "
            "(`make ui`); other thresholds: `python -m flows.promote --help`."
        )
    previous = move_task(number)
    return PromoteResult(number, previous, previous != number, checks)


if __name__ == "__main__":
    from flows.cli import run_flow

    run_flow(promote)
