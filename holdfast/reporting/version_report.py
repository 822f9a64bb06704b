"""Reports of a main job whose version is not served: no signal, or refused by gates."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from feature_repo.settings import Settings
from holdfast.core.formatting import format_count
from holdfast.core.plain_text import escape_prose
from holdfast.promotion.gate_rules import GateRule
from holdfast.promotion.gates import GateResult, list_gate_rules
from holdfast.promotion.safety_gates import SIGNAL_ERROR, SIGNAL_GATES
from holdfast.promotion.signal_power import POWER, compute_needed_data
from holdfast.reporting.commands import JobOptions, format_command
from holdfast.reporting.flow_results import TrainResult
from holdfast.reporting.history_report import advise_horizon, propose_horizon, report_single_class
from holdfast.reporting.run_report import RunReport, describe_served
from holdfast.training.evaluation_report import Evaluation, Interval
from holdfast.training.history import ShopHistory
from holdfast.training.recipe import BASE_RATE

_YEAR_DAYS = 365
_WEAK_ROC_AUC = 0.55  # below, a ranking is of no use to anybody
_TERMS = (
    "ROC-AUC: order of the customers, .5 is chance and 1 is perfect. Brier score and log loss: error of the "
    "probabilities, smaller is better."
)


def report_training(
    trained: Sequence[TrainResult],
    single_class: str,
    champion: str | None,
    history: ShopHistory,
    settings: Settings,
    options: JobOptions,
) -> RunReport | None:
    """Report why a version of a run is not served.

    Args:
        trained: Versions in the order of their training: that of the search, then the base rate if it was requested.
        single_class: Message of a training without both outcomes, which gives no version.
        champion: Version that is served; None without one.
        history: History of the shop.
        settings: Settings with the data folder and the horizon.
        options: Options of the main job.

    Returns:
        The report on the last version that failed gates; None if every version passed.
    """
    if not trained:
        return report_single_class(single_class, champion, history, settings, options)
    failed = [result for result in trained if not result.gates.passed]
    if not failed:
        return None
    if any(gate.name in SIGNAL_GATES and gate.value is not None for gate in _list_failed(failed[-1])):
        return report_no_signal(failed[-1], champion, history, settings, options)
    return report_refusal(failed[-1], champion, settings, options)


def report_no_signal(
    trained: TrainResult, champion: str | None, history: ShopHistory, settings: Settings, options: JobOptions
) -> RunReport:
    """Report that the best model is not surely better than the base rate.

    Args:
        trained: Trained version whose signal gates failed.
        champion: Version that is served; None without one.
        history: History of the shop.
        settings: Settings with the data folder and the horizon.
        options: Options of the main job.

    Returns:
        The report.
    """
    test, roc_auc = trained.evaluation, trained.evaluation.metrics["model"]["roc_auc"]
    lines = [
        "# No signal: the purchase history of this shop does not surely predict churn",
        f"The best model of the search ({test.chosen}) is not surely better than one probability for all customers. "
        f"That is a result about the data, not an error. {_describe_served(trained.model_version, champion)}",
        _TERMS,
        _compare_with_base_rate(test),
        *test.history_notes,
        *test.describe_skipped(),
        f"Signal is required twice, in the test and in the months before it, each with an error of {SIGNAL_ERROR:.0%}: "
        f"so a shop without signal gets a model in about one of {1 / SIGNAL_ERROR**2:,.0f} trainings.",
        *_gate_lines(trained),
        "## What would be needed",
    ]
    if needed := compute_needed_data(test, roc_auc):
        rows = "\n".join(f"| {item.roc_auc:.2f} | {item.rows:,} | {item.months} |" for item in needed)
        lines.append(
            f"Test data with which {POWER:.0%} of all trainings would find a model of the given true ROC-AUC. The test "
            f"had {format_count(test.rows, 'row')} in {format_count(len(test.cutoffs), 'month')}, with ROC-AUC "
            f"{roc_auc}. The same number of months is needed before the test.\n\n"
            f"| true ROC-AUC | test rows | test months |\n|---|---|---|\n{rows}"
        )
    else:
        lines.append("A power calculation is not possible: the test has one outcome only, or no interval.")
    lines += ["## What a person can do", *_signal_actions(trained, champion, history, settings, options)]
    return RunReport(
        outcome="no signal",
        text="\n\n".join(lines),
        version=trained.model_version,
        champion=champion,
        failed=trained.gates.failed,
    )


def report_refusal(trained: TrainResult, champion: str | None, settings: Settings, options: JobOptions) -> RunReport:
    """Report why a version was refused, with the number, limit, meaning, cause and commands of each failed gate.

    Args:
        trained: Trained version that failed gates.
        champion: Version that is served; None without one.
        settings: Settings with the data folder.
        options: Options of the main job.

    Returns:
        The report.
    """
    version, rules = trained.model_version, {rule.name: rule for rule in list_gate_rules()}
    failed = _list_failed(trained)
    lines = [
        f"# Version {version} was refused by {len(failed)} of {format_count(len(trained.gates.gates), 'gate')}",
        f"Model: {trained.evaluation.chosen}. {_describe_served(version, champion)}",
        "A gate is a limit that a version must keep before it can be served. A `safety` gate holds for every version, "
        "a `merit` gate compares the version with what could be served instead. The number of a gate with an interval "
        f"is the end of the interval that is nearest to the limit: only what is sure fails. {_TERMS}",
        *trained.evaluation.history_notes,
        *trained.evaluation.describe_skipped(),
    ]
    overrides = _find_overrides(failed, rules)
    others = "; the other failed gates still refuse the version" if len(failed) > 1 else ""
    past_gate = f"Run again with a limit that the version keeps{others}:"
    for gate in failed:
        rule = rules.get(gate.name)
        override = {rule.setting: overrides[rule.setting]} if rule and rule.setting in overrides else {}
        cause, explanation = find_cause(gate, trained.evaluation)
        value = "not computed" if gate.value is None else f"{gate.value:.4g}"
        lines += [
            f"## {gate.name} ({gate.kind})",
            f"| | |\n|---|---|\n| number | {value} |\n| limit | {gate.direction} {gate.threshold:g} |\n"
            f"| measurement | {escape_prose(gate.detail)} |\n| meaning | {rule.meaning if rule else ''} |\n"
            f"| cause | {cause}: {escape_prose(explanation)} |",
            f"Look closer:\n\n      {_inspection_command(gate, version, settings, options)}",
            f"{past_gate}\n\n      {options.command(settings, override)}" if override else _describe_remedy(gate, rule),
        ]
    lines += ["## All gates", f"      {options.gates_command(settings, version)}"]
    fixed = [gate.name for gate in failed if not _find_overrides([gate], rules)]
    if fixed:
        lines.append(f"No limit can be set for: {', '.join(fixed)}. While they fail, the version cannot be served.")
    elif len(failed) > 1:
        lines.append(f"Run again with limits that the version keeps:\n\n      {options.command(settings, overrides)}")
    if _may_serve_base_rate(trained, champion):
        lines.append(
            f"Serve one probability for all customers instead:\n\n      {options.command(settings, serve='base-rate')}"
        )
    return RunReport(
        outcome="refused",
        text="\n\n".join(lines),
        version=version,
        champion=champion,
        failed=[gate.name for gate in failed],
    )


def _describe_served(version: str, champion: str | None) -> str:
    """Describe what is served; a champion that is evaluated again stays."""
    stays = " It stays: the verdict on which it was promoted counts." if version == champion else ""
    return f"{describe_served(champion)}{stays}"


def _describe_remedy(gate: GateResult, rule: GateRule | None) -> str:
    """Describe what to do about a gate whose limit cannot be set."""
    if gate.value is None:
        return "The gate could not be computed, which no limit changes: correct the cause, and run again."
    return f"This limit is fixed. {rule.remedy if rule else ''}".strip()


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
        folds = evaluation.folds if gate.name == SIGNAL_GATES[1] else None
        upper = (folds.roc_auc if folds else evaluation.metrics["model"]["roc_auc"]).high
        if upper > _WEAK_ROC_AUC:
            return "size", f"the ROC-AUC may be up to {upper:.3f}; more rows and months would show it"
        return "data", f"the ROC-AUC is at most {upper:.3f}: the purchase history hardly predicts"
    if gate.name in ("level", "calibration by month", "probabilities not surely worse than the base rate"):
        days = evaluation.level.history_days if evaluation.level else None
        if days is not None and days < _YEAR_DAYS:
            return "season", f"the history of {format_count(days, 'day')} holds no whole year, so the season is unknown"
        signs = {math.copysign(1, month.mean_score - month.base_rate) for month in evaluation.months}
        if len(signs) > 1:
            return "season", "the model is too high in some months and too low in others"
        return "model", "the model is off in the same direction in every month"
    if gate.name == "stability":
        return "size", f"{format_count(evaluation.customers, 'customer')} in the test: few customers decide the fit"
    if gate.name == "parity":
        return "data", "the online store holds other values than the offline store"
    if gate.name == "latency":
        return "model", "the model is slow to compute, or the machine was busy: look closer to measure again"
    if gate.kind == "merit":
        return "model", "the search found nothing better on this history"
    return "model", "a property of the model, not of the amount of data"


def _find_overrides(gates: Sequence[GateResult], rules: Mapping[str, GateRule]) -> dict[str, float]:
    """Return the thresholds with which gates pass: of gates that share a setting, the threshold of the worst."""
    overrides: dict[str, float] = {}
    for gate in gates:
        setting = rules[gate.name].setting if gate.name in rules else None
        if setting is None or gate.value is None or not math.isfinite(gate.value):
            continue
        if gate.direction == "at most":
            limit = math.ceil(gate.value * 1000) / 1000
        else:
            below = math.floor(gate.value * 1000 - 0.5) / 1000
            limit = -below if setting.startswith("max_") else below
        loosest = max if setting.startswith("max_") else min
        overrides[setting] = loosest(limit, overrides.get(setting, limit))
    return overrides


def _list_failed(trained: TrainResult) -> list[GateResult]:
    return [gate for gate in trained.gates.gates if gate.verdict == "failed"]


def _inspection_command(gate: GateResult, version: str, settings: Settings, options: JobOptions) -> str:
    if gate.name == "parity":
        return format_command(settings, "flows.features")
    if gate.name in ("latency", "size", "scores as tested"):
        return options.gates_command(settings, version)
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


def _gate_lines(trained: TrainResult) -> list[str]:
    """List the signal gates, and every other gate that failed, with the cause of a failure."""
    lines = []
    for gate in trained.gates.gates:
        if gate.verdict == "failed":
            cause, explanation = find_cause(gate, trained.evaluation)
            text = escape_prose(f"failed, {gate.detail}. Cause: {cause}, {explanation}")
            lines.append(f"- {gate.name}: {text}")
        elif gate.name in SIGNAL_GATES:
            lines.append(f"- {gate.name}: {gate.verdict}, {escape_prose(gate.detail)}")
    return lines


def _may_serve_base_rate(trained: TrainResult, champion: str | None) -> bool:
    return champion is None and trained.evaluation.family != BASE_RATE


def _signal_actions(
    trained: TrainResult, champion: str | None, history: ShopHistory, settings: Settings, options: JobOptions
) -> list[str]:
    card = format_command(settings, "flows.model_card", {"version": trained.model_version})
    actions = [f"- Look at the model anyway:\n\n      {card}"]
    if _may_serve_base_rate(trained, champion):
        actions.append(
            "- Serve one probability for all customers, a constant without a ranking, so that the service, the scores "
            f"and the monitoring run until there is a model:\n\n      {options.command(settings, serve='base-rate')}"
        )
    actions.append("- Ingest a longer history or more customers, and run again.")
    if advise_horizon(history, settings):
        actions += propose_horizon(history, settings, options)
    return actions
