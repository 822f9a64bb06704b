"""Model card of a regression, from a real evaluation of a simulated shop."""

import re
from dataclasses import replace

import numpy as np
import pytest

from holdfast.lineage.version_history import VersionHistory
from holdfast.reporting.model_card_facts import build_card_context
from holdfast.reporting.model_card_render import render_html, render_markdown
from holdfast.training.regression.evaluation import evaluate_regression
from holdfast.training.regression.families import predict_baselines
from holdfast.training.regression.plots import plot_regression
from holdfast.training.regression.report import RegressionEvaluation
from holdfast.training.regression.selection import choose_regression
from holdfast.training.settings import TrainingSettings
from tests.support.spend_sets import spend, spend_training_set
from tests.support.training_sets import default_split
from tests.support.version_histories import LINEAGE, RECIPE, history


@pytest.fixture(scope="module")
def evaluation() -> RegressionEvaluation:
    data, training = spend_training_set(250, 14), TrainingSettings(resamples=60, candidates=["tweedie"])
    choice = choose_regression(data, default_split(data), training)
    development, test = data.at_cutoffs(choice.split.development), data.at_cutoffs(choice.split.test)
    model = choice.family.fit(choice.params, development, 0)
    predictions = {"model": model.predict(test.x), **predict_baselines(development, test, 0)}
    found = evaluate_regression(predictions, development, test, choice, training, ["A gap in May."])
    assert sum(item.observed * item.rows for item in found.deciles) == pytest.approx(spend(test).sum())
    return found


@pytest.fixture(scope="module")
def version(evaluation: RegressionEvaluation) -> VersionHistory:
    lineage = replace(LINEAGE, model="spend", label="spend", horizon_days=30)
    return history(lineage=lineage, evaluation=evaluation, gates=None, report=None)


def _card(version: VersionHistory, evaluation: RegressionEvaluation) -> str:
    return render_markdown(build_card_context(version, evaluation, RECIPE), {})


def test_card_has_every_section_and_names_its_model(version: VersionHistory, evaluation: RegressionEvaluation) -> None:
    card = _card(version, evaluation)
    sections = ["Intended use", "Approval", "Limits", "Data, windows, model", "Performance", "Calibration"]
    assert re.findall(r"^## (.*)$", card, re.M) == [*sections, "Candidates", "Gates", "Origin"]
    assert card.startswith("# holdfast-spend version 3\n")
    assert "the sum of the purchases in the 30 days after the prediction" in card
    assert "`python -m holdfast reproduce 3 --model spend`" in card
    assert "python -m flows.gates --version 3 --model spend" in card
    assert "churn: no purchase" not in card
    assert "| history | A gap in May. |" in card
    assert render_html(card, "spend").count("<section>") == 9


def test_card_has_every_figure_with_its_interval(version: VersionHistory, evaluation: RegressionEvaluation) -> None:
    card = _card(version, evaluation)
    for name in ("deviance", "mae", "total", "spearman"):
        assert str(evaluation.metrics["model"][name]) in card
    for group in (*evaluation.months, *evaluation.slices):
        assert f"| {group.name} | {group.rows:,} | {group.predicted:.2f} | {group.observed:.2f} |" in card
    assert "nan" not in card
    assert card.count("(chosen)") == 1


def test_deciles_are_ordered_and_hold_every_row(evaluation: RegressionEvaluation) -> None:
    means = [item.predicted for item in evaluation.deciles]
    assert means == sorted(means)
    assert len(means) == 10
    assert sum(item.rows for item in evaluation.deciles) == evaluation.rows


def test_plot_shows_the_means_and_the_intervals_of_the_difference(evaluation: RegressionEvaluation) -> None:
    axes = plot_regression(evaluation)["deciles"].axes[0]
    heights = [patch.get_height() for patch in axes.patches]
    observed, predicted = zip(*[(item.observed, item.predicted) for item in evaluation.deciles], strict=True)
    assert heights == pytest.approx([*observed, *predicted])
    (bars,) = (item for item in axes.containers if type(item).__name__ == "ErrorbarContainer")
    low, high = np.array([segment[:, 1] for segment in bars[2][0].get_segments()]).T
    for item, start, stop in zip(evaluation.deciles, low, high, strict=True):
        assert start <= item.observed <= stop
        assert start == pytest.approx(min(item.observed, item.predicted - item.bias.high))
        assert stop == pytest.approx(max(item.observed, item.predicted - item.bias.low))
