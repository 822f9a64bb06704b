"""Search of the tracked files for secrets: `python -m tests.support.secret_scan`.

The forms are those of providers and of key files, which are distinctive. A scanner with entropies and keywords
(detect-secrets 1.5) needs 23 CPU seconds for this tree, three times the rest of `make check`, and finds only digests.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FORMS = {
    "private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----",
    "AWS key": r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b",
    "GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{82})",
    "GitLab token": r"\bglpat-[A-Za-z0-9_-]{20}",
    "Slack token": r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",
    "Slack webhook": r"https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/]{20,}",
    "Stripe key": r"\b[rs]k_live_[A-Za-z0-9]{16,}",
    "Google key": r"\bAIza[A-Za-z0-9_-]{35}",
    "PyPI token": r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}",
    "npm token": r"\bnpm_[A-Za-z0-9]{36}",
    "OpenAI or Anthropic key": r"\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{40,}",
    "Azure key": r"\bAccountKey=[A-Za-z0-9+/]{86}==",
    "JSON Web Token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}",
    "Prefect key": r"\bpn[ub]_[A-Za-z0-9]{36}",
    # Names of examples (RFC 2606) and of this machine are no servers.
    "login in an address": r"://[^\s/:@\"'{}<>]+:[^\s/@\"'{}<>]{8,}@"
    r"(?!(?:[A-Za-z0-9.-]*\.)?(?:example|test|invalid|localhost)\b|127\.|\[::1\]|(?:host|h|db)\b)[A-Za-z0-9.-]{3,}",
}
# Text that each form contains: the search for it is fast, and few files have it.
_MARKS = {
    "private key": ("PRIVATE KEY",),
    "AWS key": ("AKIA", "ASIA", "ABIA", "ACCA"),
    "GitHub token": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    "GitLab token": ("glpat-",),
    "Slack token": ("xox",),
    "Slack webhook": ("hooks.slack.com",),
    "Stripe key": ("k_live_",),
    "Google key": ("AIza",),
    "PyPI token": ("pypi-AgEI",),
    "npm token": ("npm_",),
    "OpenAI or Anthropic key": ("sk-",),
    "Azure key": ("AccountKey=",),
    "JSON Web Token": ("eyJ",),
    "Prefect key": ("pnu_", "pnb_"),
    "login in an address": ("://",),
}
_PATTERNS = {kind: re.compile(form, re.ASCII) for kind, form in FORMS.items()}
_LARGEST = 2_000_000


def find_secrets(text: str) -> Iterator[tuple[int, str]]:
    """Find secrets in a text.

    Args:
        text: Content of a file.

    Yields:
        Line number, from 1, and the kind of secret.
    """
    for kind, pattern in _PATTERNS.items():
        if any(mark in text for mark in _MARKS[kind]):
            for match in pattern.finditer(text):
                yield text.count("\n", 0, match.start()) + 1, kind


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Read the tracked files.

    Yields:
        Name and content of each file that is no image and of at most two megabytes.
    """
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        file = ROOT / name
        if file.is_file() and file.suffix != ".png" and file.stat().st_size <= _LARGEST:
            yield name, file.read_text(encoding="utf-8", errors="replace")


def main() -> int:
    """Print each finding; the exit code is 1 if there is any."""
    found = [f"{name}:{line}: {kind}" for name, text in tracked_texts() for line, kind in find_secrets(text)]
    print("\n".join(found) or "No secret is tracked.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
