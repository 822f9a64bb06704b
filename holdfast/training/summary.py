"""The result of a training in two sentences, for the command line."""

from collections.abc import Sequence

from holdfast.training.evaluation_report import Evaluation


def summarize_training(
    version: str, trained: bool, evaluation: Evaluation, failed: Sequence[str], challenger: bool, champion: bool
) -> str:
    """What was registered or found, how its test went, how it was judged, and what to do next.

    Args:
        version: The registered version.
        trained: False: an earlier training of the same data, definitions and settings had given it.
        evaluation: Its test.
        failed: Names of the gates that stop it.
        challenger: Whether it waits for promotion.
        champion: Whether it serves already.
    """
    came = "is registered" if trained else "was there already, from the same data, definitions and settings"
    test = (
        f"Version {version} {came}: {evaluation.chosen}; ROC-AUC {evaluation.metrics['model']['roc_auc']} on "
        f"{evaluation.rows:,} test rows, {evaluation.cutoffs[0]:%Y-%m} to {evaluation.cutoffs[-1]:%Y-%m}."
    )
    return f"{test}\n{_judged(version, failed, challenger, champion)}"


def _judged(version: str, failed: Sequence[str], challenger: bool, champion: bool) -> str:
    again = f"`python -m flows.gates --version {version}`"
    if failed:
        return f"It failed {', '.join(failed)}, and is not the challenger. Why: {again}"
    if champion:
        return "It passed every gate, and is the champion already: there is nothing to do."
    if challenger:
        return f"It passed every gate and is the challenger. Next: `python -m flows.promote --version {version}`"
    return f"It passed every gate, but the champion has changed meanwhile. Judge it again: {again}"
