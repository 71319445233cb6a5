"""What the program is doing, on standard error: a moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

Step = Callable[[str], None]  # begins a step of the given name, which ends the one before


@contextmanager
def steps(console: Console, total: int | None = None) -> Iterator[Step]:
    """A function that names the step that begins; the time of each is shown when it ends."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    began: list[tuple[str, float]] = []

    def end() -> None:
        if began:
            name, start = began.pop()
            console.print(f"  {name} [dim]{time.perf_counter() - start:.1f} s[/dim]", highlight=False)

    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)

        def step(name: str) -> None:
            end()
            began.append((name, time.perf_counter()))
            bar.update(task, description=name, advance=1 if total else 0)

        yield step
        end()


@contextmanager
def counter(console: Console, name: str) -> Iterator[Callable[[int, int], None]]:
    """A function that takes how much is done of how much; the time is shown when all is."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    start = time.perf_counter()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name)
        yield lambda done, total: bar.update(task, completed=done, total=total)
    console.print(f"  {name} [dim]{time.perf_counter() - start:.1f} s[/dim]", highlight=False)
