"""Comparison of docs/ml-test-score.md with the last test reports: `make score-card`.

Each `make test...` writes a JUnit report to .reports/; a linked test counts if a report contains it as passed.
"""

import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.support.main_job import ROOT

CARD = ROOT / "docs" / "ml-test-score.md"
REPORTS = ROOT / ".reports"
SECTIONS = {
    "Data": "features and data",
    "Model": "model development",
    "Infra": "infrastructure",
    "Monitor": "monitoring",
}
_ROW = re.compile(r"^\| (Data|Model|Infra|Monitor) (\d) \| (.+?) \| (.+?) \| (.+?) \| (0|0\.5|1) \|$", re.MULTILINE)
_LINK = re.compile(r"`(tests/[\w/]+\.py(?:::\w+)*(?:\[[\w -]+\])?)`")


@dataclass(frozen=True)
class Entry:
    """One of the 28 tests, its implementation, the linked tests, and the points."""

    section: str
    number: int
    test: str
    how: str
    links: tuple[str, ...]
    points: float

    @property
    def name(self) -> str:
        """Return section and number, such as Data 1."""
        return f"{self.section} {self.number}"


def parse_entries(text: str) -> list[Entry]:
    """Parse the rows of the page."""
    return [
        Entry(section, int(number), test, how, tuple(_LINK.findall(proof)), float(points))
        for section, number, test, how, proof, points in _ROW.findall(text)
    ]


def section_points(entries: list[Entry]) -> dict[str, float]:
    """Sum the points of each section; the score is the lowest sum (Breck et al., 2017)."""
    return {section: sum(entry.points for entry in entries if entry.section == section) for section in SECTIONS}


def read_reports(reports: Path) -> dict[str, list[str]]:
    """Read test, as ``tests/x.py::Class::test[case]``, to its outcomes in all reports."""
    results: dict[str, list[str]] = defaultdict(list)
    for report in sorted(reports.glob("*.xml")):
        for case in ElementTree.parse(report).iter("testcase"):
            outcomes = {child.tag for child in case} & {"failure", "error", "skipped"}
            results[_node_id(case.get("classname", ""), case.get("name", ""))].append(min(outcomes, default="passed"))
    return results


def _node_id(classname: str, name: str) -> str:
    """Convert JUnit's name to pytest's: modules start in lower case, classes do not; xdist appends @group."""
    parts = classname.split(".")
    classes = [part for part in parts if part[:1].isupper()]
    module = "/".join(part for part in parts if part not in classes)
    return "::".join([f"{module}.py", *classes, re.sub(r"@[^\]]*$", "", name)])


def linked_outcomes(link: str, results: dict[str, list[str]]) -> list[str]:
    """List the outcomes of a linked case, test, class or module."""
    return [
        outcome
        for node, outcomes in results.items()
        if node == link or node.startswith((f"{link}::", f"{link}["))
        for outcome in outcomes
    ]


def main() -> int:
    """Print the points of each section; returns 1 where a linked test did not run or did not pass."""
    entries, results = parse_entries(CARD.read_text()), read_reports(REPORTS)
    wrong = []
    for entry in entries:
        for link in entry.links:
            outcomes = linked_outcomes(link, results)
            if not outcomes or set(outcomes) != {"passed"}:
                wrong.append(f"{entry.name}: {link} {', '.join(sorted(set(outcomes))) or 'did not run'}")
    if wrong:
        print("The score card claims more than the last reports show:", *wrong, sep="\n  ", file=sys.stderr)
        return 1
    points = section_points(entries)
    for section, title in SECTIONS.items():
        print(f"{title:<20}{points[section]:g} of 7")
    links = {link for entry in entries for link in entry.links}
    print(f"ML Test Score {min(points.values()):g}: the lowest of the four; all {len(links)} linked tests passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
