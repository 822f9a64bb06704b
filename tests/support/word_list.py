"""Check of names and texts against docs/word-list.txt: `python -m tests.support.word_list`."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORD_LIST = ROOT / "docs" / "word-list.txt"
_SUFFIXES = {".css", ".j2", ".json", ".lua", ".md", ".py", ".toml", ".txt", ".yaml", ".yml", ""}
_EXEMPT = {"CHANGELOG.md", "LICENSE", "docs/word-list.txt", "tests/unit/support/test_word_list.py"}
_NAME_PARTS = re.compile(r"(?<=[a-z])(?=[A-Z])|_")


def read_words(text: str) -> dict[str, str]:
    """Read a word list.

    Args:
        text: Lines ``WORD OR PHRASE -> REPLACEMENT``; a line that starts with ``#`` is a comment.

    Returns:
        Replacement for each word or phrase, lower case.
    """
    lines = [line.split("->") for line in text.splitlines() if "->" in line and not line.startswith("#")]
    return {word.strip().lower(): replacement.strip() for word, replacement in lines}


def read_exempt_names(text: str) -> list[str]:
    """Read the names that stay: names of a library, and stored column names.

    Args:
        text: Lines ``= NAME``; other lines are ignored.

    Returns:
        The names.
    """
    return [line[1:].strip() for line in text.splitlines() if line.startswith("=")]


def find_words(text: str, words: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Find words of the list, also as parts of snake_case and CamelCase names.

    Args:
        text: Text of one file.
        words: Replacements by word or phrase, as :func:`read_words` returns them.

    Yields:
        Line number, from 1, and the word or phrase.
    """
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, sorted(words, key=len, reverse=True))) + r")\b", re.I)
    for number, line in enumerate(text.splitlines(), 1):
        for match in pattern.finditer(_NAME_PARTS.sub(" ", line)):
            yield number, match[1].lower()


def checked_files() -> list[Path]:
    """List the tracked text files that follow the word list."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split("\0") if name and name not in _EXEMPT]
    return [ROOT / name for name in names if Path(name).suffix in _SUFFIXES and (ROOT / name).is_file()]


def main() -> int:
    """Print each use of a word of the list with its replacement; return 1 if there is one."""
    words, exempt = read_words(WORD_LIST.read_text()), read_exempt_names(WORD_LIST.read_text())
    pattern = re.compile("|".join(map(re.escape, exempt)))
    found = [
        f"{file.relative_to(ROOT)}:{line}: {word!r} -> {words[word]}"
        for file in checked_files()
        for line, word in find_words(pattern.sub("", file.read_text()), words)
    ]
    print("\n".join(found) if found else "No word of docs/word-list.txt is used.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
