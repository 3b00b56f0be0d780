"""Ends the engine's processes when the process that started them is gone.

vLLM's engine survives a parent that was killed, and would keep the GPU until someone notices. vLLM imports the class
named as `worker_extension_cls` in each worker before the model is loaded; importing this module starts the watch.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time

import psutil

from curate.engines.vllm_args import PARENT_VARIABLE

_SECONDS = 1.0


class ParentWatch:
    """Adds nothing to a worker; it is named so that this module is imported."""


def watch(parent: int) -> None:
    """End this process, and the engine that started it, once `parent` is gone. Blocks."""
    while _alive(parent):
        time.sleep(_SECONDS)
    starter = multiprocessing.parent_process()
    if starter is not None and starter.pid not in (None, parent) and starter.is_alive():
        os.kill(starter.pid or 0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _alive(pid: int) -> bool:
    """Whether it runs. One that was killed and that nobody has waited for is gone too."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


_parent = os.environ.get(PARENT_VARIABLE, str(os.getpid()))
if _parent != str(os.getpid()):
    threading.Thread(target=watch, args=(int(_parent),), daemon=True, name="parent-watch").start()
