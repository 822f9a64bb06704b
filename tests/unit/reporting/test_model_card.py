"""The card tells everything, in plain text, whatever is in the data; its page needs nothing else."""

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


def _card(told: VersionHistory = HISTORY, pictures: dict[str, bytes] | None = None) -> str:
    assert told.evaluation is not None
    assert told.recipe is not None
    return render_markdown(build_card_context(told, told.evaluation, told.recipe), pictures or {})


def _section(card: str, title: str) -> str:
    return card.split(f"## {title}\n")[1].split("\n## ")[0]


class TestContent:
    def test_it_has_every_part(self) -> None:
        assert re.findall(r"^## (.*)$", _card(), re.M) == [
            "What it is for",
            "Approval",
            "Limits",
            "Data, windows, model",
            "How well it ranks and predicts",
            "Whether its probabilities are right",
            "What acting on it earns",
            "What it looks at",
            "Gates",
            "Where it came from",
        ]

    def test_the_head_says_what_counts(self) -> None:
        head = _card().split("## ")[0]
        assert head.startswith("# holdfast-churn version 3\n")
        assert "| challenger: passed its gates, not approved yet | passed: 1 of 1 | 0.712 (0.692 to 0.732)" in head

    def test_purpose_and_label_follow_the_settings(self) -> None:
        card = _card(history(lineage=replace(LINEAGE, horizon_days=30, activity_days=60)))
        purpose = _section(card, "What it is for")
        assert "bought in the last 60 days buys nothing in the next 30 days" in purpose
        assert "0.67 or above" in purpose
        assert "not bought for 60 days: it has never seen one" in purpose

    def test_limits_are_computed(self) -> None:
        limits = _section(_card(), "Limits")
        assert "known on 2023-07-30, 337 days before 2024-07-01" in limits
        assert "Its data cover 546 days, less than two years" in limits
        assert "in 2023-10 it predicted 41.0%, and 50.0% churned" in limits
        assert "RFM logistic comes nearest: its ROC-AUC is lower by 0.004 (0.003 to 0.005)" in limits
        assert "within one group, tenured: ROC-AUC 0.601" in limits
        assert "Too few test rows to say anything: new (8)." in limits

    def test_two_years_of_data_and_no_slices_limit_nothing(self) -> None:
        batch = UsedBatch("b1", replace(BATCH, last_event=BATCH.first_event + timedelta(days=800)))  # type: ignore[operator]
        limits = _section(_card(history(batches=[batch], evaluation=evaluation(slices=[]))), "Limits")
        assert "season" not in limits
        assert "within one group" not in limits
        assert "Too few" not in limits

    def test_numbers_stand_beside_the_baselines_by_month_and_by_group(self) -> None:
        ranks = _section(_card(), "How well it ranks and predicts")
        assert "| **Holdfast** | 0.712 (0.692 to 0.732) |" in ranks
        assert "| recency alone | 0.655 | 0.655 | 0.655 | 0.655 | 0.655 | +0.200 (+0.180 to +0.220) |" in ranks
        assert "| 2023-10 | 2,000 | 50.0% | 41.0% | 0.712 (0.692 to 0.732) |" in ranks
        assert "| new | 8 | 50.0% | 45.0% | — | — | 0.200 |" in ranks
        assert "| tenured | 3,992 | 50.0% | 45.0% | 0.601 (0.581 to 0.621) | +0.111 (+0.091 to +0.131) |" in ranks

    def test_calibration_value_and_importance(self) -> None:
        card = _card()
        assert "predicted 45.0% on average, and 50.0% churned" in _section(card, "Whether its probabilities are right")
        assert "| sigmoid (chosen) | 0.5900 |" in card
        value = _section(card, "What acting on it earns")
        assert "worth 30, an offer costs 2, and keeps 10%" in value
        assert "0.50 would have earned 0.071 (0.051 to 0.091), which loses 0.030" in value
        assert "Of 2 features 1 surely matter" in _section(card, "What it looks at")

    def test_gates_are_a_table_of_verdicts(self) -> None:
        failed = replace(
            HISTORY,
            gates=GATES.model_copy(update={"verdict": "failed", "failed": ["size"], "champion": "2"}),
            report=REPORT.model_copy(update={"gates": [*REPORT.gates, gate("size", 99.0, "failed", "too large")]}),
        )
        card = _card(failed)
        assert "| size | 99 | at least 0.6 | failed | too large |" in card
        assert "beside version 2, the champion then. It failed: size." in card
        assert "| failed: 1 of 2 |" in card

    @pytest.mark.parametrize(
        ("changed", "told"),
        [
            ({"gates": None, "report": None}, "Not judged yet: python -m flows.gates --version 3"),
            ({"report": None}, "The numbers behind the verdict are gone from the run."),
            (
                {"report": None, "unreadable": "The artifact gates/k.json is unreadable"},
                "are there, but cannot be read. The artifact gates/k.json is unreadable",
            ),
            (
                {"gates": GATES.model_copy(update={"thresholds": {"max_size_mb": 30}})},
                "Thresholds other than the defaults: max_size_mb 30.",
            ),
            ({"approval": APPROVAL}, "**Not approved yet: a person is asked"),
            ({"promotion": PROMOTION}, "**Approved by Ada on 2024-07-01 14:00 UTC: better**"),
            ({"batches": [UsedBatch("b1", None)]}, "batch b1 no longer on disk"),
            ({"training_rows": None}, "monthly cut-offs 2023-01-01 to 2023-05-01 (5) |"),
        ],
    )
    def test_what_is_missing_is_said_so(self, changed: dict[str, Any], told: str) -> None:
        assert told in _card(history(**changed))

    def test_lineage_in_short(self) -> None:
        origin = _section(_card(), "Where it came from")
        assert "| fingerprint | feature_service ffffffffffff, on_demand 000000000000" in origin
        assert "| git commit | c5e4c58859c66a8d10d2fa8e4df9d15e6221348a |" in origin
        assert "`python -m holdfast reproduce 3`" in origin

    def test_uncommitted_code_is_marked(self) -> None:
        card = _card(history(lineage=replace(LINEAGE, git_commit=f"{LINEAGE.git_commit} with local changes")))
        assert f"| git commit | {LINEAGE.git_commit} with local changes |" in _section(card, "Where it came from")

    def test_the_same_facts_give_the_same_card(self) -> None:
        assert _card(pictures=PNGS) == _card(pictures=PNGS)


