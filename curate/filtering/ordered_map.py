"""Work on many things at once, with the results one by one in the order of the things."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def in_order(work: Callable[[Item], Outcome], items: Iterable[Item], concurrency: int) -> Iterator[Outcome]:
    """`work` of each item, from `concurrency` threads.

    At most twice as many items are begun or waiting as there are lanes, so that neither items nor results pile up.
    What `work` raises is raised here, and nothing that waits is begun any more.
    """
    begun: deque[Future[Outcome]] = deque()
    with ThreadPoolExecutor(concurrency, thread_name_prefix="in-order") as pool:
        try:
            for item in items:
                begun.append(pool.submit(work, item))
                if len(begun) == 2 * concurrency:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for waiting in begun:
                waiting.cancel()
