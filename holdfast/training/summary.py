"""Summary of a training result as text."""

from collections.abc import Sequence

from holdfast.training.evaluation_report import Evaluation


def summarize_training(
    version: str, trained: bool, evaluation: Evaluation, failed: Sequence[str], challenger: bool, champion: bool
) -> str:
    """Summarize registration, test and gates of a training, with the next command.

    Args:
        version: Registered version.
        trained: False if an earlier training of the same data, definitions and settings had registered it.
        evaluation: Evaluation of the version.
        failed: Names of failed gates.
        challenger: True if the version is the challenger.
        champion: True if the version is the champion.

    Returns:
        Two sentences.
    """
    status = "is registered" if trained else "exists already, from the same data, definitions and settings"
    test = (
        f"Version {version} {status}: {evaluation.chosen}; ROC-AUC {evaluation.metrics['model']['roc_auc']} on "
        f"{evaluation.rows:,} test rows, {evaluation.cutoffs[0]:%Y-%m} to {evaluation.cutoffs[-1]:%Y-%m}."
    )
    return f"{test}\n{_gate_summary(version, failed, challenger, champion)}"


def _gate_summary(version: str, failed: Sequence[str], challenger: bool, champion: bool) -> str:
    again = f"`python -m flows.gates --version {version}`"
    if failed:
        return f"It failed {', '.join(failed)}, and is not the challenger. Details: {again}"
    if champion:
        return "It passed every gate, and is the champion already: nothing to do."
    if challenger:
        return f"It passed every gate and is the challenger. Next: `python -m flows.promote --version {version}`"
    return f"It passed every gate, but the champion has changed in the meantime. Evaluate it again: {again}"
