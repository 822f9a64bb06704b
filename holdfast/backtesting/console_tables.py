"""Terminal output of a backtest: steps, tables, recommendation."""

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from holdfast.backtesting.measures import KindMeasures, list_measures
from holdfast.backtesting.policies import policy_title
from holdfast.backtesting.results import BacktestResult, BacktestStep
from holdfast.core.formatting import format_count
from holdfast.model_versions.gate_settings import describe_changed_thresholds
from holdfast.training.evaluation_report import Interval


def format_step(step: BacktestStep) -> str:
    """Format a step in one line, for the progress of a running backtest.

    Args:
        step: Completed step.

    Returns:
        Date, duration, reason, training, scoring.
    """
    training = step.training
    if training is None:
        action = "no training"
    elif training.version is None:
        action = training.problem
    else:
        result = "promoted" if training.promoted else f"refused: {', '.join(training.gates_failed) or training.problem}"
        action = f"trained version {training.version} ({training.chosen}), {result}"
    scored = f"version {step.champion} scored {step.customers:,}" if step.champion else "no customer was scored"
    return f"{step.as_of:%Y-%m-%d} {step.seconds:6.1f} s  {step.why}: {action}; {scored}"


def print_results(results: Sequence[BacktestResult], console: Console) -> None:
    """Print a table per policy, a comparison, and the recommendation.

    Args:
        results: One per policy.
        console: Receives the tables.
    """
    for result in results:
        console.print(_steps_table(result), "")
    console.print(_comparison(results), "")
    console.print(recommend_policy(results), markup=False)
    if changed := results[0].thresholds.non_defaults():
        console.print(f"{describe_changed_thresholds(changed)} For the live gates: --thresholds '{{}}'", markup=False)


def recommend_policy(results: Sequence[BacktestResult]) -> str:
    """Recommend a policy: the one with the fewest trainings among those that no other outperforms.

    Policy A outperforms B if the 95% interval of the profit difference is above 0.

    Args:
        results: One per policy.

    Returns:
        One or two sentences.
    """
    if not any(step.customers for result in results for step in result.steps):
        return f"No customer was scored: {_explain_refusals(results)}."
    compared = [result for result in results if result.over]
    if not compared:
        return "There is nothing to compare: no cohort that two policies scored has matured."
    measures = list_measures(results[0].model)
    label, better = measures.compared_label, measures.better
    unbeaten = [
        result
        for result in compared
        if not any(measures.is_surely_worse(item.measures[measures.compared]) for item in result.over.values())
    ] or compared  # on different cohorts, each policy could be outperformed by another
    unbeaten.sort(key=lambda result: result.trained)
    texts = [f"{_named(result)} ({_trainings(result)}{_gain(result)})" for result in unbeaten]
    if len(unbeaten) == 1:
        return f"Retraining {texts[0]} is recommended: its {label} is significantly {better} than all others'."
    if unbeaten[0].policy == "never":
        return f"No policy has a significantly {better} {label} than never retraining: {'; '.join(texts[1:])}."
    return (
        f"Retraining {texts[0]} is recommended: no other {label} is significantly {better}. Not "
        f"significantly different: {'; '.join(texts[1:])}."
    )


def _named(result: BacktestResult) -> str:
    return policy_title(result.policy, result.every)


def _trainings(result: BacktestResult) -> str:
    return format_count(result.trained, "training")


def _gain(result: BacktestResult) -> str:
    if "never" not in result.over:
        return ""
    gain = result.over["never"].measures[list_measures(result.model).compared]
    return f", {gain.value:+.3f} compared with never, 95% interval {gain.low:+.3f} to {gain.high:+.3f}"


def _explain_refusals(results: Sequence[BacktestResult]) -> str:
    trainings = [step.training for result in results for step in result.steps if step.training]
    if not any(training.version for training in trainings):
        return "the history is too short for a training"
    gates = Counter(gate for training in trainings for gate in training.gates_failed)
    named = ", ".join(f"{gate} ({count})" for gate, count in gates.most_common())
    return f"no version passed its gates. Failed gates, with their number: {named}"


def _steps_table(result: BacktestResult) -> Table:
    table = _table(f"Retraining {_named(result)}")
    for name in ("step", "trained", "champion\nof"):
        table.add_column(name)
    measures = list_measures(result.model)
    for name in ("scored", measures.outcome, "predicted", *measures.steps.values()):
        table.add_column(name, justify="right")
    for step in result.steps:
        champion = f"{step.champion_as_of:%Y-%m-%d}" if step.champion_as_of else "none"
        table.add_row(
            f"{step.as_of:%Y-%m-%d}", _training(step), champion, *_scored(step, measures)
        )  # fmt: skip
    return table


def _training(step: BacktestStep) -> str:
    training = step.training
    if training is None:
        return "no"
    if training.version is None:
        return "too early"
    return "promoted" if training.promoted else "refused"


def _scored(step: BacktestStep, shown: KindMeasures) -> list[str]:
    outcome = step.outcome
    if not step.customers:
        return [""] * (3 + len(shown.steps))
    predicted = "" if step.mean_score is None else shown.format_level(step.mean_score)
    counts = [f"{step.customers:,}", shown.format_level(outcome.base_rate) if outcome else "not yet", predicted]
    measures = outcome.measures if outcome else {}
    return [*counts, *(f"{measures[name].value:.3f}" if name in measures else "" for name in shown.steps)]


def _comparison(results: Sequence[BacktestResult]) -> Table:
    table = _table("Mean over the cohorts, with 95% intervals")
    table.add_column("retraining")
    shown = list_measures(results[0].model).means
    for name in ("trained", *shown.values()):
        table.add_column(name, justify="right")
    for result in results:
        measures = result.overall.measures if result.overall else {}
        intervals = [_format_interval(measures.get(name)) for name in shown]
        table.add_row(_named(result), str(result.trained), *intervals)
    return table


def _table(title: str) -> Table:
    return Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 1, 0, 0), show_edge=False)


def _format_interval(measure: Interval | None) -> str:
    return f"{measure.value:.3f}\n{measure.low:.3f} to {measure.high:.3f}" if measure else "unknown"
