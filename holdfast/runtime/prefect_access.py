"""Password of Prefect's API, for every server that Holdfast starts and for its clients.

Prefect runs any command for a client that may start flow runs, so no server of Holdfast answers without the password,
not even the temporary server of one command.
"""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from feature_repo.private_files import restrict_data_folder
from feature_repo.settings import Settings
from holdfast.core.secret_files import ensure_secret_file

API_URL, CLIENT_PASSWORD = "PREFECT_API_URL", "PREFECT_API_AUTH_STRING"
SERVER_PASSWORD = "PREFECT_SERVER_API_AUTH_STRING"  # noqa: S105  name of a variable
_USER = "holdfast:"
_DEFAULT_PORT = 4200


def password_file(settings: Settings) -> Path:
    """Return the file of the password.

    Args:
        settings: Data folder.

    Returns:
        File with ``user:password``, as Prefect's settings expect it.
    """
    return settings.data / "local" / "prefect-password"


def read_password(settings: Settings) -> str:
    """Read the password, and create it if there is none.

    Args:
        settings: Data folder.

    Returns:
        ``user:password``.
    """
    restrict_data_folder(settings.data)
    return ensure_secret_file(password_file(settings), _USER)


def server_variables(password: str, port: int = _DEFAULT_PORT) -> dict[str, str]:
    """Build the variables of a server: password, pages of its own UI only, protection from forged requests.

    Args:
        password: ``user:password``.
        port: Port of the server on this machine.

    Returns:
        Environment variables.
    """
    return {
        SERVER_PASSWORD: password,
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port},http://localhost:{port}",
    }


def access_variables(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Build the variables of a process that is a client of a server, or starts one.

    Args:
        settings: Data folder.
        environment: Variables of the process. A server that they name gets its password from its own operator: the
            password of this data folder is sent to no other server.

    Returns:
        Environment variables.
    """
    password = read_password(settings)
    client = {} if environment.get(API_URL) else {CLIENT_PASSWORD: password}
    return {**server_variables(password), **client}


def export_lines(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """Build the shell commands that export :func:`access_variables`, without the password itself.

    Args:
        settings: Data folder.
        environment: Variables of the shell.

    Returns:
        Commands for ``eval``.
    """
    password, variables = read_password(settings), access_variables(settings, environment)
    return [
        f"export {name}={read_command(password_file(settings)) if value == password else shlex.quote(value)}"
        for name, value in variables.items()
    ]


def read_command(file: Path) -> str:
    """Build the shell expression that reads a file.

    Args:
        file: File with a secret.

    Returns:
        The expression, as the right side of an assignment.
    """
    return f'"$(cat {shlex.quote(str(file))})"'


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in export_lines(Settings.from_environment(), os.environ))
