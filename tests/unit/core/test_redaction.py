"""Tests of the removal of logins from texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.redaction import redact_logins

# Without white space and quotes, which end an address in a text; a person may have forgotten to encode the rest.
_PASSWORD = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="'\"<>?#"), min_size=8)


@given(
    st.sampled_from(["postgresql+psycopg2", "redis", "https"]),
    st.sampled_from(["", "user", "u.s-er"]),
    _PASSWORD.filter(lambda text: not text[0].isdigit()),
)
def test_redact_logins_removes_any_password(scheme: str, user: str, password: str) -> None:
    text = f"cannot connect to {scheme}://{user}:{password}@db.example:5432/name: refused"
    assert redact_logins(text) == f"cannot connect to {scheme}://db.example:5432/name: refused"


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:4200/runs/flow-run/1",
        "see http://h:80/a@b and mail ann@shop.example",
        "s3://bucket/key",
        "file:///data/mlflow.db",
        "http://h:8080",
        "[Errno 111] Connection refused",
        "a // comment",
    ],
)
def test_redact_logins_leaves_other_texts(text: str) -> None:
    assert redact_logins(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis.example:6379,password=s3cret,ssl=true", "redis.example:6379,password=***,ssl=true"),
        ("host=db PASSWORD=x/y@z dbname=m", "host=db PASSWORD=*** dbname=m"),
        ("https://u:p?ss#w@h/x", "https://h/x"),
        ("https://u:p@h/x?mail=a@b", "https://h/x?mail=a@b"),
        ("http://token@h/x and ftp://q@h", "http://h/x and ftp://h"),
        ("'http://u:p@h/x', \"http://u:q@h\"", "'http://h/x', \"http://h\""),
    ],
)
def test_redact_logins_of_connection_strings_and_lists(text: str, shown: str) -> None:
    assert redact_logins(text) == shown
