"""What every engine offers: rendering in reader processes, judging in the engine's own.

Rendering (image processor, tokens) is CPU work and runs in worker processes; the payload it returns is opaque to all
but the engine that made it. Judging is asynchronous: the caller keeps many requests in flight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from PIL.Image import Image

from curate.core.types import Answer, Question
from curate.images.jpeg_reduction import Needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """One image under one question, ready for the engine; `nbytes` counts toward the bound of bytes in flight."""

    data: Any
    nbytes: int
    prompt_tokens: int | None = None


class Renderer(Protocol):
    """Turns a decoded image and a question into a payload. Lives in a worker process; not shared by threads."""

    @property
    def needed(self) -> Needed | None:
        """What an image must keep for the answer to stay the same when it is decoded smaller; None is all of it."""
        ...

    def render(self, image: Image, sha256: str, question: Question) -> Payload:
        """Render an RGB image; `sha256` is that of its original bytes.

        Raises:
            RequestRejected: this image cannot be asked about (e.g. the prompt would be too long).
        """
        ...


RendererFactory = Callable[[], Renderer]
"""Picklable; called once in each worker process."""


class Engine(Protocol):
    """A judge of payloads. `start` before use, `close` after; both may be called from one event loop only."""

    def renderer_factory(self) -> RendererFactory:
        """Usable before `start`, so that workers warm up beside the engine."""
        ...

    async def start(self) -> None:
        """Load the model.

        Raises:
            InputError: the model is missing, gated or cannot be loaded as configured.
        """
        ...

    async def judge(self, payload: Payload, question: Question) -> Answer:
        """Judge one payload.

        Raises:
            RequestRejected: the engine refuses this request and lives on.
            EngineDead: the engine is gone.
        """
        ...

    def metrics(self) -> dict[str, float]:
        """Counters since `start`, e.g. prefix cache queries and hits; names are stable."""
        ...

    async def close(self) -> None:
        """Release the model and every process that was started. Idempotent."""
        ...
