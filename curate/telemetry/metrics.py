"""What a run measures about itself, as frozen figures that add up over workers and restarts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

FED = 0.05
"""An engine that waits for less than this share of the time counts as fed: it sets the pace."""


class Step(StrEnum):
    """Where a sample spends its time.

    READ: being read from its shard, and hashed. PLACE: waiting for a place in flight. LINE: waiting for a preparing
    process, and the way there and back. DECODE: decoded. RENDER: made into the engine's input. ENGINE: from request to
    answer, all passes. SCORE, CONTINUE: the passes of it, where the engine tells. WRITE: checkpoints and annotation
    files.
    """

    READ = "read"
    PLACE = "place"
    LINE = "line"
    DECODE = "decode"
    RENDER = "render"
    ENGINE = "engine"
    SCORE = "score"
    CONTINUE = "continue"
    WRITE = "write"


class Gauge(StrEnum):
    """What is counted over time.

    FLIGHT: samples in flight. PREPARING: those of them that wait for a preparing process or are in one. PREPARERS:
    these processes. ENGINE: requests in the engine. ROWS: samples that are judged and wait for an earlier one to be.
    """

    FLIGHT = "flight"
    PREPARING = "preparing"
    PREPARERS = "preparers"
    ENGINE = "engine"
    ROWS = "rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Sums over one worker or several; `highest` alone is a maximum.

    Samples that were judged again after a kill count again: this is what was done, not what came of it.

    Attributes:
        workers: workers that sent a request.
        samples: that got a row, or several; rows kept from an earlier run are left out.
        startup: seconds from a worker's start to its first request.
        elapsed: seconds from a worker's first request to its last answer.
        waited: seconds of these without a request in the engine.
        seconds: by step, over all samples; samples overlap, so these may exceed `elapsed`.
        depth: by gauge, its value integrated over `elapsed`, in samples (or requests, or processes) times seconds.
        highest: by gauge, its greatest value.
        loop: CPU seconds of the thread that hands out the work, over the whole life of a worker.
        bytes_read, bytes_rendered: original images; inputs of the engine.
        engine: the engine's own counters, see `Engine.metrics`.
    """

    workers: int = 0
    samples: int = 0
    startup: float = 0.0
    elapsed: float = 0.0
    waited: float = 0.0
    seconds: Mapping[str, float] = field(default_factory=dict)
    depth: Mapping[str, float] = field(default_factory=dict)
    highest: Mapping[str, int] = field(default_factory=dict)
    loop: float = 0.0
    bytes_read: int = 0
    bytes_rendered: int = 0
    engine: Mapping[str, float] = field(default_factory=dict)

    def __add__(self, other: Metrics) -> Metrics:
        """Both together."""
        sums = {f.name: _sum(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        gauges = {**self.highest, **other.highest}
        highest = {g: max(self.highest.get(g, 0), other.highest.get(g, 0)) for g in gauges}
        return Metrics(**sums | {"highest": highest})

    @property
    def rate(self) -> float:
        """Samples a second of one worker."""
        return self.samples / max(1e-9, self.elapsed)

    @property
    def waited_share(self) -> float:
        """Share of the time in which the engine had nothing to do although work was left."""
        return self.waited / max(1e-9, self.elapsed)

    def each(self, step: Step) -> float:
        """Mean seconds of a sample in `step`."""
        return self.seconds.get(step, 0.0) / max(1, self.samples)

    def mean(self, gauge: Gauge) -> float:
        """Mean value of `gauge` in one worker."""
        return self.depth.get(gauge, 0.0) / max(1e-9, self.elapsed)

    @property
    def limit(self) -> str:
        """What sets the pace: the place before which samples stand.

        "preparation" where more samples wait for a preparing process than are in the engine; "engine" where that hardly
        ever waits; "places" (the bounds on what is in flight) where reading waits for one; else whichever of "reading",
        "writing" and "loop" (the thread that hands out the work) is busiest.
        """
        if self.mean(Gauge.PREPARING) - self.mean(Gauge.PREPARERS) > max(1.0, self.mean(Gauge.ENGINE)):
            return "preparation"
        if self.waited_share < FED:
            return "engine"
        seconds = {step: self.seconds.get(step, 0.0) for step in Step}
        busy = {
            "places": seconds[Step.PLACE],
            "reading": seconds[Step.READ],
            "writing": seconds[Step.WRITE],
            "loop": self.loop,
        }
        return max(busy, key=busy.__getitem__)


def _sum(ours: Any, theirs: Any) -> Any:
    if isinstance(ours, Mapping):
        return {name: ours.get(name, 0) + theirs.get(name, 0) for name in {**ours, **theirs}}
    return ours + theirs
