"""Daily run: ingest, features, scores. `python -m flows.daily`."""

from datetime import datetime

from prefect import flow

from feature_repo.settings import Settings
from flows import configure
from flows._cli import run_flow
from flows._tasks import run_name, run_time, task
from flows.features import features
from flows.ingest import ingest
from flows.retire import retire_definitions_task
from flows.score import score
from holdfast.ingestion.as_of import resolve_daily_as_of
from holdfast.ingestion.datasets import pair_sources, require_no_replay
from holdfast.models.contract import CHAMPION
from holdfast.models.registered_version import NoSuchAliasError
from holdfast.models.registry_client import RegistryClient
from holdfast.reporting.flow_results import DailyResult
from holdfast.runtime.endpoints import EndpointSettings
from holdfast.runtime.progress import report_progress


@task(name="find champion")
def describe_missing_champion_task(settings: Settings) -> str | None:
    """Return why no customer can be scored; None if there is a champion.

    Other problems of the registry are left to the scoring.
    """
    try:
        RegistryClient(settings.mlflow_tracking_uri).get_by_alias(CHAMPION)
    except NoSuchAliasError as error:
        return f"No customer is scored. {error}"
    return None


@flow(name="daily", flow_run_name=run_name, persist_result=False)
def daily(
    source: list[str] | None = None,
    mapping: list[str] | None = None,
    dataset: str = "cdnow",
    as_of: datetime | None = None,
) -> DailyResult:
    """Ingest the new rows of each source, build features and score all customers; a failed step ends the run.

    Feature definitions that no model needs any more are retired.

    Args:
        source: File or folder, with a mapping; HOLDFAST_SOURCE when left out. Repeat the option for several sources.
        mapping: YAML file that maps the columns; HOLDFAST_MAPPING when left out. One for each source, in their order.
        dataset: Known data set, read where there is no source.
        as_of: Time of features and scores; when left out the last midnight (UTC), or HOLDFAST_CLOCK's now.
    """
    configure()
    ingested = tuple(ingest(*pair, dataset) for pair in _sources(source, mapping))
    settings = Settings.from_environment()  # again: the ingested data may determine the clock
    time = resolve_daily_as_of(as_of, settings, run_time())
    built = features(time, apply=False)
    if problem := describe_missing_champion_task(settings):
        report_progress(problem)
        return DailyResult(ingested, built, None, problem)
    scored = score(time)
    retire_definitions_task(settings)
    return DailyResult(ingested, built, scored)


def _sources(source: list[str] | None, mapping: list[str] | None) -> list[tuple[str | None, str | None]]:
    endpoints = EndpointSettings.from_environment()
    pairs = pair_sources(source or map(str, endpoints.source), mapping or map(str, endpoints.mapping))
    if not pairs:
        return [(None, None)]  # the data set
    require_no_replay(Settings.from_environment(), pairs[0][0])
    return [*pairs]


if __name__ == "__main__":
    run_flow(daily)
