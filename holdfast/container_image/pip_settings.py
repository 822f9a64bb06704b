"""This machine's package index and certificate authority, as secrets of a build: they end in no layer."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_LINE = re.compile(r"^(?P<section>global|install|:env:)\.(?P<key>[a-z-]+)=(?P<value>'.*'|\".*\")$")
_SECTIONS = ("global", "install", ":env:")  # the later wins
_KEYS = ("index-url", "extra-index-url", "trusted-host", "timeout")
_CA_IN_BUILD = "/run/secrets/ca.crt"


def write_build_secrets(folder: Path) -> list[str]:
    """Writes pip.conf, and ca.crt if there is one, into ``folder``; the engine's ``--secret`` values that name them."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings = parse_pip_settings(listed, os.environ)
    certificates = settings.pop("cert", None)
    given = {}
    if certificates:
        settings["cert"] = _CA_IN_BUILD
        (folder / "ca.crt").write_bytes(Path(certificates).read_bytes())
        given["ca.crt"] = folder / "ca.crt"
    if settings:
        lines = [f"{key} = {value}\n" for key, value in settings.items()]
        (folder / "pip.conf").write_text("[global]\n" + "".join(lines))
        given["pip.conf"] = folder / "pip.conf"
    return [f"id={name},src={file}" for name, file in given.items()]


def parse_pip_settings(listed: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The settings that say where packages come from, of what ``pip config list`` prints.

    As in pip, the environment counts more than a file. Folders of this machine are left out, for the build cannot
    see them.
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
