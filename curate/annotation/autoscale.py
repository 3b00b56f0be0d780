"""`engine.workers=auto`: more preparing processes while the engine gets too little because of them, and no more.

Samples in flight stand either before the preparers or in the engine. Where they pile up before the preparers, the
engine has fewer than it could have; where they pile up in the engine, another process would only take memory. When a
run begins all of them stand before the preparers, so that a line which gets shorter is no reason yet.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass

from curate.annotation.preprocess_pool import PreprocessPool
from curate.processes.piped_process import ProcessDied
from curate.telemetry.meter import Meter
from curate.telemetry.metrics import Gauge

logger = logging.getLogger(__name__)

FIRST = 2
"""Processes to begin with, where there are cores for them."""
MOST = 16
WINDOW_SECONDS = 2.0
_POLL_SECONDS = 0.1
_NOISE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLengths:
    """Where samples stood, on average over a window: waiting for a preparer, and in the engine."""

    waiting: float
    asked: float


def is_starved(before: QueueLengths, now: QueueLengths) -> bool:
    """Whether the engine gets too little because preparing is slow, in two windows after one another."""
    return now.waiting > max(1.0, now.asked) and now.waiting >= before.waiting - _NOISE


def most_workers() -> int:
    """Processes at most: one core is left to the engine and the loop."""
    return max(1, min(MOST, len(os.sched_getaffinity(0)) - 1))


async def add_workers_while_starved(
    pool: PreprocessPool, meter: Meter, most: int, window: float = WINDOW_SECONDS
) -> None:
    """Double the workers of `pool` again and again until they suffice or there are `most`.

    Args:
        pool: of worker processes.
        meter: of the run that it prepares for.
        most: workers at most.
        window: seconds between two looks.
    """
    while not meter.begun:
        await asyncio.sleep(_POLL_SECONDS)
    before = await _look(meter, window)
    while pool.workers < most:
        now = await _look(meter, window)
        if is_starved(before, now):
            try:
                await _grow(pool, meter, min(pool.workers, most - pool.workers))
            except ProcessDied as error:
                logger.warning("stays with %d preparing processes: one more ended with %s", pool.workers, error)
                return
            now = await _look(meter, window)
        before = now


async def _grow(pool: PreprocessPool, meter: Meter, more: int) -> None:
    workers = pool.workers
    try:
        await pool.grow(more)
    finally:
        meter.levels[Gauge.PREPARERS].change(pool.workers - workers)


async def _look(meter: Meter, window: float) -> QueueLengths:
    """Watch for `window` seconds."""
    before = meter.running()
    await asyncio.sleep(window)
    means = meter.running().since(before)
    return QueueLengths(waiting=means[Gauge.PREPARING] - means[Gauge.PREPARERS], asked=means[Gauge.ENGINE])
