"""Gate report of a version: artifact of its run, verdict on the version, alias ``challenger``."""

import time
from datetime import datetime

from mlflow.entities import Metric, RunTag
from mlflow.exceptions import MlflowException
from pydantic import BaseModel, ConfigDict, ValidationError

from feature_repo.settings import Settings
from feature_repo.source_hash import sha256
from holdfast.core.errors import HoldfastError
from holdfast.model_versions.aliases import (
    drop_challenger,
    get_challenger_version,
    get_champion_version,
    get_version,
    promotion_lock,
    set_challenger,
)
from holdfast.model_versions.gate_settings import GateSettings, RegressionGateSettings
from holdfast.model_versions.records import GatesRecord
from holdfast.models.contract import MODEL_NAME
from holdfast.promotion.gates import GateResult
from holdfast.training.mlflow_client import ModelClient
from holdfast.training.run_artifacts import read_file

_GATES_FILE = "gates.json"


class BadReportError(HoldfastError):
    """Gate report that cannot be read."""


class GateReport(BaseModel):
    """Verdict on a version with all gates.

    Attributes:
        model_name: Name of the registered model.
        warnings: Findings that fail no gate, such as a level that cannot be known.
    """

    model_config = ConfigDict(frozen=True)

    model_name: str = MODEL_NAME
    version: str
    champion: str | None
    key: str
    when: datetime
    settings: GateSettings | RegressionGateSettings
    gates: list[GateResult]
    warnings: list[str] = []

    @property
    def failed(self) -> list[str]:
        """Return the names of failed gates."""
        return [gate.name for gate in self.gates if gate.verdict == "failed"]


def find_report(client: ModelClient, version: str, key: str) -> GateReport | None:
    """Find a complete report of the same evidence without a failed gate.

    A failed report is not reused: latency depends on the load of the machine, and a missing value may be available now.
    An unreadable report is computed again.

    Args:
        client: MLflow client.
        version: Version of the report.
        key: Key of the evidence.

    Returns:
        The report; None if the gates have to be evaluated.
    """
    record = GatesRecord.load(client, version)
    if record is None or record.key != key:
        return None
    try:
        report = read_report(client, version, key)
    except BadReportError:
        return None
    return report if report and not report.failed else None


def read_report(client: ModelClient, version: str, key: str) -> GateReport | None:
    """Read a report.

    Args:
        client: MLflow client.
        version: Version of the report.
        key: Key of the evidence.

    Returns:
        The report; None if it is missing.

    Raises:
        BadReportError: The report cannot be read.
    """
    run_id = str(get_version(client, version).run_id)
    try:
        content = read_file(client, run_id, _path(key))
    except (MlflowException, OSError):
        return None
    try:
        return GateReport.model_validate_json(content)
    except ValidationError as error:
        raise BadReportError(
            f"The artifact {_path(key)} of MLflow run {run_id}, the verdict over {client.model_name} version "
            f"{version}, is unreadable: {error.errors()[0]['msg']}. Run `python -m flows.gates --version "
            f"{version}` again."
        ) from error


def record_report(client: ModelClient, report: GateReport) -> None:
    """Log a report to the run of its version: as ``gates.json``, under its key, and as metrics.

    Args:
        client: MLflow client.
        report: Report to log.
    """
    run_id = str(get_version(client, report.version).run_id)
    for path in (_path(report.key), _GATES_FILE):
        client.log_text(run_id, report.model_dump_json(indent=2), path)
    now = int(time.time() * 1000)
    metrics = [Metric(f"gate.{gate.slug}", gate.value, now, 0) for gate in report.gates if gate.value is not None]
    verdict = f"failed: {', '.join(report.failed)}" if report.failed else "passed"
    client.log_batch(run_id, metrics=metrics, tags=[RunTag(GatesRecord.TAG, verdict)])  # one commit, not one of each


def retains_verdict(client: ModelClient, version: str) -> bool:
    """Check if a version is the champion with a passed verdict, which a later evaluation does not replace.

    The version was promoted on that verdict: lineage and model card show it, and a rollback to the version requires it.
    A busy machine that fails the latency gate must not change either.

    Args:
        client: MLflow client.
        version: Version number.

    Returns:
        True if the verdict stays.
    """
    record = GatesRecord.load(client, version)
    return record is not None and record.verdict == "passed" and get_champion_version(client) == version


def explain_unrecorded(client: ModelClient, version: str, dry_run: bool) -> str:
    """Explain why the verdict of an evaluation is not recorded.

    Args:
        client: MLflow client.
        version: Version number.
        dry_run: Whether the evaluation only shows the gates.

    Returns:
        A sentence; "" if the verdict is recorded.
    """
    if dry_run:
        return "Dry run: no verdict was recorded and no alias was set."
    if retains_verdict(client, version):
        return "It is the champion: the verdict on which it was promoted stays, and this one was not recorded."
    return ""


def apply_verdict(client: ModelClient, settings: Settings, report: GateReport) -> bool:
    """Store the verdict on the version and set or drop the alias ``challenger``.

    A killed call is completed by the next. A version becomes challenger only of the champion that it was compared with.
    A champion's passed verdict stays.

    Args:
        client: MLflow client.
        settings: Settings with the registry.
        report: Report with the verdict.

    Returns:
        True if the version is the challenger now.
    """
    record = GatesRecord(
        verdict="failed" if report.failed else "passed",
        champion=report.champion,
        settings=sha256(report.settings.model_dump_json()),
        when=report.when,
        failed=report.failed,
        key=report.key,
        thresholds=report.settings.non_defaults(),
        warnings=report.warnings,
    )
    with promotion_lock(settings):
        if retains_verdict(client, report.version):  # promoted during this evaluation
            return False
        if report.failed:
            drop_challenger(client, report.version)  # before the verdict: the alias is never on one that failed
        record.save(client, report.version)
        if not report.failed and get_champion_version(client) == report.champion:
            set_challenger(client, report.version)
        return get_challenger_version(client) == report.version


def _path(key: str) -> str:
    return f"gates/{key[:16]}.json"
