"""What the program is doing, on standard error: a moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Steps:
    """Call it with the name of the step that begins; `part(done, total)` moves the bar of that step."""

    def __init__(self, console: Console, bar: Progress) -> None:
        self._console, self._bar = console, bar
        self._task = bar.add_task("", total=None)
        self._began: tuple[str, float] | None = None

    def __call__(self, name: str) -> None:
        """The step of that name begins; the one before ends."""
        self.end()
        self._began = (name, time.perf_counter())
        self._bar.reset(self._task, description=name, total=None)

    def part(self, done: int, total: int) -> None:
        """So much of the step is done."""
        self._bar.update(self._task, completed=done, total=total)

    def end(self) -> None:
        """The last step is over: say how long it took."""
        if self._began is not None:
            name, start = self._began
            self._console.print(f"  {name} [dim]{time.perf_counter() - start:.1f} s[/dim]", highlight=False)
            self._began = None


@contextmanager
def steps(console: Console) -> Iterator[Steps]:
    """Steps of a run; each is shown with its time when it ends."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        step = Steps(console, bar)
        yield step
        step.end()


@contextmanager
def counter(console: Console, name: str) -> Iterator[Callable[[int, int], None]]:
    """A function that takes how much is done of how much; the time is shown when all is."""
    with steps(console) as step:
        step(name)
        yield step.part
