"""Measures a worker while it works: times by step, what stands where, and how long the engine waited.

Everything here is used in the worker's event loop alone, so that nothing needs a lock; a mark costs well under a
microsecond, beside the milliseconds that a sample takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, thread_time
from typing import Generic, TypeVar

from curate.telemetry.metrics import Gauge, Metrics, Step

T = TypeVar("T")


class Level:
    """A number of things, integrated over time.

    Attributes:
        value, highest: the number now, and the greatest so far.
        area: integral up to the last change, in items times seconds.
        empty: seconds at 0, up to the same.
    """

    def __init__(self) -> None:
        self.value = self.highest = 0
        self.area = self.empty = 0.0
        self._since = perf_counter()

    def change(self, by: int) -> None:
        """Add `by` to the number."""
        now = perf_counter()
        passed, self._since = now - self._since, now
        self.area += self.value * passed
        if not self.value:
            self.empty += passed
        self.value += by
        self.highest = max(self.highest, self.value)

    def integrals(self, at: float) -> tuple[float, float]:
        """`area` and `empty` up to a moment of `perf_counter`, or up to the last change if that is later."""
        passed = max(0.0, at - self._since)
        return self.area + self.value * passed, self.empty + (0.0 if self.value else passed)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """One more, as long as this lasts."""
        self.change(1)
        try:
            yield
        finally:
            self.change(-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Sums of one worker at one moment.

    Attributes:
        at: of `time.perf_counter`.
        counts: samples and bytes.
        seconds: by step.
        areas: integrals by gauge.
        empty: seconds without a request in the engine.
    """

    at: float
    counts: Mapping[str, int]
    seconds: Mapping[Step, float]
    areas: Mapping[Gauge, float]
    empty: float

    def since(self, then: Running) -> dict[str, float]:
        """What came since `then`: counts, the share of time the engine waited, mean gauges, seconds by step."""
        passed = max(1e-9, self.at - then.at)
        line: dict[str, float] = {name: count - then.counts[name] for name, count in self.counts.items()}
        line["waited"] = (self.empty - then.empty) / passed
        line |= {gauge.value: (area - then.areas[gauge]) / passed for gauge, area in self.areas.items()}
        line |= {f"{step}_seconds": seconds - then.seconds[step] for step, seconds in self.seconds.items()}
        return {name: round(value, 4) for name, value in line.items()}


class Meter:
    """One worker's measurements; it begins to count its start-up when it is made.

    Attributes:
        levels: by gauge.
        samples, bytes_read, bytes_rendered: see `Metrics`.
    """

    def __init__(self) -> None:
        self.levels = {gauge: Level() for gauge in Gauge}
        self.samples = self.bytes_read = self.bytes_rendered = 0
        self._seconds = dict.fromkeys(Step, 0.0)
        self._made = perf_counter()
        self._thread_time = thread_time()
        self._first: float | None = None
        self._before: dict[Gauge, tuple[float, float]] = {}
        self._last = self._made

    def add(self, step: Step, seconds: float) -> None:
        """Count time that a sample spent in `step`."""
        self._seconds[step] += seconds

    @contextmanager
    def timed(self, step: Step) -> Iterator[None]:
        """Count the time that this lasts."""
        started = perf_counter()
        try:
            yield
        finally:
            self._seconds[step] += perf_counter() - started

    @contextmanager
    def asked(self) -> Iterator[None]:
        """A request is in the engine as long as this lasts."""
        started = perf_counter()
        if self._first is None:
            self._first = started
            self._before = self._integrals(started)
        try:
            with self.levels[Gauge.ENGINE].inside():
                yield
        finally:
            self._last = perf_counter()
            self._seconds[Step.ENGINE] += self._last - started

    @property
    def begun(self) -> bool:
        """Whether there was a request."""
        return self._first is not None

    def snapshot(self, engine: Mapping[str, float]) -> Metrics:
        """The sums up to now.

        Time without a request counts as waited once the next request comes: only then it is known that work was left.
        """
        first = self._last if self._first is None else self._first
        now = self._integrals(self._last)
        depth = {gauge: now[gauge][0] - area for gauge, (area, _) in self._before.items()}
        return Metrics(
            workers=int(self.begun),
            samples=self.samples,
            startup=first - self._made,
            elapsed=self._last - first,
            waited=self.levels[Gauge.ENGINE].empty - self._before[Gauge.ENGINE][1] if self.begun else 0.0,
            seconds={step.value: seconds for step, seconds in self._seconds.items()},
            depth={gauge.value: area for gauge, area in depth.items()},
            highest={gauge.value: level.highest for gauge, level in self.levels.items()},
            loop=thread_time() - self._thread_time,
            bytes_read=self.bytes_read,
            bytes_rendered=self.bytes_rendered,
            engine=dict(engine),
        )

    def running(self) -> Running:
        """All that grows, up to this moment: the difference of two says what was in between."""
        at = perf_counter()
        integrals = self._integrals(at)
        return Running(
            at=at,
            counts={"samples": self.samples, "bytes_read": self.bytes_read, "bytes_rendered": self.bytes_rendered},
            seconds=dict(self._seconds),
            areas={gauge: area for gauge, (area, _) in integrals.items()},
            empty=integrals[Gauge.ENGINE][1],
        )

    def _integrals(self, at: float) -> dict[Gauge, tuple[float, float]]:
        return {gauge: level.integrals(at) for gauge, level in self.levels.items()}


class Stopwatch(Generic[T]):
    """Iterates over `items`; `last` is the time that the latest step took, in seconds."""

    def __init__(self, items: Iterator[T]) -> None:
        self.last = 0.0
        self._items = items

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        started = perf_counter()
        try:
            return next(self._items)
        finally:
            self.last = perf_counter() - started
