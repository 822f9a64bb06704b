"""Differences of feature definitions as text."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from feature_repo.settings import Settings
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.definition_diff import describe_contents, describe_definitions, diff_definitions
from holdfast.feature_store.feast_registry import collect_definitions
from tests.support.definition_changes import change_function, change_limit, change_window, drop_feature
from tests.support.edited_definitions import edited_definitions
from tests.support.main_job import ROOT
from tests.support.small_shop import register_definitions


def _diff() -> list[str]:
    """Compare the applied definitions with those of this checkout."""
    return diff_definitions(describe_definitions(open_store()), describe_contents(collect_definitions()))


def test_diff_definitions_of_applied_definitions_is_empty(shop: Settings) -> None:
    register_definitions()
    assert _diff() == []


def test_diff_definitions_with_an_empty_registry_adds_every_object(shop: Settings) -> None:
    heads = [line for line in _diff() if not line.startswith("  ")]
    names = ["customer_purchase_history", "customer_purchase_rhythm", "customer_recent_activity"]
    expected = ["feature service churn_v1", *(f"feature view {name}" for name in names)]
    assert [head for head in heads if head] == [
        f"{name}: added" for name in [*expected, "on-demand view customer_request_time"]
    ]


@pytest.mark.parametrize(
    ("change", "head", "removed", "added"),
    [
        (change_limit, "feature view customer_recent_activity: changed", "ttl 60 days", "ttl 30 days"),
        (
            drop_feature,
            "feature service churn_v1: changed",
            "",
            "input customer_recent_activity:purchase_days_trend_90d",
        ),
        (change_function, "on-demand view customer_request_time: changed", "3_600_000_000", "86_400_000_000"),
        (change_window, "feature view customer_recent_activity: changed", "INTERVAL '45' DAY", "INTERVAL '30' DAY"),
    ],
)
def test_diff_definitions_shows_the_changed_lines_only(
    shop: Settings, change: Any, head: str, removed: str, added: str
) -> None:
    register_definitions()
    change(open_store())
    lines = _diff()
    assert [line for line in lines if line and not line.startswith("  ")] == [head]
    minus, plus = ([line for line in lines if line.startswith(f"  {sign}")] for sign in "-+")
    assert len(minus) == (len(plus) if removed else 0)
    assert all(removed in line for line in minus)
    assert plus and all(added in line for line in plus)


def test_plan_prints_the_changes_against_registry_and_version(shop: Settings) -> None:
    from holdfast.cli.plan import plan

    version = register_definitions()
    app = typer.Typer()
    app.command()(plan)
    assert CliRunner().invoke(app, []).output == "No changes\n"
    change_limit(open_store())
    changed = CliRunner().invoke(app, []).output
    assert "-ttl 60 days" in changed and "+ttl 30 days" in changed
    assert CliRunner().invoke(app, ["--against", version]).output == "No changes\n"


def test_plan_prints_what_the_readme_shows(shop: Settings, tmp_path: Path) -> None:
    from holdfast.cli.plan import plan

    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Change a feature")[2].partition("\n## ")[0]
    ((pattern, after),) = re.findall(r"perl -pi -e 's/(.+)/(.+)/' feature_repo/transformations.py", section)
    before = pattern.replace("\\", "")
    output = section.partition("\n2. `python -m holdfast plan` shows the change")[2]
    shown = textwrap.dedent(re.findall(r"^   ```\n(.*?)^   ```", output, re.M | re.S)[0])
    register_definitions()
    app = typer.Typer()
    app.command()(plan)
    with edited_definitions(tmp_path / "edited", {"transformations.py": [(before, after)]}):
        assert CliRunner().invoke(app, []).output == shown
