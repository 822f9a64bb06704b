"""Code blocks, commands and links of README.md and other pages."""

import ast
import re
from dataclasses import dataclass

from tests.support.main_job import ROOT

TEXT = (ROOT / "README.md").read_text()
LONG_RUNNING = re.compile(
    r"\bmake (run|test|serve|up|bench|check)\b|prefect (server|worker) start|bentoml serve|mlflow ui"
)
# Output of a command that reports a problem.
COMMAND_NOISE = re.compile(r"\w+Warning:|Traceback|deprecat|command not found|No such file")


@dataclass(frozen=True)
class Block:
    """Fenced code block with the number of its first line and its info string."""

    line: int
    info: str
    text: str

    @property
    def edits_checkout(self) -> bool:
        """Return True for commands that change files of the checkout, which run in a copy of it."""
        return self.info.split()[1:] == ["edits"]

    @property
    def is_long_running(self) -> bool:
        """Return True for commands that do not end by themselves, or that have another test."""
        return bool(LONG_RUNNING.search(self.text))


def parse_blocks(text: str = TEXT) -> list[Block]:
    """List the fenced code blocks in order."""
    blocks: list[Block] = []
    start, fence, info, lines = 0, "", "", list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        marker = re.match(r" {0,3}(`{3,}|~{3,})\s*(.*)$", line)
        if not fence and marker:
            start, fence, info, lines = number, marker[1], marker[2].strip(), []
        elif fence and marker and marker[1].startswith(fence) and not marker[2]:
            blocks.append(Block(start, info, "\n".join(lines)))
            fence = ""
        elif fence:
            lines.append(line)
    assert not fence, f"the block of line {start} has no end"
    return blocks


def bash_blocks(edits_checkout: bool = False) -> list[Block]:
    """List the blocks of README.md for pasting into a shell: those that change files of the checkout, or the others."""
    blocks = [block for block in parse_blocks() if block.info.split()[:1] == ["bash"]]
    return [block for block in blocks if block.edits_checkout == edits_checkout]


def make_targets(text: str = TEXT) -> set[str]:
    """Collect the targets of `make TARGET` in code."""
    code = "\n".join([*(block.text for block in parse_blocks(text)), *re.findall(r"(?<!`)`([^`\n]+)`", text)])
    return set(re.findall(r"\bmake (?:-\w+ )*([a-z]+(?:-[a-z]+)*)\b", code))


def module_commands(text: str = TEXT) -> list[tuple[str, str]]:
    """Find the module and the arguments of every `python -m MODULE ...`, except modules of Python itself."""
    packages = "flows|feature_repo|benchmarks|services|holdfast|simulations"
    found = re.findall(rf"python -m ((?:{packages})[\w.]*)([^`\n|]*)", text)
    return [(module, arguments.strip()) for module, arguments in found]


def local_links(text: str = TEXT) -> set[str]:
    """Collect the files that links and images refer to."""
    return {link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"\w+:|#", link)}


def assert_command_exists(name: str, arguments: str) -> None:
    """Check that a module for ``python -m`` exists and that its function has all given options.

    A package is run by its ``__main__``; a command of ``holdfast`` is a function of its module in ``holdfast.cli``.
    """
    path = ROOT / name.replace(".", "/")
    if name == "holdfast" and not arguments.startswith("-"):
        command, _, arguments = arguments.partition(" ")
        name, text = f"holdfast.{command}", (ROOT / "holdfast" / "cli" / f"{command}.py").read_text()
        tree = ast.parse(text + (path / "__main__.py").read_text())
    else:
        tree = ast.parse((path / "__main__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
    assert "__name__ == '__main__'" in {ast.unparse(node.test) for node in tree.body if isinstance(node, ast.If)}, name
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    options = set(re.findall(r"--[\w-]+", arguments)) - {"--help"}
    if "--inspect" in options:  # the first look has a parser of its own
        text = (ROOT / "holdfast" / "inspection" / "command.py").read_text()
        assert options <= set(re.findall(r'"(--[\w-]+)"', text)), f"{name} --inspect has not all of {options}"
    elif options:
        entry = {"simulations": "simulate"}.get(name, name.rpartition(".")[2])
        parameters = functions[entry].args.args
        given = {f"--{argument.arg.replace('_', '-')}" for argument in parameters}
        given |= {f"--no-{argument.arg.replace('_', '-')}" for argument in parameters}
        given |= set(re.findall(r"--[\w-]+", " ".join(ast.unparse(argument) for argument in parameters)))
        assert options <= given, f"{name} has not all of {options}"
