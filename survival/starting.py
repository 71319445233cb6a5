"""Ctrl-C while the `survival` command still imports its libraries: one line and exit code 130, and no traceback. Later both it and
SIGTERM, which `timeout`, job schedulers and containers send, undo what was begun.

Only for the command itself; a program that imports the package keeps its own handling of signals.
"""

from __future__ import annotations

import os
import signal
import sys

INTERRUPTED = 130  # as shells have it: 128 + SIGINT
MESSAGE = "Interrupted. Earlier results are untouched; nothing half-written is left."


def is_the_command() -> bool:
    """Whether this process is `survival ...` or `python -m survival ...`."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    words = sys.orig_argv
    module = words[words.index("-m") + 1 : words.index("-m") + 2] if "-m" in words else []
    return name in ("survival", "survival.exe") or module == ["survival"]


def _leave(*_: object) -> None:
    os.write(2, f"survival: {MESSAGE}\n".encode())
    os._exit(INTERRUPTED)  # nothing was begun: there is nothing to undo


def begun() -> None:
    """The command takes over: from here on Ctrl-C and SIGTERM are an exception, which undoes what was begun."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.default_int_handler)


if is_the_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _leave)
