"""The score card of docs/ml-test-score.md against what the tests reported last: `make score-card`.

Each `make test...` leaves a JUnit report in .reports/; a linked test counts if it ran there and passed.
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
    """One of the 28 tests: how it is done here, the tests that show it, and the points claimed."""

    section: str
    number: int
    test: str
    how: str
    links: tuple[str, ...]
    points: float

    @property
    def name(self) -> str:
        """Such as Data 1."""
        return f"{self.section} {self.number}"


def entries(text: str) -> list[Entry]:
    """The rows of the card."""
    return [
        Entry(section, int(number), test, how, tuple(_LINK.findall(proof)), float(points))
        for section, number, test, how, proof, points in _ROW.findall(text)
    ]


def sums(found: list[Entry]) -> dict[str, float]:
    """The points of each section; the final score is the least of them (Breck et al., 2017)."""
    return {section: sum(entry.points for entry in found if entry.section == section) for section in SECTIONS}


def results(reports: Path) -> dict[str, list[str]]:
    """Test, as ``tests/x.py::Class::test[case]``, to what came of it; of the same in several reports, of each."""
    found: dict[str, list[str]] = defaultdict(list)
    for report in sorted(reports.glob("*.xml")):
        for case in ElementTree.parse(report).iter("testcase"):
            outcomes = {child.tag for child in case} & {"failure", "error", "skipped"}
            found[_node(case.get("classname", ""), case.get("name", ""))].append(min(outcomes, default="passed"))
    return found


def _node(classname: str, name: str) -> str:
    """JUnit's dotted name as pytest's: modules begin in lower case, classes do not. xdist adds its group after an @."""
    parts = classname.split(".")
    classes = [part for part in parts if part[:1].isupper()]
    module = "/".join(part for part in parts if part not in classes)
    return "::".join([f"{module}.py", *classes, re.sub(r"@[^\]]*$", "", name)])


def outcomes_of(link: str, found: dict[str, list[str]]) -> list[str]:
    """What came of a linked case, of all cases of a linked test, or of all tests of a linked module or class."""
    return [
        outcome
        for node, all_of in found.items()
        if node == link or node.startswith((f"{link}::", f"{link}["))
        for outcome in all_of
    ]


def main() -> int:
    """Print the points of each section; 1 where a linked test did not run or did not pass."""
    card, found = entries(CARD.read_text()), results(REPORTS)
    wrong = []
    for entry in card:
        for link in entry.links:
            outcomes = outcomes_of(link, found)
            if not outcomes or set(outcomes) != {"passed"}:
                wrong.append(f"{entry.name}: {link} {', '.join(sorted(set(outcomes))) or 'did not run'}")
    if wrong:
        print("The score card claims more than the last reports show:", *wrong, sep="\n  ", file=sys.stderr)
        return 1
    points = sums(card)
    for section, told in SECTIONS.items():
        print(f"{told:<20}{points[section]:g} of 7")
    links = {link for entry in card for link in entry.links}
    print(f"ML Test Score {min(points.values()):g}: the least of the four; all {len(links)} linked tests passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
