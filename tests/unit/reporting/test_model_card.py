"""Content, escaping and plots of the model card."""

import base64
import io
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image

from holdfast.lineage.version_history import UsedBatch, VersionHistory
from holdfast.reporting.model_card import PLOTS
from holdfast.reporting.model_card_facts import build_card_context
from holdfast.reporting.model_card_render import format_difference, render_html, render_markdown, shrink_png
from holdfast.training.evaluation_report import Interval
from tests.support.version_histories import (
    APPROVAL,
    BATCH,
    GATES,
    HISTORY,
    LINEAGE,
    PROMOTION,
    REPORT,
    evaluation,
    gate,
    history,
)


def _png(width: int = 1000) -> bytes:
    figure, buffer = Figure(figsize=(width / 100, 4)), io.BytesIO()
    axes = figure.subplots()
    for number in range(5):
        axes.plot([0, 1, 2], [number, number * 2, number])
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


PNGS = dict.fromkeys(PLOTS, _png())


def _card(version: VersionHistory = HISTORY, plots: dict[str, bytes] | None = None) -> str:
    assert version.evaluation is not None
    assert version.recipe is not None
    return render_markdown(build_card_context(version, version.evaluation, version.recipe), plots or {})


def _section(card: str, title: str) -> str:
    return card.split(f"## {title}\n")[1].split("\n## ")[0]


class TestContent:
    def test_card_has_every_section(self) -> None:
        assert re.findall(r"^## (.*)$", _card(), re.M) == [
            "Intended use",
            "Approval",
            "Limits",
            "Data, windows, model",
            "Performance",
            "Calibration",
            "Profit",
            "Feature importance",
            "Gates",
            "Origin",
        ]

    def test_head_has_status_gates_and_metrics(self) -> None:
        head = _card().split("## ")[0]
        assert head.startswith("# holdfast-churn version 3\n")
        assert "| challenger: passed its gates, not approved yet | passed: 1 of 1 | 0.712 (0.692 to 0.732)" in head

    def test_intended_use_follows_the_settings(self) -> None:
        card = _card(history(lineage=replace(LINEAGE, horizon_days=30, activity_days=60)))
        purpose = _section(card, "Intended use")
        assert "with a purchase in the 60 days before the prediction" in purpose
        assert "churn: no purchase in the 30 days after the prediction" in purpose
        assert "probability of at least 0.67" in purpose
        assert "other customers than those with a purchase in the 60 days before the prediction" in purpose

    def test_limits_are_computed_from_the_records(self) -> None:
        limits = _section(_card(), "Limits")
        assert "known on 2023-07-30, 337 days before 2024-07-01" in limits
        assert "The data cover 546 days, less than two years" in limits
        assert "for 2023-10 the model predicted 41.0%, and 50.0% churned" in limits
        assert "The best baseline is RFM logistic: its ROC-AUC is lower by 0.004 (0.003 to 0.005)" in limits
        assert "The group with the lowest ROC-AUC is tenured: 0.601" in limits
        assert "Groups with too few test rows for a result: new (8)." in limits

    def test_two_years_of_data_and_no_slices_give_fewer_limits(self) -> None:
        batch = UsedBatch("b1", replace(BATCH, last_event=BATCH.first_event + timedelta(days=800)))  # type: ignore[operator]
        limits = _section(_card(history(batches=[batch], evaluation=evaluation(slices=[]))), "Limits")
        assert "season" not in limits
        assert "lowest ROC-AUC" not in limits
        assert "too few" not in limits

    def test_gaps_in_the_data_are_facts_of_the_card(self) -> None:
        note = "Gap in the data: 2023-06-01 to 2023-06-30 (30 days)."
        card = _card(history(evaluation=evaluation(history_notes=[note])))
        assert f"| history | {note} |" in _section(card, "Data, windows, model")
        assert "| history |" not in _card()

    def test_performance_has_baselines_months_and_groups(self) -> None:
        performance = _section(_card(), "Performance")
        assert "| **Holdfast** | 0.712 (0.692 to 0.732) |" in performance
        assert "| recency alone | 0.655 | 0.655 | 0.655 | 0.655 | 0.655 | +0.200 (+0.180 to +0.220) |" in performance
        assert "| 2023-10 | 2,000 | 50.0% | 41.0% | 0.712 (0.692 to 0.732) |" in performance
        assert "| new | 8 | 50.0% | 45.0% | — | — | 0.200 |" in performance
        assert "| tenured | 3,992 | 50.0% | 45.0% | 0.601 (0.581 to 0.621) | +0.111 (+0.091 to +0.131) |" in performance

    def test_calibration_profit_and_importance_are_texts_with_numbers(self) -> None:
        card = _card()
        assert "the mean prediction is 45.0%, and 50.0% churned" in _section(card, "Calibration")
        assert "| sigmoid (chosen) | 0.5900 |" in card
        profit = _section(card, "Profit")
        assert "worth 30, an offer costs 2, and retains 10%" in profit
        assert "threshold of 0.50: 0.071 (0.051 to 0.091), a loss of 0.030" in profit
        assert "above 0 for 1 of 2 features" in _section(card, "Feature importance")

    def test_gates_are_a_table(self) -> None:
        failed = replace(
            HISTORY,
            gates=GATES.model_copy(update={"verdict": "failed", "failed": ["size"], "champion": "2"}),
            report=REPORT.model_copy(update={"gates": [*REPORT.gates, gate("size", 99.0, "failed", "too large")]}),
        )
        card = _card(failed)
        assert "| size | safety | 99 | at least 0.6 | failed | too large |" in card
        assert "compared with champion version 2. It failed: size." in card
        assert "| failed: 1 of 2 |" in card

    @pytest.mark.parametrize(
        ("changed", "text"),
        [
            ({"gates": None, "report": None}, "Not evaluated yet: python -m flows.gates --version 3"),
            ({"report": None}, "The measurements behind the verdict are no longer in the run."),
            (
                {"report": None, "unreadable": "The artifact gates/k.json is unreadable"},
                "cannot be read: The artifact gates/k.json is unreadable",
            ),
            (
                {"gates": GATES.model_copy(update={"thresholds": {"max_size_mb": 30}})},
                "Thresholds other than the defaults: max_size_mb 30.",
            ),
            ({"approval": APPROVAL}, "**Not approved yet: requested until"),
            ({"promotion": PROMOTION}, "**Approved, claimed by Ada on 2024-07-01 14:00 UTC: better**"),
            ({"batches": [UsedBatch("b1", None)]}, "batch b1 no longer on disk"),
            ({"training_rows": None}, "monthly cut-offs 2023-01-01 to 2023-05-01 (5) |"),
        ],
    )
    def test_card_names_missing_records(self, changed: dict[str, Any], text: str) -> None:
        assert text in _card(history(**changed))

    def test_origin_has_the_lineage(self) -> None:
        origin = _section(_card(), "Origin")
        assert "| fingerprint | feature_service ffffffffffff, on_demand 000000000000" in origin
        assert "| git commit | c5e4c58859c66a8d10d2fa8e4df9d15e6221348a |" in origin
        assert "`python -m holdfast reproduce 3`" in origin

    def test_origin_marks_uncommitted_code(self) -> None:
        card = _card(history(lineage=replace(LINEAGE, git_commit=f"{LINEAGE.git_commit} with local changes")))
        assert f"| git commit | {LINEAGE.git_commit} with local changes |" in _section(card, "Origin")

    def test_same_records_give_the_same_card(self) -> None:
        assert _card(plots=PNGS) == _card(plots=PNGS)


