"""Supply chain: what the project builds on cannot change without a change of the project, and no secret is tracked."""

import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.main_job import ROOT
from tests.support.secret_scan import FORMS, find_secrets
from tests.support.source_files import sources

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_workflow_uses_commits_and_reads_only(file: object) -> None:
    """zizmor in `make check` knows more; this test holds the two rules also where it is not installed."""
    workflow = yaml.safe_load(file.read_text())  # type: ignore[attr-defined]
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        used = [step for step in job["steps"] if "uses" in step]
        assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"]) for step in used), used
        checkouts = [step for step in used if step["uses"].startswith("actions/checkout@")]
        assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_base_image_has_a_digest() -> None:
    image = yaml.safe_load((ROOT / "bentofile.yaml").read_text())["docker"]["base_image"]
    assert re.fullmatch(r"python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}", image)
    template = (ROOT / "deploy" / "image" / "Dockerfile.j2").read_text()
    bases = {name.split(" AS ")[0] for name in re.findall(r"^FROM (.*)$", template, re.M)}
    assert bases == {"${BASE_IMAGE}"}


def test_exceptions_of_the_security_rules_have_reasons() -> None:
    exceptions = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in sources()
        for line in file.read_text().splitlines()
        if re.search(r"# noqa: [A-Z0-9, ]*\bS\d{3}", line)
        if not re.search(r"# noqa: [A-Z]\d+(?:, ?[A-Z]\d+)*  \w[\w ]{3,}", line)
    ]
    assert exceptions == []


@pytest.mark.parametrize("kind", FORMS)
@settings(max_examples=10, deadline=None)
@given(data=st.data(), before=st.sampled_from(["", "key = ", 'x("', "a\nb "]))
def test_find_secrets_finds_each_form(kind: str, data: st.DataObject, before: str) -> None:
    secret = data.draw(st.from_regex(re.compile(FORMS[kind].replace("\\b", ""), re.ASCII), fullmatch=True))
    assert kind in {found for _, found in find_secrets(f"{before}{secret}")}


@pytest.mark.parametrize(
    "text",
    ["redis://user:secret@db.example/0", "https://user:{password}@host", "sha256:" + "a" * 64, "sk-learn", "AKIA"],
)
def test_find_secrets_ignores_examples_and_digests(text: str) -> None:
    assert list(find_secrets(text)) == []
