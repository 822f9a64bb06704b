"""Progress of a long run: one line per completed stage, with its duration."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape

from holdfast.runtime.progress import show_progress_in


@dataclass
class Stage:
    """Running stage; the body sets ``result``, a few words about what it did."""

    result: str = ""


@dataclass
class StageTimer:
    """Timer that prints each stage. ``seconds`` has the duration by stage."""

    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, activity: str) -> Iterator[Stage]:
        """Show an activity while the block runs, then one line with its result or failure.

        Args:
            name: One word.
            activity: What happens, as a participle: "training the models".

        Yields:
            The stage, whose result the block sets.
        """
        current, start = Stage(), time.perf_counter()
        try:
            with self.console.status(f"{name}: {activity}") as status, show_progress_in(status, name):
                yield current
        except BaseException:
            self.console.print(f"[red]✗[/red] {name:<9}{time.perf_counter() - start:6.1f} s  failed while {activity}")
            raise
        self.seconds[name] = round(time.perf_counter() - start, 2)
        self.console.print(f"[green]✓[/green] {name:<9}{self.seconds[name]:6.1f} s  {escape(current.result)}")