EVIL = "a|b <script>alert(1)</script> ![x](http://evil/x.png) [y](http://evil) *b* `c` _d_ \n## No"


class TestEscaping:
    def test_values_are_never_parsed_as_markdown(self) -> None:
        version = history(
            promotion=PROMOTION.model_copy(update={"who": EVIL, "why": EVIL}),
            batches=[UsedBatch("b1", replace(BATCH, source=EVIL))],
            report=REPORT.model_copy(update={"gates": [gate("size", 1.0, "passed", EVIL)]}),
        )
        html = render_html(_card(version), EVIL)
        assert "<script" not in html
        assert "<img" not in html
        assert "<a " not in html
        assert html.count("<h2>") == 10
        shown = "a|b &lt;script&gt;alert(1)&lt;/script&gt; ![x](http://evil/x.png) [y](http://evil) *b* `c` _d_ ## No"
        assert html.count(shown) >= 4  # approval, timeline, batch, gate

    def test_feature_names_are_not_escaped(self) -> None:
        assert "purchase_days (0.060)" in _card()


class TestPlots:
    def test_plots_are_embedded_and_small(self) -> None:
        card = _card(plots=PNGS)
        found = re.findall(r"!\[([^\]]+)\]\(data:image/png;base64,([^)]+)\)", card)
        assert len(found) == 5
        assert len(card) < 400_000
        for _, content in found:
            assert Image.open(io.BytesIO(base64.b64decode(content))).size == (1000, 400)

    def test_shrink_png_reduces_the_size(self) -> None:
        png = _png()
        assert len(shrink_png(png)) < len(png)

    def test_missing_plot_is_left_out(self) -> None:
        card = _card(plots={"profit": PNGS["profit"]})
        assert card.count("![") == 1

    def test_page_is_self_contained(self) -> None:
        html = render_html(_card(plots=PNGS), "holdfast-churn version 3")
        assert html.count('<img src="data:image/png;base64,') == 5
        assert re.findall(r"""(?:src|href)=["'](?!data:)[^"']*""", html) == []
        assert "url(" not in html
        assert "@import" not in html
        assert '<td class="passed">passed</td>' in html
        assert "<td>0.712 <small>0.692 to 0.732</small></td>" in html
        assert html.count("<section>") == 10


def test_format_difference_has_signs_but_no_negative_zero() -> None:
    assert format_difference(Interval(value=0.1, low=-0.00001, high=0.2)) == "+0.100 (+0.000 to +0.200)"
    assert format_difference(Interval(value=-0.1, low=-0.2, high=0.0), 1) == "-0.1 (-0.2 to +0.0)"
