"""Test that SECURITY.md names existing tests."""

import re

from tests.support.main_job import ROOT


def test_promises_name_existing_tests() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    promises = text.partition("|---|---|---|\n")[2].partition("\n\n")[0].splitlines()
    assert len(promises) > 15
    assert [line for line in promises if "`tests/" not in line] == []
    for line in text.splitlines():
        for file, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", line):
            source = (ROOT / file).read_text()
            assert not name or re.search(rf"def {name}\(", source), f"{file} has no {name}"
