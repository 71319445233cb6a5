"""One run in a process of its own, for `survival run --jobs N`: progress on standard error, why it failed on standard output."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

from rich.console import Console

from survival.errors import SurvivalError
from survival.experiment.run import job_of, run_one
from survival.experiment.sweep import points
from survival.starting import INTERRUPTED


def main() -> int:
    """The exit code: 0, 2 for a user's mistake, 130 when the parent ended."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_until_the_parent_ends, daemon=True).start()
    config = Path(order["config"])
    results = Path(order["results"]) if order["results"] else None
    try:
        point = next(p for p in points(config, order["overrides"]) if p.suffix == order["suffix"])
        job = job_of(config, order["overrides"], results, point)
        run_one(job, order["force"], Console(stderr=True, width=200))
    except SurvivalError as error:
        print(error)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        print(f"{f'{error.filename}: ' if error.filename else ''}{error.strerror or error}")
        return 2
    except MemoryError:
        print("out of memory. Run fewer at a time (--jobs), or use a larger update_every or fewer indicators.")
        return 2
    return 0


def _until_the_parent_ends() -> None:
    os.read(0, 1)  # not sys.stdin: its lock would be held when a run ends first
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
