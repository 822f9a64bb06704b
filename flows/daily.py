"""Daily: new transactions, the features of the day, everybody's scores. `python -m flows.daily`"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import typer
from prefect import flow

from feature_repo.settings import Settings, load_settings
from flows import configure
from flows._tasks import run_name, run_time, task
from flows.features import FeaturesResult, features
from flows.ingest import ingest
from flows.score import score
from holdfast.ingestion.as_of import resolve_daily_as_of
from holdfast.ingestion.datasets import require_no_replay
from holdfast.ingestion.results import IngestResult
from holdfast.runtime.endpoints import load_endpoint_settings
from holdfast.runtime.progress import report_progress

if TYPE_CHECKING:
    from holdfast.batch_scoring.scoring_run import ScoreResult


@dataclass(frozen=True)
class DailyResult:
    """What each step did. ``scored`` is None, and ``not_scored`` says why, where there is no champion yet."""

    ingested: IngestResult
    built: FeaturesResult
    scored: "ScoreResult | None"
    not_scored: str

    def summary(self) -> str:
        """A line per step."""
        built = "materialised" if self.built.materialised else "in place"
        parity = self.built.parity
        lines = [
            self.ingested.summary(),
            f"Features as of {self.built.as_of:%Y-%m-%d %H:%M} UTC {built}; {parity.values_compared:,} values compared "
            f"with training's, {parity.mismatches} mismatches.",
            self.scored.summary() if self.scored else self.not_scored,
        ]
        return "\n".join(lines)


@task(name="is there a champion")
def no_champion_task(settings: Settings) -> str:
    """Why nobody can be scored yet; nothing where there is a champion. Other problems are for the scoring to tell."""
    from holdfast.models.contract import CHAMPION
    from holdfast.models.registered_version import NoSuchAliasError
    from holdfast.models.registry_client import RegistryClient

    try:
        RegistryClient(settings.mlflow_tracking_uri).get_by_alias(CHAMPION)
    except NoSuchAliasError as error:
        return f"Nobody is scored yet. {error}"
    return ""


@flow(name="daily", flow_run_name=run_name, persist_result=False)
def daily(
    source: str | None = None, mapping: str | None = None, dataset: str = "cdnow", as_of: datetime | None = None
) -> DailyResult:
    """Ingest, build features, score. A step that fails ends the run: nothing is scored from features in doubt.

    Args:
        source: File or folder of transactions; HOLDFAST_SOURCE when left out. Needs a mapping.
        mapping: YAML that says which column is what; HOLDFAST_MAPPING when left out.
        dataset: A known data set, read where neither names a source.
        as_of: The moment it is all about; when left out the last midnight (UTC), or HOLDFAST_CLOCK's now.
    """
    configure()
    ingested = ingest(*_source(source, mapping), dataset)
    settings = load_settings()  # now that there are data, they may say what time it is
    moment = resolve_daily_as_of(as_of, settings, run_time())
    built = features(moment, apply=False)
    if why := no_champion_task(settings):
        report_progress(why)
        return DailyResult(ingested, built, None, why)
    return DailyResult(ingested, built, score(moment), "")


def _source(source: str | None, mapping: str | None) -> tuple[str | None, str | None]:
    places = load_endpoint_settings()
    source = source or (str(places.source) if places.source else None)
    mapping = mapping or (str(places.mapping) if places.mapping else None)
    if source is not None:
        require_no_replay(load_settings(), source)
    return source, mapping


if __name__ == "__main__":
    from flows._cli import run_flow

    run_flow(daily, show=lambda result: typer.echo(result.summary()))
