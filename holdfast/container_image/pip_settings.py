"""Package index and certificate authority of this machine as build secrets, which are in no layer of the image."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_LINE = re.compile(r"^(?P<section>global|install|:env:)\.(?P<key>[a-z-]+)=(?P<value>'.*'|\".*\")$")
_SECTIONS = ("global", "install", ":env:")  # a later section overrides an earlier one
_KEYS = ("index-url", "extra-index-url", "trusted-host", "timeout")
_CA_IN_BUILD = "/run/secrets/ca.crt"


def write_build_secrets(folder: Path) -> list[str]:
    """Write pip.conf, and ca.crt if pip has one, into a folder.

    Args:
        folder: The folder.

    Returns:
        Values of the engine's option ``--secret``.
    """
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings = _parse_pip_settings(listed, os.environ)
    certificates = settings.pop("cert", None)
    files = {}
    if certificates:
        settings["cert"] = _CA_IN_BUILD
        (folder / "ca.crt").write_bytes(Path(certificates).read_bytes())
        files["ca.crt"] = folder / "ca.crt"
    if settings:
        lines = [f"{key} = {value}\n" for key, value in settings.items()]
        (folder / "pip.conf").write_text("[global]\n" + "".join(lines))
        files["pip.conf"] = folder / "pip.conf"
    return [f"id={name},src={file}" for name, file in files.items()]


def _parse_pip_settings(listed: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Parse the settings of the package index from the output of ``pip config list``.

    As in pip, the environment overrides files. Folders of this machine are left out: the build cannot read them.
    """
    matches = [match for line in listed.splitlines() if (match := _LINE.match(line.strip()))]
    matches.sort(key=lambda match: _SECTIONS.index(match["section"]))
    found = {match["key"]: str(ast.literal_eval(match["value"])) for match in matches}
    settings = {}
    for key in _KEYS:
        reachable = [value for value in found.get(key, "").split() if not value.startswith(("file:", "/", "."))]
        if reachable:
            settings[key] = " ".join(reachable)
    certificates = found.get("cert") or environment.get("SSL_CERT_FILE")
    if certificates and Path(certificates).is_file():
        settings["cert"] = certificates
    return settings
