"""A command as the operating system sees it: how long, how much memory in how many processes, how many open files."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

INTERVAL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a command used, its children included.

    Attributes:
        seconds: from its start to its end.
        peak_mb: most resident memory of all its processes together, in MB; a page that several share counts once (PSS),
            so that a process just forked is not taken for a copy of its parent.
        each_mb: the most that each of its processes held, largest first.
        open_files: most descriptors of all processes together.
    """

    seconds: float
    peak_mb: float
    each_mb: tuple[float, ...]
    open_files: int


def watch(command: Sequence[str], log: Path) -> Usage:
    """Run `command` to its end; what it prints goes to `log`.

    Raises:
        CalledProcessError: it failed.
    """
    peak, files, each = 0.0, 0, dict[int, float]()
    started = time.perf_counter()
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as process:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            memory, opened = _now(root)
            each = {pid: max(mb, each.get(pid, 0.0)) for pid, mb in memory.items()} | {
                pid: mb for pid, mb in each.items() if pid not in memory
            }
            peak, files = max(peak, sum(memory.values())), max(files, opened)
            time.sleep(INTERVAL)
        seconds = time.perf_counter() - started
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, log.read_text()[-2000:])
    return Usage(seconds=seconds, peak_mb=peak, each_mb=tuple(sorted(each.values(), reverse=True)), open_files=files)


def _now(root: psutil.Process) -> tuple[dict[int, float], int]:
    """Memory in MB by process, and open descriptors of all."""
    memory, opened = dict[int, float](), 0
    for process in _tree(root):
        with suppress(psutil.NoSuchProcess):
            memory[process.pid] = process.memory_full_info().pss / 1e6
            opened += process.num_fds()
    return memory, opened


def _tree(root: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [root, *root.children(recursive=True)]
    return []
