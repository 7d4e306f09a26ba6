"""Run the program as a user does: a process of its own, one command line."""

import os
import subprocess
import sys
from pathlib import Path


def with_path(extra: Path | None) -> dict[str, str]:
    """Return the variable that puts a folder of packages before those that are found already."""
    known = os.environ.get("PYTHONPATH")
    return {} if extra is None else {"PYTHONPATH": os.pathsep.join(filter(None, [str(extra), known]))}


def tocsin(
    *arguments: object, extra_path: Path | None = None, timeout: float = 240
) -> "subprocess.CompletedProcess[str]":
    """Run `tocsin` with these arguments and return what it printed and its exit code."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"} | with_path(extra_path)
    command = [sys.executable, "-m", "tocsin", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env=environment, check=False
    )


def succeed(*arguments: object, **options: object) -> str:
    """Run `tocsin`, hold its exit code to 0, and return what it printed on stdout."""
    done = tocsin(*arguments, **options)  # type: ignore[arg-type]
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
