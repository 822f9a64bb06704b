"""What the benchmark is at: a line at the end of a terminal, else one line for each step of some length."""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar


class Progress:
    """Used in a ``with`` block."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Bar(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)

    def say(self, doing: str) -> None:
        """Something of unknown length, or a new state of it."""
        self._bar.update(self._task, description=doing)
        self._print(doing)

    def expect(self, steps: int) -> None:
        """From now on ``step`` is called so many times."""
        self._bar.reset(self._task, total=steps, completed=0, description="")
        self._done = 0

    def step(self, doing: str) -> None:
        """The next of the expected steps begins."""
        self._bar.update(self._task, description=doing, completed=self._done)
        self._done += 1
        self._print(doing)

    def _print(self, doing: str) -> None:
        if not self._console.is_terminal:
            self._console.print(doing, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._bar.stop()
