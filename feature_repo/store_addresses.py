"""Addresses of databases and Redis servers: beyond this machine they need TLS and a password.

Otherwise everyone on the network path reads customers and changes features, versions and flow runs.
"""

import ipaddress
import os
from collections.abc import Collection, Mapping
from urllib.parse import unquote

from feature_repo.errors import SettingsError

PLAIN_HOSTS = "HOLDFAST_PLAIN_HOSTS"
_NO_DATABASES = ("sqlite", "http", "https", "file", "s3", "gs", "abfss", "wasbs", "databricks", "databricks-uc", "uc")
_TLS_OPTIONS = ("sslmode", "ssl", "ssl_mode", "ssl_ca", "encrypt", "tls")
_NO_TLS = ("", "0", "no", "none", "null", "false", "disable", "disabled", "allow", "prefer", "preferred", "optional")
_PASSWORD_OPTIONS = ("password", "passfile", "sslcert", "ssl_cert")
_PASSWORD_VARIABLES = ("PGPASSWORD", "PGPASSFILE")


class UnprotectedStoreError(SettingsError):
    """A store beyond this machine is used without TLS or without a password."""


def describe_database_protection(url: str) -> str:
    """Describe the protection that the connection to a database beyond this machine lacks.

    Args:
        url: URL of SQLAlchemy; addresses of files, web servers and object stores are no databases.

    Returns:
        What the address must be, after "it must be", without the address; empty if it is protected or on this machine.
    """
    if "://" not in url or url.partition("://")[0].partition("+")[0].lower() in _NO_DATABASES:
        return ""
    from sqlalchemy import make_url  # the parser of the program that opens the database; local files do not need it
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return "an address of a database"
    options = {name.lower(): _texts(value) for name, value in parsed.query.items()}
    hosts = [unquote(parsed.host)] if parsed.host else []
    hosts += [host for name in ("host", "hostaddr") for host in options.get(name, [])]
    has_tls = _has_tls(options)
    has_password = (
        bool(parsed.password)
        or any(any(options.get(name, [])) for name in _PASSWORD_OPTIONS)
        or any(os.environ.get(name) for name in _PASSWORD_VARIABLES)
    )
    names = [name for host in hosts or [os.environ.get("PGHOST", "")] for name in host.split(",")]
    return _describe(names, has_tls, has_password, "?sslmode=verify-full")


def describe_redis_protection(connection_string: str) -> str:
    """Describe the protection that the connection to a Redis server beyond this machine lacks.

    Args:
        connection_string: Feast's connection string, such as ``host:6379,password=secret,ssl=true``.

    Returns:
        As :func:`describe_database_protection`.
    """
    parts = connection_string.split(",")  # as Feast parses it: a later option replaces an earlier one
    options = {name: value.strip('"').lower() for name, _, value in (part.partition("=") for part in parts)}
    has_tls = options.get("ssl", "") not in _NO_TLS and options.get("ssl_cert_reqs", "required") not in _NO_TLS
    has_password = any(options.get(name, "") not in ("", "null") for name in ("password", "ssl_certfile"))
    hosts = [part.split(":")[0] for part in parts if part and "=" not in part]
    return _describe(hosts, has_tls, has_password, "ssl=true")


def require_protected(problem: str, variable: str) -> None:
    """Refuse a connection without protection.

    Args:
        problem: Result of one of the functions above.
        variable: What configures the address.

    Raises:
        UnprotectedStoreError: There is a problem.
    """
    if problem:
        raise UnprotectedStoreError(f"{variable} is refused; it must be {problem}.")


def is_this_machine(host: str) -> bool:
    """Check whether connections to a host stay on this machine.

    Args:
        host: Name, address or path of a socket; empty for the default of a client.

    Returns:
        True for loopback and sockets.
    """
    name = host.strip().strip("[]").lower().removesuffix(".")
    if not name or name == "localhost" or name.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _has_tls(options: Mapping[str, list[str]]) -> bool:
    given = [value for name in _TLS_OPTIONS for value in options.get(name, [])]
    given = given or [os.environ.get("PGSSLMODE", "")]
    return all(value.lower() not in _NO_TLS for value in given)


def _describe(hosts: Collection[str], has_tls: bool, has_password: bool, tls: str) -> str:
    accepted = {name.strip().lower() for name in os.environ.get(PLAIN_HOSTS, "").split(",")}
    remote = [host for host in hosts if not is_this_machine(host) and host.strip().lower() not in accepted]
    if not remote or (has_tls and has_password):
        return ""
    return (
        f"an address with TLS ({tls}) and a password, since {remote[0]} is another machine. If the network to it is "
        f"private, add {remote[0]} to {PLAIN_HOSTS}"
    )


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, tuple) else [str(value)]
