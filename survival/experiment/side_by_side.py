"""Several runs at once, each in a process of its own: their messages one after the other, memory and cores shared out.

A worker reads its order from its standard input, which stays open until the parent ends or is interrupted: then the worker
interrupts itself, and cleans up as after Ctrl-C. So there is one way to stop it, however the parent goes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from survival.data.engine import default_memory_limit

_LEAST = 256  # MiB for a run
_UNITS = {"": 1 / 2**20, "B": 1 / 2**20, "K": 2**-10, "M": 1.0, "G": 2.0**10, "T": 2.0**20}
_THREADS = ("SURVIVAL_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Order:
    """A run for a worker: its name, what failures call it, and what `survival run` was told."""

    name: str
    called: str
    config: Path
    overrides: tuple[str, ...]
    results: Path | None
    force: bool
    suffix: str  # of the point of a sweep

    def as_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), default=str)


def side_by_side(orders: Sequence[Order], jobs: int, console: Console) -> list[str]:
    """Run the orders, `jobs` at a time; why some failed, in their order. KeyboardInterrupt stops all and leaves nothing."""
    jobs = min(jobs, len(orders))
    environment = {**os.environ, **shares(jobs)}
    workers: set[subprocess.Popen[str]] = set()
    failed: dict[int, str] = {}
    before = (
        signal.signal(signal.SIGTERM, _interrupt) if threading.current_thread() is threading.main_thread() else None
    )
    pool = ThreadPoolExecutor(jobs)
    try:
        waiting = {pool.submit(_work, order, environment, workers): i for i, order in enumerate(orders)}
        for future in as_completed(waiting):
            said, error = future.result()
            console.print(said.rstrip("\n"), highlight=False, markup=False, soft_wrap=True)
            if error:
                failed[waiting[future]] = f"{orders[waiting[future]].called}: {error}"
                console.print(
                    f"{orders[waiting[future]].name}: failed; the reason is given at the end",
                    highlight=False,
                    markup=False,
                )
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in list(workers):
            if worker.stdin is not None:
                worker.stdin.close()  # those still at work interrupt themselves
        pool.shutdown(wait=True)
        if before is not None:
            signal.signal(signal.SIGTERM, before)
    return [failed[i] for i in sorted(failed)]


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _work(order: Order, environment: dict[str, str], workers: set[subprocess.Popen[str]]) -> tuple[str, str]:
    """What the run said, and why it failed ('': it did not)."""
    command = [sys.executable, "-m", "survival.experiment.worker"]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as progress:
        worker = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=progress, text=True, encoding="utf-8",
            env=environment, start_new_session=True,
        )  # fmt: skip
        workers.add(worker)
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            worker.stdin.write(order.as_json() + "\n")
            worker.stdin.flush()
        except (OSError, ValueError):  # it is gone already: its exit code says why
            pass
        error = worker.stdout.read().strip()
        code = worker.wait()
        workers.discard(worker)
        progress.seek(0)
        said = progress.read()
    if code == 0:
        return said, ""
    return said, error or f"the process ended with code {code}" + (
        f": {said.strip().splitlines()[-1]}" if said.strip() else ""
    )


def shares(jobs: int) -> dict[str, str]:
    """The environment in which each of `jobs` runs takes its share of memory and cores."""
    memory = max(_LEAST, int(_mebibytes(default_memory_limit()) / jobs))
    cores = str(max(1, (os.cpu_count() or 1) // jobs))
    given = {name: os.environ.get(name, cores) for name in _THREADS}
    return {"SURVIVAL_MEMORY": f"{memory}MiB", **given}


def _mebibytes(limit: str) -> float:
    """`2560MiB`, `2GB` or `1.5 GiB` as a number of MiB; what cannot be read counts as 1 GiB."""
    found = re.fullmatch(r"\s*([0-9.]+)\s*([BKMGT]?)i?B?\s*", limit, flags=re.IGNORECASE)
    return float(found[1]) * _UNITS[found[2].upper()] if found else 1024.0
