"""Reports of a main job whose history allows no model: it is too short, or has one outcome only."""

import math
from dataclasses import replace
from datetime import datetime, timedelta

from feature_repo.settings import Settings
from holdfast.core.formatting import format_count
from holdfast.models.label import LabelTerms
from holdfast.reporting.commands import JobOptions, format_command
from holdfast.reporting.run_report import RunReport, describe_served
from holdfast.training.history import COVERED_SHARE, HorizonFit, ShopHistory, find_needed_end, fit_horizon
from holdfast.training.labeled_cutoffs import select_labeled_cutoffs
from holdfast.training.settings import TrainingSettings

NO_HORIZON_PROPOSAL = (
    "No horizon is proposed: with the label not_renewed it is the time before the end of a subscription in which you "
    "make an offer, and the gaps between purchases do not decide it."
)


def find_short_history(
    history: ShopHistory, training: TrainingSettings, champion: str | None, settings: Settings, options: JobOptions
) -> RunReport | None:
    """Report a history that is too short for a training, before features are built.

    Args:
        history: History of the shop.
        training: Settings with the history before the earliest cut-off and the number of cut-offs.
        champion: Version that is served; None without one.
        settings: Settings with the horizon.
        options: Options of the main job.

    Returns:
        The report; None if the history is long enough.

    Raises:
        MaxCutoffsError: The settings allow too few cut-offs for a split, however long the history is.
    """
    min_history_days, terms = training.min_history_days, LabelTerms.of(settings)
    if history.first is None or history.end is None or not history.customers:
        needed = None
        until = f" before {history.end:%Y-%m-%d}" if history.end else ""
        cause = f"The data hold no purchase (an amount above 0){until}: there is nothing to predict."
    else:
        end = _find_needed_end(history, terms, min_history_days)
        select_labeled_cutoffs(
            history.first,
            max(end, history.end),
            history.data_gaps,
            terms.outcome_days,
            terms.activity_days,
            min_history_days,
        ).split(training)
        if history.end >= end:
            return None
        needed = math.ceil((end - history.first) / timedelta(days=1))
        cause = (
            f"The history covers {format_count(history.days, 'day')}, and a training needs {needed}: "
            f"{format_count(min_history_days, 'day')} up to the first of a month to learn from, "
            f"{format_count(terms.outcome_days, 'day')} until its outcomes are known "
            f"({'whose subscription was renewed' if terms.has_subscriptions else 'who bought again'}), and the "
            f"same time after the next first of a month, to test on.{_describe_gaps(history)}"
        )
    rows = [
        ("days had", f"{history.days}"),
        ("days needed", "—" if needed is None else f"{needed}"),
        ("customers with a purchase", f"{history.customers:,}"),
        ("repeat purchases", f"{history.gaps.count:,}"),
    ]
    lines = [
        "# Too little history for a model",
        f"{cause} Nothing was trained. {describe_served(champion)}",
        "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]),
        "## What a person can do",
    ]
    if needed is None:
        lines.append(
            "- Check the column mapping: which column holds the amount, and its sign. Then ingest purchases, or choose "
            f"a later as_of.{_inspection(settings, options)}"
        )
    else:
        missing = "the missing or " if history.data_gaps else ""
        lines.append(
            f"- Ingest {missing}older transactions, or run again once the data reach {end:%Y-%m-%d} "
            f"({format_count(needed - history.days, 'day')} more):\n\n      {options.command(settings)}"
        )
    shorter = None if needed is None else _longest_horizon(history, min_history_days, terms)
    fit = _fit_horizon(history, terms)
    if shorter is not None:
        covered = f", which covers {history.gaps.share_within(shorter):.0%} of the gaps between purchases"
        within = covered if fit is not None and history.gaps.count else ""
        lines.append(
            f"- Predict a shorter time: this history allows a horizon of {format_count(shorter, 'day')}"
            f"{within}:\n\n      {options.command(settings, horizon_days=str(shorter))}"
        )
    if shorter is not None and fit is not None and fit.proposed_days is not None and fit.proposed_days <= shorter:
        lines.append(f"- {describe_horizon(fit)}")
    return RunReport(
        outcome="too little history",
        text="\n\n".join(lines),
        champion=champion,
        days_had=history.days,
        days_needed=needed,
    )


