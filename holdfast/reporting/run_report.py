"""Report of a main job that ends without a new served model: too little history, no signal, or a refused version."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from feature_repo.settings import Settings
from holdfast.core.atomic_files import replace_file
from holdfast.promotion.gate_rules import SIGNAL_GATES, GateRule, list_gate_rules
from holdfast.promotion.gates import GateResult
from holdfast.promotion.signal_power import POWER, compute_needed_data
from holdfast.reporting.commands import JobOptions, format_command
from holdfast.reporting.flow_results import TrainResult
from holdfast.training.evaluation_report import Evaluation, Interval
from holdfast.training.history import COVERED_SHARE, HorizonFit, ShopHistory, count_needed_days

Outcome = Literal["too little history", "no signal", "refused"]
_YEAR_DAYS = 365
_WEAK_ROC_AUC = 0.55  # below, a ranking is of no use to anybody


class RunReport(BaseModel):
    """Result of a main job without a new served model, as in ``run-summary.json``.

    Attributes:
        text: The report, Markdown.
        version: Trained version; None where nothing was trained.
        failed: Names of the failed gates.
        days_had: Days of history; None if they are not the cause.
        days_needed: Days of history that a training needs.
    """

    model_config = {"protected_namespaces": ()}

    outcome: Outcome
    text: str
    version: str | None = None
    failed: list[str] = []
    days_had: int | None = None
    days_needed: int | None = None

    @property
    def is_result(self) -> bool:
        """Return whether the job ended in order: the data allow no model, which is a result and no error."""
        return self.outcome != "refused"


def write_report(report: RunReport, data: Path, replaces_summary: bool) -> Path:
    """Write the report as Markdown and, where no summary follows, as JSON in place of the summary of an earlier run.

    Args:
        report: Report of the job.
        data: Data folder.
        replaces_summary: Whether no model is served, so that ``run-summary.json`` is this report.

    Returns:
        The Markdown file.
    """
    path = data / "run-report.md"
    texts = {path: report.text}
    if replaces_summary:
        texts[data / "run-summary.json"] = report.model_dump_json(indent=2)
    for target, text in texts.items():
        with replace_file(target) as temporary:
            temporary.write_text(f"{text}\n", encoding="utf-8")
    return path


def find_short_history(
    history: ShopHistory, fit: HorizonFit, min_history_days: int, settings: Settings, options: JobOptions
) -> RunReport | None:
    """Report a history that is too short for a training, before features are built.

    Args:
        history: History of the shop.
        fit: Fit of the horizon.
        min_history_days: Days of history before the earliest cut-off.
        settings: Settings with the horizon.
        options: Options of the main job.

    Returns:
        The report; None if the history is long enough.
    """
    if history.first is None or history.end is None or not history.customers:
        needed = None
        cause = "The data hold no purchase (an amount above 0): there is nothing to predict."
    else:
        needed = count_needed_days(history.first, settings.horizon_days, min_history_days)
        if history.days >= needed:
            return None
        cause = (
            f"The history covers {history.days} days, and a training needs {needed}: outcomes take "
            f"{settings.horizon_days} days, and those of one month to learn from must be known before one month to "
            "test on begins."
        )
    rows = [
        ("days had", f"{history.days}"),
        ("days needed", "—" if needed is None else f"{needed}"),
        ("customers with a purchase", f"{history.customers:,}"),
        ("repeat purchases", f"{len(history.gaps):,}"),
    ]
    lines = [
        "# Too little history for a model",
        f"{cause} Nothing was trained, nothing is served.",
        "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]),
        "## What a person can do",
    ]
    if needed is None:
        lines.append("- Check the column mapping: which column holds the amount, and its sign. Then ingest purchases.")
    else:
        lines.append(
            f"- Ingest older transactions, or run again in {needed - history.days} days:\n\n"
            f"      {options.command(settings)}"
        )
    if needed is not None and (shorter := _longest_horizon(history, settings.horizon_days, min_history_days)):
        within = f" ({float((history.gaps <= shorter).mean()):.0%} of the repeat purchases came within)"
        lines.append(
            f"- Predict a shorter time: this history allows a horizon of {shorter} days"
            f"{within if len(history.gaps) else ''}:\n\n      {options.command(settings, horizon_days=str(shorter))}"
        )
    if advice := describe_horizon(fit):
        lines.append(f"- {advice}")
    return RunReport(outcome="too little history", text="\n\n".join(lines), days_had=history.days, days_needed=needed)


def _longest_horizon(history: ShopHistory, horizon_days: int, min_history_days: int) -> int | None:
    """Find the longest horizon that a history allows, in weeks; None where not even one week is possible."""
    assert history.first is not None
    for days in range(horizon_days // 7 * 7, 0, -7):
        if count_needed_days(history.first, days, min_history_days) <= history.days:
            return days
    return None


def report_no_signal(trained: TrainResult, fit: HorizonFit, settings: Settings, options: JobOptions) -> RunReport:
    """Report that the best model is not surely better than the base rate.

    Args:
        trained: Trained version whose signal gates failed.
        fit: Fit of the horizon.
        settings: Settings with the data folder.
        options: Options of the main job.

    Returns:
        The report.
    """
    test, roc_auc = trained.evaluation, trained.evaluation.metrics["model"]["roc_auc"]
    lines = [
        "# No signal: the purchase history of this shop does not surely predict churn",
        f"The best model of the search ({test.chosen}) is not surely better than one probability for all customers. "
        "That is a result about the data, not an error. Nothing is served.",
        _compare_with_base_rate(test),
        "Signal is required twice, in the test and in the months before it, each with an error of 2.5%: so a shop "
        "without signal gets a model in one of more than a thousand trainings.",
        *_gate_lines(trained, SIGNAL_GATES),
        "## What would be needed",
    ]
    if needed := compute_needed_data(test, roc_auc):
        rows = "\n".join(f"| {item.roc_auc:.2f} | {item.rows:,} | {item.months} |" for item in needed)
        lines.append(
            f"Test rows and months with which a ROC-AUC would surely be above .5 with a power of {POWER:.0%} (the test "
            f"had {test.rows:,} rows in {len(test.cutoffs)} months, ROC-AUC {roc_auc}). The same number of months is "
            "needed before the test.\n\n"
            f"| true ROC-AUC | test rows | test months |\n|---|---|---|\n{rows}"
        )
    else:
        lines.append("A power calculation is not possible: the test has one outcome only, or no interval.")
    lines += ["## What a person can do", *_signal_actions(trained, fit, settings, options)]
    return RunReport(
        outcome="no signal",
        text="\n\n".join(lines),
        version=trained.model_version,
        failed=trained.gates.failed,
    )


def report_single_class(
    message: str, history: ShopHistory, fit: HorizonFit, settings: Settings, options: JobOptions
) -> RunReport:
    """Report that all labeled customers have the same outcome, so that there is nothing to distinguish.

    Args:
        message: Message of the training.
        history: History of the shop.
        fit: Fit of the horizon.
        settings: Settings with the horizon.
        options: Options of the main job.

    Returns:
        The report.
    """
    lines = [
        "# No signal: all customers have the same outcome",
        f"{message} Nothing was trained, nothing is served.",
        "## What a person can do",
    ]
    if fit.proposed_days is not None and fit.proposed_days != settings.horizon_days:
        lines.append(
            f"- {describe_horizon(fit)}\n\n      {options.command(settings, horizon_days=str(fit.proposed_days))}"
        )
    lines.append(f"- Ingest more customers or a longer history ({history.days} days, {history.customers:,} customers).")
    return RunReport(outcome="no signal", text="\n\n".join(lines))


def report_refusal(trained: TrainResult, champion: str | None, settings: Settings, options: JobOptions) -> RunReport:
    """Report why a version was refused, with the number, limit, meaning, cause and commands of each failed gate.

    Args:
        trained: Trained version that failed gates.
        champion: Version that stays champion; None without one.
        settings: Settings with the data folder.
        options: Options of the main job.

    Returns:
        The report.
    """
    version, rules = trained.model_version, {rule.name: rule for rule in list_gate_rules()}
    failed = [gate for gate in trained.gates.gates if gate.verdict == "failed"]
    stays = (
        f"Version {champion} stays champion and is served." if champion else "There is no champion, nothing is served."
    )
    lines = [
        f"# Version {version} was refused by {len(failed)} of {len(trained.gates.gates)} gates",
        f"{trained.evaluation.chosen}. {stays}",
        "`safety` holds for every version; `merit` compares the version with what could be served instead.",
    ]
    overrides: dict[str, object] = {}
    for gate in failed:
        rule = rules.get(gate.name)
        override = _find_override(rule, gate) if rule else {}
        overrides |= override
        cause, explanation = find_cause(gate, trained.evaluation)
        value = "not computed" if gate.value is None else f"{gate.value:.4g}"
        lines += [
            f"## {gate.name} ({gate.kind})",
            f"| | |\n|---|---|\n| number | {value} |\n| limit | {gate.direction} {gate.threshold:g} |\n"
            f"| measurement | {gate.detail} |\n| meaning | {rule.meaning if rule else ''} |\n"
            f"| cause | {cause}: {explanation} |",
            f"Look closer:\n\n      {_inspection_command(gate, version, settings)}",
            f"Go on past this gate:\n\n      {options.command(settings, override)}"
            if override
            else "This limit is fixed: correct the cause.",
        ]
    lines.append("## All gates")
    lines.append(f"      {format_command(settings, 'flows.gates', {'version': version})}")
    if len(failed) > 1 and all(
        rule and _find_override(rule, gate) for gate in failed for rule in [rules.get(gate.name)]
    ):
        lines.append(f"Go on past all of them:\n\n      {options.command(settings, overrides)}")
    if not champion:
        lines.append(
            f"Serve one probability for all customers instead:\n\n      {options.command(settings, serve='base-rate')}"
        )
    return RunReport(
        outcome="refused",
        text="\n\n".join(lines),
        version=version,
        failed=[gate.name for gate in failed],
    )


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
        f"{fit.covered:.0%} of this shop's repeat purchases came within {fit.horizon_days} days of the one before. "
        f"Proposed horizon: {fit.proposed_days} days, within which {COVERED_SHARE:.0%} came. With a shorter one many "
        "customers count as churned between two purchases; a longer one delays every outcome and needs more history."
    )


def find_cause(gate: GateResult, evaluation: Evaluation) -> tuple[Literal["data", "size", "season", "model"], str]:
    """Find the most likely cause of a failed gate.

    Args:
        gate: Failed gate.
        evaluation: Evaluation of the version.

    Returns:
        Kind of the cause, and an explanation.
    """
    if gate.value is None:
        return "data", "an input of the gate is missing"
    if gate.name in SIGNAL_GATES:
        upper = evaluation.metrics["model"]["roc_auc"].high
        if upper > _WEAK_ROC_AUC:
            return "size", f"the ROC-AUC may be up to {upper:.3f}; more rows and months would show it"
        return "data", f"the ROC-AUC is at most {upper:.3f}: the purchase history hardly predicts"
    if gate.name in ("level", "calibration by month", "probabilities not surely worse than the base rate"):
        days = evaluation.level.history_days if evaluation.level else None
        if days is not None and days < _YEAR_DAYS:
            return "season", f"{days} days of history hold no whole year, so the season is unknown"
        signs = {math.copysign(1, month.mean_score - month.base_rate) for month in evaluation.months}
        if len(signs) > 1:
            return "season", "the model is too high in some months and too low in others"
        return "model", "the model is off in the same direction in every month"
    if gate.name == "stability":
        return "size", f"{evaluation.customers:,} customers in the test: few customers decide the fit"
    if gate.name == "parity":
        return "data", "the online store holds other values than the offline store"
    if gate.kind == "merit":
        return "model", "the search found nothing better on this history"
    return "model", "a property of the model, not of the amount of data"


def _find_override(rule: GateRule, gate: GateResult) -> dict[str, object]:
    """Return the threshold with which the gate passes; empty for a fixed limit."""
    if rule.setting is None or gate.value is None or not math.isfinite(gate.value):
        return {}
    if gate.direction == "at most":
        return {rule.setting: math.ceil(gate.value * 1000) / 1000}
    below = math.floor(gate.value * 1000 - 0.5) / 1000
    return {rule.setting: -below if rule.setting.startswith("max_") else below}


def _inspection_command(gate: GateResult, version: str, settings: Settings) -> str:
    if gate.name == "parity":
        return format_command(settings, "flows.features")
    if gate.name in ("latency", "size", "scores as tested"):
        return format_command(settings, "flows.gates", {"version": version})
    return format_command(settings, "flows.model_card", {"version": version})


def _compare_with_base_rate(test: Evaluation) -> str:
    model, base = test.metrics["model"], test.metrics["base_rate"]
    rows = [
        ("ROC-AUC", str(model["roc_auc"]), ".500", ""),
        ("Brier score", str(model["brier"]), str(base["brier"]), ""),
        ("log loss", str(model["log_loss"]), str(base["log_loss"]), _signed(test.log_loss_gains.get("base_rate"))),
    ]
    if test.folds is not None:
        rows.append(("ROC-AUC, months before the test", str(test.folds.roc_auc), ".500", ""))
        rows.append(("log loss saved, months before the test", "", "", _signed(test.folds.log_loss_gain)))
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"| with 95% interval | best model | base rate | saved over the base rate |\n|---|---|---|---|\n{table}"


def _signed(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.value:+.4f} ({interval.low:+.4f} to {interval.high:+.4f})"


def _gate_lines(trained: TrainResult, names: Sequence[str]) -> list[str]:
    return [f"- {gate.name}: {gate.verdict}, {gate.detail}" for gate in trained.gates.gates if gate.name in names]


def _signal_actions(trained: TrainResult, fit: HorizonFit, settings: Settings, options: JobOptions) -> list[str]:
    card = format_command(settings, "flows.model_card", {"version": trained.model_version})
    actions = [
        f"- Look at the model anyway:\n\n      {card}",
        "- Serve one probability for all customers, a constant without a ranking, so that the service, the scores and "
        f"the monitoring run until there is a model:\n\n      {options.command(settings, serve='base-rate')}",
        "- Ingest a longer history or more customers, and run again.",
    ]
    if fit.is_bad and fit.proposed_days is not None:
        command = options.command(settings, horizon_days=str(fit.proposed_days))
        actions.append(f"- Try another horizon. {describe_horizon(fit)}\n\n      {command}")
    return actions
