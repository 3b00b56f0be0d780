"""The judging part of `curate run` in a process of its own, which tells when it reached what.

python -m tests.benchmarks.timed_job OVERRIDE...     the last line on stdout is a `Times` as JSON.

Nothing is replaced: the engine that the settings name is wrapped by one that looks at the clock.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from curate.core.types import Answer, Question
from curate.engines.base import Engine, Payload, RendererFactory


@dataclass
class Times:
    """Seconds since the process was started, by what was reached then, in order; and the engine's counters."""

    at: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)

    def reached(self, what: str) -> None:
        """Note the time, of the first time only."""
        self.at.setdefault(what, time.time() - psutil.Process().create_time())

    @property
    def judging(self) -> float:
        """From an engine that is loaded to the last commit."""
        return self.at["committed"] - self.at["engine loaded"]


class TimedEngine:
    """As `curate.engines.base.Engine`; looks at the clock when the engine inside has done something."""

    def __init__(self, engine: Engine, module: str | None, times: Times) -> None:
        self._engine, self._module, self._times = engine, module, times

    def renderer_factory(self) -> RendererFactory:
        return self._engine.renderer_factory()

    async def start(self) -> None:
        if self._module:  # what starting would do first
            await asyncio.to_thread(importlib.import_module, self._module)
        self._times.reached("vLLM imported")
        await self._engine.start()
        self._times.reached("engine loaded")

    async def judge(self, payload: Payload, question: Question) -> Answer:
        self._times.reached("first image prepared")
        answer = await self._engine.judge(payload, question)
        self._times.reached("first image labelled")
        return answer

    def metrics(self) -> dict[str, float]:
        return self._engine.metrics()

    async def close(self) -> None:
        self._times.reached("committed")
        self._times.metrics = dict(self._engine.metrics())
        await self._engine.close()


def run_job(folder: Path, *overrides: str, environment: Mapping[str, str]) -> Times:
    """Judge in a new process, with `folder` as the run's.

    Raises:
        RuntimeError: it failed; holds the end of what it said.
    """
    import subprocess

    command = [sys.executable, "-m", "tests.benchmarks.timed_job", f"output.dir={folder}", *overrides]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(environment), check=False)
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return Times(**json.loads(done.stdout.splitlines()[-1]))


def main(overrides: list[str]) -> None:
    """Judge, and print the times."""
    times = Times()
    times.reached("Python started")
    from curate.cli.hydra_config import compose_settings
    from curate.console.output import configure
    from curate.engines.factory import ENGINES
    from curate.pipeline.annotating import annotate
    from curate.pipeline.opening import open_settings

    configure(verbose=False)
    times.reached("curate imported")
    settings = compose_settings(overrides)
    times.reached("configuration composed")
    run = open_settings(settings)
    times.reached("shards planned, model hashed")
    make, module = (
        ENGINES[settings.engine.name],
        "curate.engines.vllm_backend" if settings.engine.name == "vllm" else None,
    )
    assert isinstance(ENGINES, dict)
    ENGINES[settings.engine.name] = lambda model, engine: TimedEngine(make(model, engine), module, times)
    outcome = annotate(run)
    assert not outcome.unreadable, outcome.unreadable
    print(json.dumps(asdict(times)))


if __name__ == "__main__":
    main(sys.argv[1:])
