"""Summary of a training run for the command line."""

from collections.abc import Sequence

from holdfast.training.evaluation_report import Evaluation


def summarize_training(
    version: str, trained: bool, evaluation: Evaluation, failed: Sequence[str], challenger: bool, champion: bool
) -> str:
    """Summarize the version, its evaluation, the verdict of its gates, and the next step.

    Args:
        version: Registered version.
        trained: False for the version of an earlier training with the same data, definitions and settings.
        evaluation: Evaluation of the version.
        failed: Names of the failed gates.
        challenger: True when the version is the challenger.
        champion: True when the version is the champion.

    Returns:
        Two lines of text.
    """
    state = "is registered" if trained else "exists already, with the same data, definitions and settings"
    test = (
        f"Version {version} {state}: {evaluation.chosen}; ROC-AUC {evaluation.metrics['model']['roc_auc']} on "
        f"{evaluation.rows:,} test rows, {evaluation.cutoffs[0]:%Y-%m} to {evaluation.cutoffs[-1]:%Y-%m}."
    )
    return f"{test}\n{_summarize_gates(version, failed, challenger, champion)}"


def _summarize_gates(version: str, failed: Sequence[str], challenger: bool, champion: bool) -> str:
    command = f"`python -m flows.gates --version {version}`"
    if failed:
        return f"It failed {', '.join(failed)} and is not the challenger. Details: {command}"
    if champion:
        return "It passed every gate and is the champion already: no action is needed."
    if challenger:
        return f"It passed every gate and is the challenger. Next: `python -m flows.promote --version {version}`"
    return f"It passed every gate, but the champion has changed in the meantime. Evaluate it again: {command}"
