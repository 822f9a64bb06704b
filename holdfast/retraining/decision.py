"""Decision about a retraining, its record and its description."""

from datetime import datetime

from feature_repo.settings import Settings
from holdfast.core.plain_text import escape_markdown, escape_prose
from holdfast.model_versions.records import RetrainingRecord
from holdfast.models.declaration import load_declaration, registered_name
from holdfast.monitoring.skew.findings import describe_open_skew
from holdfast.retraining.attempt_log import list_attempts, retraining_lock, start_attempt
from holdfast.retraining.policy import RetrainingAttempt, RetrainingDecision, decide_retraining
from holdfast.retraining.settings import RetrainingRules
from holdfast.retraining.signals import read_signals


def decide_and_start(
    settings: Settings, champion: str | None, rules: RetrainingRules, attempt: RetrainingAttempt
) -> tuple[RetrainingDecision, RetrainingAttempt | None]:
    """Decide from persistent findings and earlier retrainings; record a decision to retrain as an attempt.

    Args:
        settings: Settings with the data folder.
        champion: Champion; None without one.
        rules: Settings of the policy.
        attempt: Attempt to start if the decision is to retrain; ``why`` is set from the decision.

    Returns:
        The decision, and the started or resumed attempt; None if the decision is not to retrain.
    """
    with retraining_lock(settings):
        kind = load_declaration(attempt.model).kind
        signals = read_signals(settings, attempt.as_of, champion, kind)
        skew = describe_open_skew(settings)
        decision = decide_retraining(signals, list_attempts(settings, attempt.model), rules, attempt.as_of, skew)
        if not decision.retrain:
            return decision, None
        return decision, start_attempt(settings, attempt.model_copy(update={"why": decision.why}))


def describe_decision(decision: RetrainingDecision, attempt: RetrainingAttempt) -> str:
    """Describe a decision for the Prefect UI.

    Args:
        decision: The decision.
        attempt: Time and cause of the run.

    Returns:
        Two paragraphs of Markdown.
    """
    verb = "Retraining" if decision.retrain else "No retraining"
    cause = f"Caused by {attempt.event} about {attempt.subject}." if attempt.event else "Started manually."
    name, time = registered_name(attempt.model), f"{attempt.as_of:%Y-%m-%d %H:%M} UTC"
    return f"**{verb}** of {name} as of {time}: {escape_prose(decision.why)}.\n\n{escape_markdown(cause)}"


def build_cause_record(attempt: RetrainingAttempt, registered_at: datetime, now: datetime) -> RetrainingRecord | None:
    """Build the record of the cause of a version.

    Args:
        attempt: The retraining.
        registered_at: Registration of the version, to the second.
        now: Time of the record.

    Returns:
        The record; None if the version is older than the retraining, which then registered no version.
    """
    if registered_at < attempt.begun.replace(microsecond=0):
        return None
    cause = f"{attempt.event} about {attempt.subject}" if attempt.event else "manually"
    return RetrainingRecord(as_of=attempt.as_of, why=attempt.why, prompted=cause, when=now)
