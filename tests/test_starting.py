"""Ctrl-C during the first second: the command says so; a program that imports the package is left alone."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

INTERRUPT = "import os, signal; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(5)"


@pytest.mark.parametrize("name", ["survival", "notebook"])
def test_ctrl_c_while_importing(name: str) -> None:
    code = (
        f"import sys; sys.argv = ['/usr/bin/{name}']; import importlib.util as u; import survival.starting; {INTERRUPT}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if name == "survival":
        assert done.returncode == 130
        assert done.stderr == "survival: Interrupted. Earlier results are untouched; nothing half-written is left.\n"
    else:
        assert "KeyboardInterrupt" in done.stderr


def test_ctrl_c_in_the_first_second_of_the_command(tmp_path: Path) -> None:
    for wait in (0.25, 0.6):
        process = subprocess.Popen(
            [sys.executable, "-m", "survival", "studies"], stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )
        time.sleep(wait)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[1]
        assert "Traceback" not in said or "survival" not in said  # the interpreter's own start is not ours
        assert process.returncode in (130, 0, -signal.SIGINT, 1)
