"""README.md as data: its code blocks, commands and links."""

import re
from dataclasses import dataclass

from tests.support.main_job import ROOT

TEXT = (ROOT / "README.md").read_text()
LONG_RUNNING = re.compile(
    r"\bmake (run|test|serve|up|bench|check)\b|prefect (server|worker) start|bentoml serve|mlflow ui"
)


@dataclass(frozen=True)
class Block:
    """A fenced code block: the line it starts at, its info string, and what it holds."""

    line: int
    info: str
    text: str

    @property
    def is_long_running(self) -> bool:
        """It starts what does not end by itself, or what has a test of its own."""
        return bool(LONG_RUNNING.search(self.text))


def blocks(text: str = TEXT) -> list[Block]:
    """Every fenced block, in order."""
    found: list[Block] = []
    start, fence, info, held = 0, "", "", []
    for number, line in enumerate(text.splitlines(), 1):
        marker = re.match(r" {0,3}(`{3,}|~{3,})\s*(.*)$", line)
        if not fence and marker:
            start, fence, info, held = number, marker[1], marker[2].strip(), []
        elif fence and marker and marker[1].startswith(fence) and not marker[2]:
            found.append(Block(start, info, "\n".join(held)))
            fence = ""
        elif fence:
            held.append(line)
    assert not fence, f"the block that starts in line {start} has no end"
    return found


def bash_blocks() -> list[Block]:
    """Those a newcomer may paste into a shell as they are."""
    return [block for block in blocks() if block.info.split()[:1] == ["bash"]]


def make_targets(text: str = TEXT) -> set[str]:
    """Every target in a `make TARGET` written as code."""
    code = "\n".join([*(block.text for block in blocks(text)), *re.findall(r"(?<!`)`([^`\n]+)`", text)])
    return set(re.findall(r"\bmake (?:-\w+ )*([a-z]+(?:-[a-z]+)*)\b", code))


def module_commands(text: str = TEXT) -> list[tuple[str, str]]:
    """Find the module and the arguments of every `python -m MODULE ...`, except modules of Python itself."""
    packages = "flows|feature_repo|benchmarks|services|holdfast|simulations"
    found = re.findall(rf"python -m ((?:{packages})[\w.]*)([^`\n|]*)", text)
    return [(module, arguments.strip()) for module, arguments in found]


def local_links(text: str = TEXT) -> set[str]:
    """The files that links and pictures point to."""
    return {link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"\w+:|#", link)}
