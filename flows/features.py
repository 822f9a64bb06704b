"""Features: snapshots, applied definitions, materialization and parity check. `python -m flows.features`."""

from datetime import datetime

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from feature_repo.settings import Settings
from flows import configure
from flows._cli import run_flow
from flows._tasks import require_applied_task, run_name, run_time, task
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.feast_registry import apply_definitions
from holdfast.feature_store.materialization import delete_online_state, features_lock, materialize
from holdfast.feature_store.parity import (
    ParityReport,
    check_parity,
    delete_parity,
    input_definitions,
    require_parity,
    save_parity,
)
from holdfast.feature_store.snapshots import Snapshot, build_snapshots, read_customers
from holdfast.ingestion.as_of import ClockError, resolve_daily_as_of, resolve_known_at
from holdfast.reporting.artifact_tables import mismatch_rows, parity_rows
from holdfast.reporting.flow_results import FeaturesResult


@task(task_run_name="snapshots {as_of:%Y-%m-%d}")
def snapshots_task(settings: Settings, as_of: datetime, known_at: datetime) -> list[Snapshot]:
    """Build the snapshots of one time; existing snapshots are not changed."""
    return build_snapshots(settings, as_of, known_at)


@task(name="feast apply")
def apply_definitions_task() -> str:
    """Apply the feature definitions of this checkout to Feast's registry."""
    plan = apply_definitions(open_store())
    create_markdown_artifact(f"```\n{plan}\n```", key="feast-apply", description="Changes in Feast's registry")
    return plan


@task(name="materialize", retries=2, retry_delay_seconds=5)
def materialize_task(settings: Settings, snapshot: Snapshot) -> bool:
    """Write the snapshot to the online store; retried where the store does not respond."""
    delete_parity(settings)
    return materialize(settings, open_store(snapshot.known_at), snapshot)


@task(name="parity")
def check_parity_task(settings: Settings, snapshot: Snapshot) -> ParityReport:
    """Compare every online value with its point-in-time value; one mismatch fails the flow."""
    online = open_store()
    report = check_parity(online, open_store(snapshot.known_at), read_customers(snapshot), snapshot.as_of)
    save_parity(settings, report, snapshot.known_at, input_definitions(online, settings))
    description = "Online values compared with point-in-time values, bit for bit"
    create_table_artifact(parity_rows(report), key="parity", description=description)
    if report.mismatches:
        description = "Examples of values that differ"
        create_table_artifact(mismatch_rows(report), key="parity-mismatches", description=description)
        delete_online_state(settings)
    require_parity(report)
    return report


@flow(name="features", flow_run_name=run_name, persist_result=False)
def features(as_of: datetime | None = None, known_at: datetime | None = None, apply: bool = True) -> FeaturesResult:
    """Fill the online store with the features of a time, and prove that they equal the features of training.

    Args:
        as_of: Time of the features; when left out the last midnight (UTC), or HOLDFAST_CLOCK's now.
        known_at: Use only data that had arrived by then; all data when left out.
        apply: Apply the feature definitions of this checkout first. Otherwise the flow fails if they are not applied:
            scheduled runs change no definitions.
    """
    settings = configure()
    time = resolve_daily_as_of(as_of, settings, run_time())
    if time.microsecond:
        raise ClockError(f"as_of {time.isoformat()} has a fraction of a second; online stores hold whole seconds.")
    with features_lock(settings):
        if not apply:
            require_applied_task()
        snapshots = snapshots_task(settings, time, resolve_known_at(known_at))
        if apply:
            apply_definitions_task()
        materialized = materialize_task(settings, snapshots[0])
        parity = check_parity_task(settings, snapshots[0])
    return FeaturesResult(time, snapshots[0].known_at, [s.view for s in snapshots], materialized, parity)


if __name__ == "__main__":
    run_flow(features)
