"""File with links to the pages of all components, which opens each page signed in.

The passwords are in the parts of the links after "#", which a browser sends to no server.
"""

import html
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from deploy.local.components import Component
from deploy.local.prefect_server import SIGN_IN_PATH
from feature_repo.settings import Settings
from holdfast.core.atomic_files import replace_file
from holdfast.runtime.prefect_access import CLIENT_PASSWORD

_PAGE = """\
<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<title>Holdfast</title>
<h1>Holdfast</h1>
<ul>
{links}
</ul>
<p>This file opens the pages with your password. Give it to no other person.</p>
"""


def write_pages_file(settings: Settings, components: list[Component], environment: Mapping[str, str]) -> Path:
    """Write the file, readable by its owner only.

    Args:
        settings: Data folder.
        components: Components; those without a page are left out.
        environment: Environment of the components, with the password of Prefect.

    Returns:
        The file.
    """
    links = [
        f'<li><a href="{html.escape(_link(item, environment))}">{html.escape(item.description)}</a></li>'
        for item in components
        if item.page
    ]
    file = settings.data / "local" / "pages.html"
    with replace_file(file) as temporary:
        temporary.touch(0o600)
        temporary.write_text(_PAGE.format(links="\n".join(links)), encoding="utf-8")
    return file


def _link(component: Component, environment: Mapping[str, str]) -> str:
    if component.name == "prefect":
        return f"{component.page}{SIGN_IN_PATH}#{quote(environment[CLIENT_PASSWORD], safe='')}"
    return component.page
