"""One engine that answers whoever asks, for as long as a service or a program lives: no run, no folder.

Everything happens on one event loop, that of the engine. What is rendered is bounded by `engine.max_requests` and
`engine.max_bytes`; who waits for a place gets it in order. A caller that is cancelled gives its place back, and its
request in the engine is aborted.
"""

from __future__ import annotations

import io
from contextlib import AsyncExitStack

from PIL import Image

from curate.annotation.autoscale import most_workers
from curate.annotation.judge_sample import judge
from curate.annotation.on_demand import sample_of
from curate.annotation.preprocess_pool import Limits, PreprocessPool
from curate.annotation.run_worker import load
from curate.core.errors import EngineDead
from curate.core.types import Annotation, Question, Status
from curate.engines.factory import make_engine
from curate.engines.load_times import loading
from curate.engines.supervised import SupervisedEngine
from curate.guard.places import Places
from curate.settings.run import Settings

_MOST_WORKERS = 4


class LiveJudge:
    """Judges pictures as they come. `start` before use, `close` after, all in one event loop.

    Args:
        settings: the model, its number format settled, and the engine; of the data set only the limits.

    Attributes:
        dead: why nothing can be judged any more; None while it can.

    Raises:
        InputError: the engine cannot be used as configured.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine = SupervisedEngine(lambda: make_engine(settings.model, settings.engine))
        self._pool = PreprocessPool(
            self._engine.renderer_factory(), Limits.of(settings.dataset), workers=_workers(settings)
        )
        self._places = Places(settings.engine.max_requests, settings.engine.max_bytes)
        self._stack = AsyncExitStack()
        self.dead: str | None = None

    async def start(self, question: Question) -> None:
        """Load the model, and have it answer `question` once.

        Raises:
            InputError, EngineDead: the model cannot be loaded, or does not answer.
        """
        self._stack.push_async_callback(self._engine.close)
        await self._stack.enter_async_context(self._pool)
        with loading(self._settings.model, self._settings.engine):
            await load(self._engine, self._pool)
        row = await self.judge(_grey(), question)
        if row.status is not Status.LABELLED:
            raise EngineDead(f"the model's first answer is none: {row.status}: {row.detail}")

    async def judge(self, image: bytes, question: Question) -> Annotation:
        """The row of one encoded picture, whatever is wrong with it.

        Raises:
            EngineDead: the engine cannot be kept alive; see `dead`.
        """
        sample = sample_of("", 0, image, len(image), self._settings.dataset)
        async with self._places.entered(len(image)) as place:
            try:
                rows = await judge(sample, "", {question.policy: question}, self._pool, self._engine, place.settle)
            except EngineDead as error:
                self.dead = str(error)
                raise
        return rows[question.policy]

    @property
    def in_flight(self) -> int:
        """Pictures that are prepared or in the engine now."""
        return self._places.items

    def metrics(self) -> dict[str, float]:
        """The engine's counters."""
        return self._engine.metrics()

    async def close(self) -> None:
        """End the engine and the processes that decode. Idempotent."""
        await self._stack.aclose()


def _workers(settings: Settings) -> int:
    """Processes that decode and render; "auto" leaves a core to the loop and takes no more than a few."""
    workers = settings.engine.workers
    return min(most_workers(), _MOST_WORKERS) if workers == "auto" else workers


def _grey() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(out, "PNG")
    return out.getvalue()
