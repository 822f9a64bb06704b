"""The check of names and texts against docs/word-list.txt."""

import pytest

from tests.support.word_list import WORD_LIST, checked_files, find_words, read_exempt_names, read_words

WORDS = {"told": "reported", "held against": "compared with"}


@pytest.mark.parametrize(
    "text", ["it was told", "def _is_told(x):", "class EventTold:", "toldAgain = 1", "# Held against the limit"]
)
def test_find_words_reports_words_in_prose_and_names(text: str) -> None:
    assert len(list(find_words(f"first line\n{text}\n", WORDS))) == 1
    assert [number for number, _ in find_words(f"first line\n{text}\n", WORDS)] == [2]


@pytest.mark.parametrize("text", ["a stolder", "atoll", "held, against"])
def test_find_words_ignores_other_words(text: str) -> None:
    assert list(find_words(text, WORDS)) == []


def test_read_words_skips_comments_and_empty_lines() -> None:
    assert read_words("# note\n\nTold -> reported, shown\n") == {"told": "reported, shown"}


def test_word_list_covers_code_docs_and_configuration() -> None:
    assert len(read_words(WORD_LIST.read_text())) > 20
    assert {".py", ".md", ".yaml", ".j2", ".json"} <= {file.suffix for file in checked_files()}


def test_read_exempt_names_reads_lines_with_an_equals_sign() -> None:
    assert read_exempt_names("told -> reported\n= last_told\n# = no\n") == ["last_told"]
    assert read_words("told -> reported\n= last_told\n") == {"told": "reported"}
