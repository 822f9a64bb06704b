"""docs/ml-test-score.md claims nothing without a test, and reads reports as they are."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.main_job import ROOT
from tests.support.readme import make_targets
from tests.support.score_card import CARD, SECTIONS, entries, outcomes_of, results, sums

ENTRIES = entries(CARD.read_text())
REPORT = """<testsuites><testsuite>
<testcase classname="tests.flows.test_a.TestB" name="test_c[1]"/>
<testcase classname="tests.flows.test_a.TestB" name="test_c[2@3]@/x/tests/flows"><failure message="no"/></testcase>
<testcase classname="tests.flows.test_a" name="test_d@main job"/>
<testcase classname="tests.flows.test_a" name="test_e"><skipped/></testcase>
</testsuite></testsuites>"""


def test_it_has_the_28_tests() -> None:
    assert [entry.name for entry in ENTRIES] == [f"{section} {i}" for section in SECTIONS for i in range(1, 8)]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_point_has_a_test_that_exists(entry: object) -> None:
    assert entry.links or entry.points == 0  # type: ignore[attr-defined]
    for link in entry.links:  # type: ignore[attr-defined]
        file, *names = link.partition("[")[0].split("::")  # whether there is such a case, its report says
        body = ast.parse((ROOT / file).read_text()).body
        for name in names:
            found = [node for node in body if getattr(node, "name", None) == name]
            assert found, f"{link}: there is no {name}"
            body = getattr(found[0], "body", [])


def test_the_sums_it_states_are_those_of_its_rows() -> None:
    points = sums(ENTRIES)
    told = ", ".join(f"{told} {points[section]:g}" for section, told in SECTIONS.items())
    assert f"**{min(points.values()):g}**, the least of four: {told}." in CARD.read_text()


def test_the_commands_it_names_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"test", "test-long"} <= make_targets(CARD.read_text()) <= targets


def test_reports_are_read_by_test(tmp_path: Path) -> None:
    (tmp_path / "test.xml").write_text(REPORT)
    found = results(tmp_path)
    assert outcomes_of("tests/flows/test_a.py::TestB::test_c", found) == ["passed", "failure"]
    assert outcomes_of("tests/flows/test_a.py::TestB::test_c[1]", found) == ["passed"]
    assert outcomes_of("tests/flows/test_a.py::TestB::test_c[2@3]", found) == ["failure"]
    assert outcomes_of("tests/flows/test_a.py::TestB::test_c[3]", found) == []
    assert outcomes_of("tests/flows/test_a.py::test_d", found) == ["passed"]
    assert outcomes_of("tests/flows/test_a.py", found) == ["passed", "failure", "passed", "skipped"]
    assert outcomes_of("tests/flows/test_a.py::test_f", found) == []
