"""A backtest in words and tables, for the terminal."""

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from holdfast.backtesting.policies import policy_title
from holdfast.backtesting.results import BacktestResult, BacktestStep
from holdfast.model_versions.gate_settings import describe_changed_thresholds
from holdfast.training.evaluation_report import Interval


def format_step(step: BacktestStep) -> str:
    """What a policy did at a step, as it is told while the others go on."""
    made = step.training
    if made is None:
        did = "kept the champion"
    elif made.version is None:
        did = made.problem
    else:
        fate = "promoted" if made.promoted else f"refused: {', '.join(made.gates_failed) or made.problem}"
        did = f"trained version {made.version} ({made.chosen}), {fate}"
    scored = f"version {step.champion} scored {step.customers:,}" if step.champion else "nobody was scored"
    return f"{step.as_of:%Y-%m-%d} {step.seconds:6.1f} s  {step.why}: {did}; {scored}"


def print_results(results: Sequence[BacktestResult], console: Console) -> None:
    """One table per policy, one that compares them, and what to make of it."""
    for result in results:
        console.print(_steps_table(result), "")
    console.print(_comparison(results), "")
    console.print(recommend_policy(results), markup=False)
    if changed := results[0].thresholds.changed():
        console.print(f"{describe_changed_thresholds(changed)} For the live gates: --thresholds '{{}}'", markup=False)


def recommend_policy(results: Sequence[BacktestResult]) -> str:
    """Which policy to prefer, in a sentence: of those that none earns more than beyond noise, what trains least."""
    if not any(step.customers for result in results for step in result.steps):
        return f"Nobody was scored: {_refusals(results)}."
    compared = [result for result in results if result.over]
    if not compared:
        return "There is nothing to compare: no cohort that two policies scored has matured."
    unbeaten = [
        result for result in compared if all(told.measures["earned"].high >= 0 for told in result.over.values())
    ] or compared  # compared on different cohorts, each could be beaten by another
    unbeaten.sort(key=lambda result: result.trained)
    said = [f"{_named(result)} ({_trainings(result)}{_gain(result)})" for result in unbeaten]
    if len(unbeaten) == 1:
        return f"Retraining {said[0]} earns more per customer than any other policy, beyond noise."
    if unbeaten[0].policy == "never":
        return f"No policy earns more per customer than never retraining, beyond noise: {'; '.join(said[1:])}."
    return (
        f"Retraining {said[0]} is enough: none earns more per customer, beyond noise. As good: {'; '.join(said[1:])}."
    )


def _named(result: BacktestResult) -> str:
    return policy_title(result.policy, result.every)


def _trainings(result: BacktestResult) -> str:
    return f"{result.trained} training{'' if result.trained == 1 else 's'}"


def _gain(result: BacktestResult) -> str:
    if "never" not in result.over:
        return ""
    gain = result.over["never"].measures["earned"]
    return f", {gain.value:+.3f} over never, 95% interval {gain.low:+.3f} to {gain.high:+.3f}"


def _refusals(results: Sequence[BacktestResult]) -> str:
    told = [step.training for result in results for step in result.steps if step.training]
    if not any(training.version for training in told):
        return "history was too short to train on"
    gates = Counter(gate for training in told for gate in training.gates_failed)
    named = ", ".join(f"{gate} ({count})" for gate, count in gates.most_common())
    return f"no version passed its gates. Those that stopped one, and how often: {named}"


def _steps_table(result: BacktestResult) -> Table:
    table = _table(f"Retraining {_named(result)}")
    for name in ("step", "trained", "champion\nof"):
        table.add_column(name)
    for name in ("scored", "churned", "predicted", "ROC-AUC", "profit"):
        table.add_column(name, justify="right")
    for step in result.steps:
        champion = f"{step.champion_as_of:%Y-%m-%d}" if step.champion_as_of else "none"
        table.add_row(
            f"{step.as_of:%Y-%m-%d}", _training(step), champion, *_scored(step)
        )  # fmt: skip
    return table


def _training(step: BacktestStep) -> str:
    told = step.training
    if told is None:
        return "no"
    if told.version is None:
        return "too early"
    return "promoted" if told.promoted else "refused"


def _scored(step: BacktestStep) -> list[str]:
    outcome = step.outcome
    if not step.customers:
        return [""] * 5
    told = [f"{step.customers:,}", f"{outcome.base_rate:.1%}" if outcome else "not yet", f"{step.mean_score:.1%}"]
    measures = outcome.measures if outcome else {}
    return [*told, *(f"{measures[name].value:.3f}" if name in measures else "" for name in ("roc_auc", "earned"))]


def _comparison(results: Sequence[BacktestResult]) -> Table:
    table = _table("Mean over the cohorts, with 95% intervals")
    table.add_column("retraining")
    for name in ("trained", "ROC-AUC", "calibration\nerror", "profit per\ncustomer"):
        table.add_column(name, justify="right")
    for result in results:
        measures = result.overall.measures if result.overall else {}
        told = [_shown(measures.get(name)) for name in ("roc_auc", "ece", "earned")]
        table.add_row(_named(result), str(result.trained), *told)
    return table


def _table(title: str) -> Table:
    return Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 1, 0, 0), show_edge=False)


def _shown(measure: Interval | None) -> str:
    return f"{measure.value:.3f}\n{measure.low:.3f} to {measure.high:.3f}" if measure else "unknown"
