"""vLLM's own processes, for tests that kill them."""

from __future__ import annotations

import psutil


def engine_of(pid: int) -> psutil.Process | None:
    """vLLM's engine process below a run or a service, if there is one yet."""
    if not psutil.pid_exists(pid):
        return None
    children = psutil.Process(pid).children(recursive=True)
    return next((child for child in children if "EngineCore" in " ".join(child.cmdline())), None)
