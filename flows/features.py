"""Features: snapshots, applied definitions, materialization and parity check. `python -m flows.features`."""

from datetime import datetime

from prefect import flow, get_run_logger

from feature_repo.settings import Settings
from flows import configure
from flows._artifacts import publish_markdown, publish_table
from flows._cli import run_flow
from flows._tasks import run_name, run_time, task
from holdfast.core.definition_hashes import feature_fingerprint
from holdfast.core.plain_text import fence
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.definition_diff import describe_contents, describe_definitions, diff_definitions
from holdfast.feature_store.definition_versions import (
    explain_retirement,
    list_versions,
    open_version,
    register_version,
)
from holdfast.feature_store.feast_registry import apply_definitions, collect_definitions
from holdfast.feature_store.materialization import delete_online_state, features_lock, materialize
from holdfast.feature_store.parity import ParityReport, check_parity, delete_parity, require_parity, save_parity
from holdfast.feature_store.snapshots import Snapshot, build_snapshots, read_customers
from holdfast.ingestion.as_of import ClockError, resolve_daily_as_of, resolve_known_at
from holdfast.reporting.artifact_tables import mismatch_rows, parity_rows
from holdfast.reporting.flow_results import FeaturesResult, VersionFeatures


@task(name="feast apply")
def apply_definitions_task() -> None:
    """Apply the feature definitions of this checkout to Feast's registry."""
    store = open_store()
    changes = diff_definitions(describe_definitions(store), describe_contents(collect_definitions()))
    apply_definitions(store)
    text = "\n".join(changes) or "No changes"
    publish_markdown(fence(text), key="feast-apply", description="Changes in Feast's registry")


@task(name="register version")
def register_version_task(settings: Settings, as_of: datetime, known_at: datetime) -> str:
    """Register the applied definitions as a version, once their features could be built."""
    build_snapshots(settings, open_store(), as_of, known_at)
    return register_version(open_store())


@task(task_run_name="snapshots {as_of:%Y-%m-%d}, version {version}")
def snapshots_task(settings: Settings, version: str, as_of: datetime, known_at: datetime) -> list[Snapshot]:
    """Build the snapshots of one version and time; existing snapshots are not changed."""
    with explain_retirement(settings, version):
        return build_snapshots(settings, open_version(settings, version), as_of, known_at)


@task(task_run_name="materialize version {version}", retries=2, retry_delay_seconds=5)
def materialize_task(settings: Settings, version: str, snapshot: Snapshot) -> bool:
    """Write the snapshot to the online store; retried where the store does not respond."""
    delete_parity(settings, version)
    return materialize(settings, version, snapshot)


@task(task_run_name="parity of version {version}")
def check_parity_task(settings: Settings, version: str, snapshot: Snapshot) -> ParityReport:
    """Compare every online value with its point-in-time value; one mismatch fails the flow."""
    online, offline = open_store(definitions=version), open_store(snapshot.known_at, definitions=version)
    report = check_parity(online, offline, read_customers(snapshot), snapshot.as_of)
    save_parity(settings, version, report, snapshot.known_at, feature_fingerprint(online))
    description = f"Online values compared with point-in-time values, bit for bit; version {version}"
    publish_table(parity_rows(report), key="parity", description=description)
    if report.mismatches:
        description = f"Examples of values that differ; version {version}"
        publish_table(mismatch_rows(report), key="parity-mismatches", description=description)
        delete_online_state(settings, version)
    require_parity(report)
    return report


@flow(name="features", flow_run_name=run_name, persist_result=False)
def features(as_of: datetime | None = None, known_at: datetime | None = None, apply: bool = True) -> FeaturesResult:
    """Fill the online store with the features of a time, and prove that they equal the features of training.

    Every registered version of the feature definitions is filled; a failure of one does not stop the others.

    Args:
        as_of: Time of the features; when left out the last midnight (UTC), or HOLDFAST_CLOCK's now.
        known_at: Use only data that had arrived by then; all data when left out.
        apply: Apply the feature definitions of this checkout first, and register them as a version. Scheduled runs
            change no definitions: they do so only while no version is registered.
    """
    settings = configure()
    time, known = resolve_daily_as_of(as_of, settings, run_time()), resolve_known_at(known_at)
    if time.microsecond:
        raise ClockError(f"as_of {time.isoformat()} has a fraction of a second; online stores hold whole seconds.")
    with features_lock(settings):
        latest = None
        if apply or not list_versions(settings):
            apply_definitions_task()
            latest = register_version_task(settings, time, known)
        filled, failed = [], {}
        for version in sorted(list_versions(settings), key=lambda version: version == latest):
            try:
                filled.append(_fill_version(settings, version, time, known))
            except Exception as error:
                failed[version] = error
    for version, problem in failed.items():
        get_run_logger().error("Version %s of the feature definitions was not filled: %s", version, problem)
    if failed:
        raise next(iter(failed.values()))
    return FeaturesResult(time, filled)


def _fill_version(settings: Settings, version: str, as_of: datetime, known_at: datetime) -> VersionFeatures:
    snapshots = snapshots_task(settings, version, as_of, known_at)
    materialized = materialize_task(settings, version, snapshots[0])
    parity = check_parity_task(settings, version, snapshots[0])
    return VersionFeatures(version, snapshots[0].known_at, [s.view for s in snapshots], materialized, parity)


if __name__ == "__main__":
    run_flow(features)
