"""Results of the flows and their summaries for the command line."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Literal

from typing_extensions import TypeVar

from holdfast.core.formatting import format_count, format_minute
from holdfast.model_versions.gate_settings import describe_changed_thresholds
from holdfast.models.contract import CHAMPION, MODEL_NAME
from holdfast.models.declaration import model_option
from holdfast.promotion.gates import describe_verdict

if TYPE_CHECKING:
    from holdfast.alerting.alert import OpenAlert
    from holdfast.alerting.delivery import DeliveryCounts
    from holdfast.batch_scoring.scoring_run import ScoreResult
    from holdfast.feature_store.parity import ParityReport
    from holdfast.ingestion.results import IngestResult
    from holdfast.monitoring.findings import Finding, View
    from holdfast.promotion.gates import GateResult
    from holdfast.training.evaluation_report import Evaluation
    from holdfast.training.regression.report import RegressionEvaluation


# Of the kind of the model.
EvaluationT = TypeVar("EvaluationT", bound="Evaluation | RegressionEvaluation", default="Evaluation", covariant=True)


@dataclass(frozen=True)
class VersionFeatures:
    """Online values of one version of the feature definitions.

    Attributes:
        version: Id of the version.
        materialized: False where the online store held these features already.
    """

    version: str
    known_at: datetime
    feature_views: list[str]
    materialized: bool
    parity: "ParityReport"

    @property
    def state_summary(self) -> str:
        """Return the state of the store and the counts of the comparison, without a full stop."""
        state = "materialized" if self.materialized else "in place"
        return (
            f"{state}; {format_count(self.parity.values_compared, 'value')} compared, "
            f"{format_count(self.parity.mismatches, 'mismatch')}"
        )


@dataclass(frozen=True)
class FeaturesResult:
    """Online values of every version of the feature definitions after a run of features.

    Attributes:
        versions: At least one; the version of the applied definitions, where it is registered, is the last one.
    """

    as_of: datetime
    versions: list[VersionFeatures]

    @property
    def current(self) -> VersionFeatures:
        """Return the values of the latest version."""
        return self.versions[-1]

    @property
    def state_summary(self) -> str:
        """Return the state of each version, without a full stop; ids only where there are several versions."""
        if len(self.versions) == 1:
            return self.current.state_summary
        return "; ".join(f"version {item.version} {item.state_summary}" for item in self.versions)


@dataclass(frozen=True)
class DailyResult:
    """Results of the three steps of a daily run.

    Attributes:
        ingested: Result of each source.
        scored: None where there is no champion; ``not_scored`` is the reason then.
    """

    ingested: "tuple[IngestResult, ...]"
    built: FeaturesResult
    scored: "ScoreResult | None"
    not_scored: str | None = None

    def summary(self) -> str:
        """Describe each step in one line.

        Returns:
            The lines.
        """
        lines = [
            *(ingested.summary() for ingested in self.ingested),
            f"Features as of {format_minute(self.built.as_of)} {self.built.state_summary}.",
            self.scored.summary() if self.scored else self.not_scored or "",
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class BackfillResult:
    """Days of a backfill: those scored in this run, and those skipped because they had scores."""

    scored: list[datetime]
    skipped: list[datetime]
    model_version: str | None

    def summary(self) -> str:
        """Describe the backfill in one line.

        Returns:
            The line.
        """
        version = f" with version {self.model_version}" if self.scored else ""
        skipped = f"; skipped {_days(self.skipped)}, which have scores" if self.skipped else ""
        return f"Scored {_days(self.scored)}{version}{skipped}."


@dataclass(frozen=True)
class MonitorResult:
    """Summaries and findings of the monitoring views.

    Attributes:
        views: One sentence per view.
        empty: Views without any data in the window.
        past: Views for which a later window was monitored before; events and alerts follow from none of these.
    """

    as_of: datetime
    views: "dict[View, str]"
    findings: "tuple[Finding, ...]"
    empty: "tuple[View, ...]" = ()
    past: "tuple[View, ...]" = ()

    def summary(self) -> str:
        """Describe each view and each finding in one line.

        Returns:
            The lines.
        """
        lines = [f"as of {format_minute(self.as_of)}", *(f"{view}: {summary}" for view, summary in self.views.items())]
        lines += [f"{item.severity}: {item.event} {item.subject}: {item.summary}" for item in self.findings]
        if not self.findings:
            lines.append("no data in the window" if len(self.empty) == len(self.views) else "no findings")
        if self.past:
            lines.append(f"{', '.join(self.past)}: window in the past, without events and alerts")
        return "\n".join(lines)


@dataclass(frozen=True)
class AlertsResult:
    """Open alerts, worst first, and the counts of the delivery."""

    open: "list[OpenAlert]"
    delivered: "DeliveryCounts"

    def summary(self) -> str:
        """Describe each open alert and the delivery.

        Returns:
            The lines.
        """
        lines = []
        for item in self.open:
            lines += [
                f"{item.severity:8}  {item.key}  since {item.opened:%Y-%m-%d %H:%M}, raised "
                f"{format_count(item.count, 'time')}",
                f"          {item.text}",
            ]
            links = (("evidence", item.evidence_url), ("runbook", item.runbook))
            lines += [f"          {name}: {link}" for name, link in links if link]
        sent = self.delivered
        lines.append(f"{len(self.open)} open. Sent {sent.sent}, waiting {sent.waiting}, given up {sent.given_up}.")
        return "\n".join(lines)


@dataclass(frozen=True)
class RecoveredRun:
    """Action for a flow run: crashed or cancelled (its new state), repeated, or reported."""

    run: str
    deployment: str
    done: str


@dataclass(frozen=True)
class GatesResult:
    """Verdict of the gates on a version.

    Attributes:
        champion: The version it was compared with; None where there was no champion.
        challenger: Whether the version is the challenger now.
        computed: False where an earlier run had passed the version on the same evidence.
        warnings: Findings that fail no gate.
        unrecorded: Reason why the verdict was not recorded; empty if it was.
        model_name: Name of the registered model.
    """

    version: str
    champion: str | None
    passed: bool
    challenger: bool
    computed: bool
    gates: "list[GateResult]"
    warnings: list[str] = field(default_factory=list)
    unrecorded: str = ""
    model_name: str = MODEL_NAME

    @property
    def failed(self) -> list[str]:
        """Return the names of failed gates."""
        return [gate.name for gate in self.gates if gate.verdict == "failed"]


@dataclass(frozen=True)
class TrainResult(Generic[EvaluationT]):
    """A registered version, its evaluation on the test period, and the verdict of its gates.

    Attributes:
        trained: False where an earlier training had given this version from the same data, definitions and settings.
        is_champion: Whether the version is the champion.
    """

    model_name: str
    model_version: str
    run_id: str
    trained: bool
    training_rows: int
    evaluation: EvaluationT
    gates: GatesResult
    is_champion: bool

    @property
    def version_summary(self) -> str:
        """Return the version, its model and its verdict, without a full stop."""
        action = "registered" if self.trained else "found"
        verdict = describe_verdict(self.gates.failed)
        return f"{action} version {self.model_version}: {self.evaluation.chosen}; {verdict}"

    def summary(self) -> str:
        """Describe version, test, verdict and next step.

        Returns:
            Two lines.
        """
        state = "is registered" if self.trained else "exists already, with the same data, definitions and settings"
        test = self.evaluation
        return (
            f"Version {self.model_version} {state}: {test.headline()} on "
            f"{format_count(test.rows, 'test row')}, {test.cutoffs[0]:%Y-%m} to {test.cutoffs[-1]:%Y-%m}.\nIt "
            f"{describe_verdict(self.gates.failed)}{self._describe_role()}"
        )

    def _describe_role(self) -> str:
        option = model_option(self.model_name)
        command = f"python -m flows.gates --version {self.model_version}{option}"
        if self.gates.failed:
            role = " now, but stays the champion" if self.is_champion else " and is not the challenger"
            return f"{role}. Details: `{command} --dry-run`"
        if self.is_champion:
            return " and is the champion already: no action is needed."
        if self.gates.challenger:
            return f" and is the challenger. Next: `python -m flows.promote --version {self.model_version}{option}`"
        return f", but the champion has changed in the meantime. Evaluate it again: `{command}`"


@dataclass(frozen=True)
class RetrainResult:
    """Decision about a retraining, its reason, and the resulting version."""

    retrained: bool
    why: str
    version: str | None = None
    passed: bool = False
    challenger: bool = False

    def summary(self) -> str:
        """Describe decision, reason and verdict in one line.

        Returns:
            The line.
        """
        if not self.retrained:
            return f"Not retrained: {self.why}."
        verdict = "is the challenger" if self.challenger else "passed its gates" if self.passed else "failed its gates"
        return f"Retrained: {self.why}. Version {self.version} {verdict}."


@dataclass(frozen=True)
class RetrainResults:
    """Decision by model."""

    models: dict[str, RetrainResult]

    @property
    def retrained(self) -> bool:
        """Return whether any model was retrained."""
        return any(item.retrained for item in self.models.values())

    def summary(self) -> str:
        """Describe each decision in one line.

        Returns:
            The lines; the model is named where there are several.
        """
        if len(self.models) == 1:
            return next(iter(self.models.values())).summary()
        return "\n".join(f"{name}: {item.summary()}" for name, item in self.models.items())


@dataclass(frozen=True)
class PromoteResult:
    """The champion after a promotion.

    Attributes:
        previous: The champion before.
        by: The person that decided, such as "claimed by Ann".
        thresholds: Gate thresholds other than the defaults.
    """

    version: str
    previous: str | None
    moved: bool
    by: str
    why: str
    thresholds: dict[str, Any] = field(default_factory=dict)

    @property
    def champion_summary(self) -> str:
        """Return the champion, without a full stop."""
        return f"champion is version {self.version}{'' if self.moved else ', as before'}"

    def summary(self) -> str:
        """Describe the champion, who decided and why.

        Returns:
            One line.
        """
        if not self.moved:
            return f"Version {self.version} is the {CHAMPION} already: nothing was decided, no approval was requested."
        before = f"after version {self.previous}" if self.previous else "the first"
        changed = describe_changed_thresholds(self.thresholds)
        parts = [f"{CHAMPION} is version {self.version}, {before}.", changed, f"Approved, {self.by}: {self.why}"]
        return " ".join(filter(None, parts))


@dataclass(frozen=True)
class RolloutResult:
    """Result of the last rollout of a run.

    Attributes:
        version: None where there was nothing to do; ``text`` is the reason then.
    """

    version: str | None
    verdict: Literal["passed", "breached", "stopped", "nothing"]
    text: str

    def summary(self) -> str:
        """Describe the result.

        Returns:
            One line.
        """
        return self.text


def _days(days: list[datetime]) -> str:
    return f"{format_count(len(days), 'day')} ({days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d})" if days else "no day"
