"""Progress of a long run: one line per stage as it ends, with its time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape

from holdfast.runtime.progress import show_progress_in


@dataclass
class Stage:
    """A running stage; set ``outcome`` to say in a few words what came of it."""

    outcome: str = ""


@dataclass
class StageTimer:
    """Times each stage and prints it."""

    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, doing: str) -> Iterator[Stage]:
        """Show ``doing`` while the body runs, then one line with its outcome; a failure shows as one, too."""
        current, start = Stage(), time.perf_counter()
        try:
            with self.console.status(f"{name}: {doing}") as status, show_progress_in(status, name):
                yield current
        except BaseException:
            self.console.print(f"[red]✗[/red] {name:<9}{time.perf_counter() - start:6.1f} s  failed while {doing}")
            raise
        self.seconds[name] = round(time.perf_counter() - start, 2)
        self.console.print(f"[green]✓[/green] {name:<9}{self.seconds[name]:6.1f} s  {escape(current.outcome)}")
