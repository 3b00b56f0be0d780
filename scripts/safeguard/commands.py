"""Runs the package's own commands, and says which."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def curate(*arguments: str) -> None:
    """`python -m curate`; what it prints is shown.

    Raises:
        subprocess.CalledProcessError: it did not end well.
    """
    command = ("-m", "curate", *arguments)
    print("python", *command, flush=True)
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True)
