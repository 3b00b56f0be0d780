"""Many clients at once, each asking as soon as it has an answer; what came of it, and how long it took."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np

HANG = aiohttp.ClientTimeout(total=1500)

Request = Callable[[int], Mapping[str, Any]]
"""Keyword arguments of a POST, by the number of the picture."""


@dataclass(kw_only=True)
class Load:
    """What a load came to.

    Attributes:
        seconds: from the first request to the last answer.
        waits: seconds of each request that was answered with 200.
        statuses: how many had which; 0 where there was no answer.
        answers: by the number of the picture.
        refused: seconds until each 429 or 503.
    """

    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    answers: dict[int, Any] = field(default_factory=dict)
    refused: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.waits) / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds."""
        return float(np.percentile(self.waits, share)) * 1000


def ask(url: str, request: Request, numbers: Sequence[int], clients: int, *, keep: bool = False) -> Load:
    """Have `clients` ask about all `numbers`, each once."""
    return asyncio.run(_ask(url, request, numbers, clients, keep=keep))


async def _ask(url: str, request: Request, numbers: Sequence[int], clients: int, *, keep: bool) -> Load:
    load, left = Load(), iter(numbers)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=HANG) as session:

        async def client() -> None:
            for number in left:
                started = time.perf_counter()
                try:
                    async with session.post(url, **request(number)) as response:
                        body = await response.read()
                        status = response.status
                        if keep:
                            load.answers[number] = await response.json()
                except aiohttp.ClientError:
                    status, body = 0, b""
                took = time.perf_counter() - started
                load.statuses[status] += 1
                if status == 200 and body:
                    load.waits.append(took)
                elif status in (429, 503):
                    load.refused.append(took)

        started = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        load.seconds = time.perf_counter() - started
    return load
