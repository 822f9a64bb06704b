"""Removal of user names and passwords from texts that are shown, stored or sent."""

import re

# A password may contain "/" and "@": everything up to the last "@" goes, where there is one before "?" and "#", which
# begin a query. "host:80/path@x" is a port and a path.
_USER = r"""[^/\s:@"<>]*:(?!\d{1,5}(?:[/?#'"\s]|$))"""
_LOGIN = re.compile(
    rf"""(?<=//)(?:{_USER}[^\s"<>?#]*@|{_USER}[^\s"<>]*@|[^/\s'"<>?#]*@)""",
)
# As in connection strings of Redis and PostgreSQL.
_NAMED = re.compile(r"(?i)\b(password|passwd|pwd|secret|token|api_?key)=[^\s,;&'\"]+")


def redact_logins(text: str) -> str:
    """Remove user names and passwords from the addresses and connection strings in a text.

    Args:
        text: Any text, such as an error message or an address.

    Returns:
        The text without them.
    """
    return _NAMED.sub(r"\1=***", _LOGIN.sub("", text))