EVIL = "a|b <script>alert(1)</script> ![x](http://evil/x.png) [y](http://evil) *b* `c` _d_ \n## No"


class TestTextStaysText:
    def test_what_people_and_files_say_is_never_markdown(self) -> None:
        told = history(
            promotion=PROMOTION.model_copy(update={"who": EVIL, "why": EVIL}),
            batches=[UsedBatch("b1", replace(BATCH, source=EVIL))],
            report=REPORT.model_copy(update={"gates": [gate("size", 1.0, "passed", EVIL)]}),
        )
        html = render_html(_card(told), EVIL)
        assert "<script" not in html
        assert "<img" not in html
        assert "<a " not in html
        assert html.count("<h2>") == 10
        shown = "a|b &lt;script&gt;alert(1)&lt;/script&gt; ![x](http://evil/x.png) [y](http://evil) *b* `c` _d_ ## No"
        assert html.count(shown) >= 4  # approval, life, batch, gate

    def test_names_of_features_stay_readable(self) -> None:
        assert "purchase_days (0.060)" in _card()


class TestPictures:
    def test_they_are_within_the_text_and_small(self) -> None:
        card = _card(pictures=PNGS)
        found = re.findall(r"!\[([^\]]+)\]\(data:image/png;base64,([^)]+)\)", card)
        assert len(found) == 5
        assert len(card) < 400_000
        for _, content in found:
            assert Image.open(io.BytesIO(base64.b64decode(content))).size == (1000, 400)

    def test_fewer_colours_make_a_chart_smaller(self) -> None:
        png = _png()
        assert len(shrink_png(png)) < len(png)

    def test_one_that_is_gone_is_left_out(self) -> None:
        card = _card(pictures={"profit": PNGS["profit"]})
        assert card.count("![") == 1

    def test_the_page_needs_nothing_else(self) -> None:
        html = render_html(_card(pictures=PNGS), "holdfast-churn version 3")
        assert html.count('<img src="data:image/png;base64,') == 5
        assert re.findall(r"""(?:src|href)=["'](?!data:)[^"']*""", html) == []
        assert "url(" not in html
        assert "@import" not in html
        assert '<td class="passed">passed</td>' in html
        assert "<td>0.712 <small>0.692 to 0.732</small></td>" in html
        assert html.count("<section>") == 10


def test_a_difference_has_its_sign_but_zero_has_none() -> None:
    assert format_difference(Interval(value=0.1, low=-0.00001, high=0.2)) == "+0.100 (+0.000 to +0.200)"
    assert format_difference(Interval(value=-0.1, low=-0.2, high=0.0), 1) == "-0.1 (-0.2 to +0.0)"
