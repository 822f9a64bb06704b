"""Test that SECURITY.md names existing tests."""

import re

from tests.support.main_job import ROOT


def test_promises_name_existing_tests() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    rows = [
        line for line in text.partition("## Who")[2].partition("## Not protected")[0].splitlines() if "tests/" in line
    ]
    assert len(rows) > 15
    for line in text.splitlines():
        for file, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", line):
            source = (ROOT / file).read_text()
            assert not name or re.search(rf"def {name}\(", source), f"{file} has no {name}"