def report_single_class(
    message: str, champion: str | None, history: ShopHistory, settings: Settings, options: JobOptions
) -> RunReport:
    """Report that the labeled customers do not have both outcomes, so that there is nothing to learn.

    Args:
        message: Message of the training.
        champion: Version that is served; None without one.
        history: History of the shop.
        settings: Settings with the horizon.
        options: Options of the main job.

    Returns:
        The report.
    """
    lines = [
        "# No signal: a model needs customers with both outcomes",
        f"{message} Nothing was trained. {describe_served(champion)}",
        "## What a person can do",
    ]
    lines += propose_horizon(history, settings, options)
    lines.append(
        f"- Ingest more customers or a longer history ({format_count(history.days, 'day')}, "
        f"{format_count(history.customers, 'customer')})."
    )
    return RunReport(outcome="no signal", text="\n\n".join(lines), champion=champion)


def propose_horizon(history: ShopHistory, settings: Settings, options: JobOptions) -> list[str]:
    """Propose the horizon that fits the gaps between purchases, with the command if the history is long enough for it.

    Args:
        history: History of the shop.
        settings: Settings with the horizon.
        options: Options of the main job.

    Returns:
        An action as Markdown; none without a proposal other than the horizon.
    """
    terms = LabelTerms.of(settings)
    if terms.has_subscriptions:
        return [f"- {NO_HORIZON_PROPOSAL}"]
    fit = _fit_horizon(history, terms)
    if fit is None or fit.proposed_days is None or history.first is None or history.end is None:
        return []
    if fit.proposed_days == terms.horizon_days:
        return []
    least = int(options.training.get("min_history_days", TrainingSettings().min_history_days))
    end = _find_needed_end(history, replace(terms, horizon_days=fit.proposed_days), least)
    if end > history.end:
        return [f"- {describe_horizon(fit)} It needs data up to {end:%Y-%m-%d}; these end on {history.end:%Y-%m-%d}."]
    command = options.command(settings, horizon_days=str(fit.proposed_days))
    return [f"- Try another horizon. {describe_horizon(fit)}\n\n      {command}"]


def advise_horizon(history: ShopHistory, settings: Settings) -> str:
    """Propose a horizon where the given one is far too short or far too long for the gaps between purchases.

    Args:
        history: History of the shop.
        settings: Settings with the horizon.

    Returns:
        Sentences; "" where the horizon fits, or is not compared with purchases.
    """
    fit = _fit_horizon(history, LabelTerms.of(settings))
    return describe_horizon(fit) if fit is not None and fit.is_bad else ""


def describe_horizon(fit: HorizonFit) -> str:
    """Describe how a horizon fits the gaps between purchases, with the rule of the proposal and its reason.

    Args:
        fit: Fit of the horizon.

    Returns:
        Sentences; "" without a proposal.
    """
    if fit.proposed_days is None:
        return ""
    return (
        f"{fit.covered:.0%} of the gaps between purchases are at most {format_count(fit.horizon_days, 'day')} long, "
        f"every customer counted alike. Proposed horizon: {format_count(fit.proposed_days, 'day')}, which covers "
        f"{COVERED_SHARE:.0%}. With a shorter one many customers count as churned between two purchases; a longer one "
        "delays every outcome and needs more history."
    )


def _fit_horizon(history: ShopHistory, terms: LabelTerms) -> HorizonFit | None:
    """Compare the horizon with the gaps between purchases; None for a label that counts subscriptions."""
    return None if terms.has_subscriptions else fit_horizon(history.gaps, terms.horizon_days)


def _longest_horizon(history: ShopHistory, min_history_days: int, terms: LabelTerms) -> int | None:
    """Find the longest horizon that a history allows, in weeks; None where not even one week is possible."""
    assert history.end is not None
    for days in range(terms.horizon_days // 7 * 7, 0, -7):
        if _find_needed_end(history, replace(terms, horizon_days=days), min_history_days) <= history.end:
            return days
    return None


def _find_needed_end(history: ShopHistory, terms: LabelTerms, min_history_days: int) -> datetime:
    assert history.first is not None
    return find_needed_end(history.first, terms.outcome_days, min_history_days, terms.activity_days, history.data_gaps)


def _inspection(settings: Settings, options: JobOptions) -> str:
    """Return the commands that show how each source is read; "" for a data set, whose mapping is known."""
    sources = options.data.get("source")
    if not isinstance(sources, list):
        return ""
    commands = [format_command(settings, "flows.ingest", {"inspect": source}) for source in dict.fromkeys(sources)]
    return "".join(f"\n\n      {command}" for command in commands)


def _describe_gaps(history: ShopHistory) -> str:
    if not history.data_gaps:
        return ""
    gaps = ", ".join(f"{gap} ({format_count(gap.days, 'day')})" for gap in history.data_gaps)
    return f" Months whose outcomes or features need the days of a gap in the data cannot be used: {gaps}."
