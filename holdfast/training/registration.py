"""Final fit, evaluation and registration of the chosen model."""

from dataclasses import dataclass

import mlflow
from matplotlib.figure import Figure

from feature_repo.settings import Settings
from holdfast.models.contract import MODEL_NAME
from holdfast.models.mlflow_client import open_tracking
from holdfast.training import mlflow_tracking
from holdfast.training.baselines import score_baselines
from holdfast.training.contract_builder import build_contract
from holdfast.training.dataset import TrainingSet, read_purchase_history
from holdfast.training.evaluation import evaluate_model, veto_on_test
from holdfast.training.evaluation_report import Evaluation
from holdfast.training.fitting import fit_recipe, predict_churn
from holdfast.training.lineage import Lineage
from holdfast.training.mlflow_tracking import TrainedVersion
from holdfast.training.model_selection import ModelChoice
from holdfast.training.plots import plot_evaluation
from holdfast.training.settings import TrainingSettings


@dataclass(frozen=True)
class EvaluatedVersion:
    """A registered version, its evaluation on the test period, and the plots of the evaluation by name."""

    registered: TrainedVersion
    evaluation: Evaluation
    plots: dict[str, Figure]

    def markdown(self, lineage: Lineage) -> str:
        """Describe the version, why it was chosen and what it was trained on.

        Args:
            lineage: What the training depends on.

        Returns:
            Markdown.
        """
        evaluation = self.evaluation
        return (
            f"**{MODEL_NAME} version {self.registered.version}**: {evaluation.chosen}. {evaluation.reason}\n\n"
            f"Calibration: {evaluation.calibration}. {evaluation.calibration_reason}\n\n"
            f"MLflow run `{self.registered.run_id}`. Known at {lineage.known_at:%Y-%m-%d %H:%M} UTC, "
            f"{len(lineage.batches)} batch(es)."
        )


def evaluate_and_register(
    settings: Settings,
    training: TrainingSettings,
    lineage: Lineage,
    choice: ModelChoice,
    data: TrainingSet,
    run_id: str,
) -> EvaluatedVersion:
    """Fit the chosen model, evaluate it once on the test period beside the baselines, and register it.

    Args:
        settings: Data folder and definition of churn.
        training: Settings of the training.
        lineage: What the training depends on.
        choice: Family, parameters, calibration and threshold chosen on the folds.
        data: Labels and features at all cut-offs.
        run_id: The active MLflow run, which gets model, evaluation, predictions and plots.

    Returns:
        The registered version with its evaluation.
    """
    choice, model = veto_on_test(choice, fit_recipe(choice.recipe, data), data, training, settings.horizon_days)
    recipe = choice.recipe
    development, test = data.at_cutoffs(recipe.development), data.at_cutoffs(recipe.test)
    history = read_purchase_history(settings, recipe.development[-1], lineage.known_at)
    baselines = score_baselines(development, history, test, settings.horizon_days)
    scores = {"model": predict_churn(model, test.x), **baselines}
    evaluation = evaluate_model(model, scores, development, test, choice, training)
    figures = plot_evaluation(test, scores, evaluation, training.value)
    mlflow_tracking.log_dataset(development, "development", recipe.digests["development"])
    mlflow_tracking.log_dataset(test, "test", recipe.digests["test"])
    mlflow.log_metrics({"training_rows": len(development.y), "test_rows": len(test.y)})
    mlflow_tracking.log_evaluation(recipe, evaluation)
    mlflow_tracking.log_predictions(test, scores)
    mlflow_tracking.log_plots(figures)
    client, logged = open_tracking(settings), mlflow_tracking.log_model(model, development)
    digest = mlflow_tracking.compute_logged_sha256(client, logged)
    contract = build_contract(settings, recipe, development, lineage.fingerprint, model, digest)
    roc_auc = evaluation.metrics["model"]["roc_auc"]
    description = f"{evaluation.chosen}; test period ROC-AUC {roc_auc}. {evaluation.reason}"
    registered = mlflow_tracking.register_version(client, logged, run_id, contract, lineage, description)
    return EvaluatedVersion(registered, evaluation, figures)
