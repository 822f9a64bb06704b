"""Tests of docs/ml-test-score.md and of the report reader."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.main_job import ROOT
from tests.support.readme import make_targets
from tests.support.score_card import CARD, SECTIONS, linked_outcomes, parse_entries, read_reports, section_points

ENTRIES = parse_entries(CARD.read_text())
REPORT = """<testsuites><testsuite>
<testcase classname="tests.flows.test_a.TestB" name="test_c[1]"/>
<testcase classname="tests.flows.test_a.TestB" name="test_c[2@3]@/x/tests/flows"><failure message="no"/></testcase>
<testcase classname="tests.flows.test_a" name="test_d@main job"/>
<testcase classname="tests.flows.test_a" name="test_e"><skipped/></testcase>
</testsuite></testsuites>"""


def test_parse_entries_returns_the_28_tests() -> None:
    assert [entry.name for entry in ENTRIES] == [f"{section} {i}" for section in SECTIONS for i in range(1, 8)]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_score_card_entry_links_existing_tests(entry: object) -> None:
    assert entry.links or entry.points == 0  # type: ignore[attr-defined]
    for link in entry.links:  # type: ignore[attr-defined]
        file, *names = link.partition("[")[0].split("::")  # the report shows whether the case exists
        body = ast.parse((ROOT / file).read_text()).body
        for name in names:
            found = [node for node in body if getattr(node, "name", None) == name]
            assert found, f"{link}: there is no {name}"
            body = getattr(found[0], "body", [])


def test_score_card_sums_match_its_rows() -> None:
    points = section_points(ENTRIES)
    text = ", ".join(f"{title} {points[section]:g}" for section, title in SECTIONS.items())
    assert f"**{min(points.values()):g}**, the lowest of four: {text}." in CARD.read_text()


def test_score_card_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"test", "test-long"} <= make_targets(CARD.read_text()) <= targets


def test_linked_outcomes_of_case_test_and_module(tmp_path: Path) -> None:
    (tmp_path / "test.xml").write_text(REPORT)
    results = read_reports(tmp_path)
    assert linked_outcomes("tests/flows/test_a.py::TestB::test_c", results) == ["passed", "failure"]
    assert linked_outcomes("tests/flows/test_a.py::TestB::test_c[1]", results) == ["passed"]
    assert linked_outcomes("tests/flows/test_a.py::TestB::test_c[2@3]", results) == ["failure"]
    assert linked_outcomes("tests/flows/test_a.py::TestB::test_c[3]", results) == []
    assert linked_outcomes("tests/flows/test_a.py::test_d", results) == ["passed"]
    assert linked_outcomes("tests/flows/test_a.py", results) == ["passed", "failure", "passed", "skipped"]
    assert linked_outcomes("tests/flows/test_a.py::test_f", results) == []
