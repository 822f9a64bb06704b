"""Progress of the benchmark: a status line in a terminal, otherwise one line per step."""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class BenchmarkProgress:
    """Progress display for a ``with`` block.

    Args:
        console: Terminal or file.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)

    def show(self, activity: str) -> None:
        """Show an activity of unknown length.

        Args:
            activity: Description.
        """
        self._bar.update(self._task, description=activity)
        self._print(activity)

    def start_steps(self, steps: int) -> None:
        """Start a sequence of calls of :meth:`step`.

        Args:
            steps: Number of steps.
        """
        self._bar.reset(self._task, total=steps, completed=0, description="")
        self._done = 0

    def step(self, activity: str) -> None:
        """Start the next step.

        Args:
            activity: Description.
        """
        self._bar.update(self._task, description=activity, completed=self._done)
        self._done += 1
        self._print(activity)

    def _print(self, activity: str) -> None:
        if not self._console.is_terminal:
            self._console.print(activity, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._bar.stop()
