"""Features: snapshots, registration, materialisation, parity. `python -m flows.features --as-of 1998-07-01`"""

from dataclasses import dataclass
from datetime import datetime

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from feature_repo.settings import Settings
from flows import configure
from flows._tasks import run_name, run_time, task
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.materialization import features_lock
from holdfast.feature_store.parity import ParityReport
from holdfast.feature_store.snapshots import Snapshot, build_snapshots
from holdfast.ingestion.as_of import ClockError, resolve_daily_as_of, resolve_known_at


@dataclass(frozen=True)
class FeaturesResult:
    """What serving now reads."""

    as_of: datetime
    known_at: datetime
    feature_views: list[str]
    materialised: bool
    parity: ParityReport


@task(task_run_name="snapshots {as_of:%Y-%m-%d}")
def snapshots_task(settings: Settings, as_of: datetime, known_at: datetime) -> list[Snapshot]:
    """Build the snapshots of one moment; those already there stay as they are."""
    return build_snapshots(settings, as_of, known_at)


@task(name="feast apply")
def apply_task() -> str:
    """Register the definitions of this checkout."""
    from holdfast.feature_store.feast_registry import apply_definitions

    plan = apply_definitions(open_store())
    create_markdown_artifact(f"```\n{plan}\n```", key="feast-apply", description="What changed in Feast's registry")
    return plan


@task(name="feast plan")
def require_applied_task() -> None:
    """Refuse definitions that nobody has applied: a service of the present champion would answer 503 with them."""
    from holdfast.feature_store.feast_registry import require_applied

    require_applied(open_store())


@task(name="materialise", retries=2, retry_delay_seconds=5)
def materialize_task(settings: Settings, snapshot: Snapshot) -> bool:
    """Write the snapshot to the online store; a store out of reach is tried again."""
    from holdfast.feature_store.materialization import materialize
    from holdfast.feature_store.parity import delete_parity

    delete_parity(settings)
    return materialize(settings, open_store(snapshot.known_at), snapshot)


@task(name="parity")
def parity_task(settings: Settings, snapshot: Snapshot) -> ParityReport:
    """Compare every online value with its point-in-time value; one difference fails the flow."""
    from holdfast.feature_store.materialization import delete_online_state
    from holdfast.feature_store.parity import check_parity, input_definitions, require_parity, save_parity
    from holdfast.feature_store.snapshots import read_customers

    online = open_store()
    report = check_parity(online, open_store(snapshot.known_at), read_customers(snapshot), snapshot.as_of)
    save_parity(settings, report, snapshot.known_at, input_definitions(online, settings))
    create_table_artifact(
        [
            {
                "as_of": f"{report.as_of:%Y-%m-%d %H:%M} UTC",
                "customers": report.customers,
                "features": report.features,
                "values compared": report.values_compared,
                "mismatches": report.mismatches,
            }
        ],
        key="parity",
        description="Online values against point-in-time values, bit for bit",
    )
    if report.mismatches:
        create_table_artifact(
            [
                {"customer": m.customer_id, "feature": m.feature, "online": repr(m.online), "offline": repr(m.offline)}
                for m in report.examples
            ],
            key="parity-mismatches",
            description="The first values that differ",
        )
        delete_online_state(settings)
    require_parity(report)
    return report


@flow(name="features", flow_run_name=run_name, persist_result=False)
def features(as_of: datetime | None = None, known_at: datetime | None = None, apply: bool = True) -> FeaturesResult:
    """Bring the online store to ``as_of`` and prove that it holds what training would see.

    Args:
        as_of: The moment the features describe; when left out the last midnight (UTC), or HOLDFAST_CLOCK's now.
        known_at: Use only data that had arrived by then; everything when left out.
        apply: Register the definitions of this checkout first. If not, and the registry holds others, nothing is done:
            what runs by itself changes no definitions.
    """
    settings = configure()
    moment = resolve_daily_as_of(as_of, settings, run_time())
    if moment.microsecond:
        raise ClockError(f"as_of {moment.isoformat()} has a fraction of a second; online stores keep whole seconds.")
    with features_lock(settings):
        if not apply:
            require_applied_task()
        snapshots = snapshots_task(settings, moment, resolve_known_at(known_at))
        if apply:
            apply_task()
        materialised = materialize_task(settings, snapshots[0])
        parity = parity_task(settings, snapshots[0])
    return FeaturesResult(moment, snapshots[0].known_at, [s.view for s in snapshots], materialised, parity)


if __name__ == "__main__":
    from flows._cli import run_flow

    run_flow(features)
