"""From a sample to what the engine takes: hash, decode, render; and the pool in which that happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from time import perf_counter
from types import TracebackType
from typing import Protocol, Self

from PIL.Image import Image

from curate.annotation.decoder_noise import Overheard
from curate.console.untrusted_text import one_line
from curate.core import secrets
from curate.core.errors import CurateError, EngineDead, RequestRejected
from curate.core.types import Failure, Question, Sample, Status, Unaskable
from curate.engines.base import Payload, Renderer, RendererFactory
from curate.images.decoding import Decoded, ImageRefused, decode, sha256_of
from curate.images.frames import DEFAULT_FRAMES, Frames
from curate.processes.piped_process import PipedProcess, ProcessDied
from curate.settings.dataset import DatasetSettings

logger = logging.getLogger(__name__)

TRIES = 2
"""How often a sample may kill its worker: once may be somebody else's doing (out of memory), twice is its own."""


_AT_HAND = 2
"""Samples that a worker has at once: one in work, one in its pipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How images are decoded.

    Attributes:
        max_bytes, max_pixels: images of more bytes or more pixels are not.
        frames: which of an animation are.
        reduced: JPEGs are decoded no larger than the engine's renderer needs them.
    """

    max_bytes: int
    max_pixels: int
    frames: Frames = DEFAULT_FRAMES
    reduced: bool = False

    @classmethod
    def of(cls, dataset: DatasetSettings) -> Self:
        """Those of a data set."""
        return cls(
            max_bytes=dataset.max_bytes,
            max_pixels=dataset.max_pixels,
            frames=dataset.frames,
            reduced=dataset.reduced_decoding,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A sample ready for the engine, or not.

    Attributes:
        sha256: of the original bytes; None where there are none.
        width, height: of the original in pixels, after orientation; None where the image was not decoded.
        frame_count: how many frames or pages the file holds.
        frames: numbers of those that are judged, from 0; None for a picture that has but one.
        failure: why this image cannot be asked about at all; then there are no payloads.
        payloads: for each question, in their order, one for each judged frame; a `Failure` where only this question
            cannot be asked.
        decode_seconds, render_seconds: what decoding, and rendering for all questions took.
        noise: what decoders printed meanwhile.
    """

    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    frame_count: int = 1
    frames: tuple[int, ...] | None = None
    failure: Failure | None = None
    payloads: tuple[tuple[Payload | Failure, ...], ...] = ()
    decode_seconds: float = field(default=0.0, compare=False)
    render_seconds: float = field(default=0.0, compare=False)
    noise: str | None = field(default=None, compare=False)

    @property
    def nbytes(self) -> int:
        """Of all payloads."""
        return sum(one.nbytes for payloads in self.payloads for one in payloads if isinstance(one, Payload))


def digest_of(sample: Sample) -> str | None:
    """Hex SHA-256 of the sample's image; None where there is none."""
    return sample.sha256 if sample.image is None else sample.sha256 or sha256_of(sample.image)


def prepare(
    sample: Sample, questions: tuple[Question | Unaskable, ...], renderer: Renderer, limits: Limits
) -> Prepared:
    """Hash and decode the image of `sample`, and render it for each question."""
    started = perf_counter()
    sha256 = digest_of(sample)
    if sample.failure is not None:
        return Prepared(sha256=sha256, failure=sample.failure)
    if sample.image is None or sha256 is None:
        return Prepared(failure=Failure(status=Status.MISSING_IMAGE, detail="the sample has no image"))
    try:
        needed = renderer.needed if limits.reduced else None
        bounds = {"max_bytes": limits.max_bytes, "max_pixels": limits.max_pixels}
        decoded = decode(sample.image, **bounds, frames=limits.frames, needed=needed)
    except ImageRefused as refused:
        return Prepared(sha256=sha256, failure=refused.failure, decode_seconds=perf_counter() - started)
    except Exception as error:  # noqa: BLE001 - whatever a decoder comes upon, it is this picture's fate alone
        failure = Failure(status=Status.UNDECODABLE, detail=f"its decoder failed: {secrets.one_line(error)}")
        return Prepared(sha256=sha256, failure=failure, decode_seconds=perf_counter() - started)
    decoded_at = perf_counter()
    # Rendered picture by picture: a renderer shares what it made of the last one between questions.
    rendered = [[_render(*frame, question, renderer) for question in questions] for frame in _frames(decoded, sha256)]
    return Prepared(
        sha256=sha256,
        width=decoded.width,
        height=decoded.height,
        frame_count=decoded.frame_count,
        frames=None if decoded.frame_count == 1 else tuple(frame.number for frame in decoded.frames),
        payloads=tuple(zip(*rendered, strict=True)),
        decode_seconds=decoded_at - started,
        render_seconds=perf_counter() - decoded_at,
    )


def _frames(decoded: Decoded, sha256: str) -> Iterator[tuple[Image, str]]:
    """Each judged frame, and a digest to know it by: the first is the picture itself."""
    for frame in decoded.frames:
        yield frame.image, sha256 if frame.number == 0 else sha256_of(f"{sha256}/{frame.number}".encode())


def _render(image: Image, sha256: str, question: Question | Unaskable, renderer: Renderer) -> Payload | Failure:
    if isinstance(question, Unaskable):
        return question.failure
    try:
        return renderer.render(image, sha256, question)
    except RequestRejected as error:
        return Failure(status=Status.REJECTED_BY_ENGINE, detail=str(error))
    except CurateError:
        raise
    except Exception as error:  # noqa: BLE001 - as above; where all pictures meet it, the run's budget ends the run
        return Failure(
            status=Status.REJECTED_BY_ENGINE, detail=f"the image processor failed: {secrets.one_line(error)}"
        )


Job = tuple[Sample, tuple[Question | Unaskable, ...]] | None


class Preparer:
    """`prepare` with a renderer that is built when first needed, in the thread or process that uses it."""

    def __init__(self, factory: RendererFactory, limits: Limits) -> None:
        self._factory = factory
        self._limits = limits
        self._renderer: Renderer | None = None

    def __call__(self, job: Job) -> Prepared | None:
        """Prepare a sample; None builds the renderer only.

        Raises:
            CurateError: what the factory finds wrong, e.g. a model that is not there.
        """
        if self._renderer is None:
            self._renderer = self._factory()
        if job is None:
            return None
        sample, questions = job
        return prepare(sample, questions, self._renderer, self._limits)


class QuietPreparer:
    """A preparer in a process of its own, which prints nothing."""

    def __init__(self, preparer: Preparer) -> None:
        self._preparer = preparer
        self._overheard: Overheard | None = None

    def __call__(self, job: Job) -> Prepared | None:
        """See `Preparer`."""
        self._overheard = self._overheard or Overheard()
        prepared = self._preparer(job)
        noise = self._overheard.take()
        return prepared if prepared is None or noise is None else replace(prepared, noise=noise)


class Pool(Protocol):
    """Where samples are prepared."""

    async def prepare(self, sample: Sample, questions: tuple[Question | Unaskable, ...]) -> Prepared:
        """See `PreprocessPool`."""
        ...


class PreprocessPool:
    """Prepares samples in worker processes, one sample at a time in each; an async context manager.

    Decoding and rendering would serialise in threads, and decoders are C code that a hostile file may crash. With one
    sample at a time, the sample that killed a process is known, and no other is touched. The next one waits in the
    process's pipe already, so that it need not wait for the event loop in between.

    Args:
        factory: builds the renderer, once in each worker.
        limits: of the images.
        workers: number of processes; 0 means one thread of this process.
        most: what `grow` may raise it to, where that is more.

    Attributes:
        workers: samples that are prepared at once.
    """

    def __init__(self, factory: RendererFactory, limits: Limits, *, workers: int, most: int = 0) -> None:
        self.workers = max(workers, 1)
        self._preparer = Preparer(factory, limits)
        self._processes: SimpleQueue[PipedProcess[Job, Prepared | None]] = SimpleQueue()
        self._add([PipedProcess(QuietPreparer(self._preparer)) for _ in range(workers)])
        self._ask: Callable[[Job], Prepared | None] = self._ask_process if workers else self._preparer
        # More threads than places only wait for one. Whoever starts a process has to live as long as it: the kernel
        # ends a process with the thread that started it.
        threads = max(workers, most) * _AT_HAND if workers else 1
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="prepare")
        self._starters = ThreadPoolExecutor(max(1, most), thread_name_prefix="start-preparer")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def warm_up(self) -> None:
        """Start all workers and build their renderers. Optional: otherwise each does so at its first sample.

        Raises:
            EngineDead: a worker died of it.
            CurateError: as the factory raises.
        """
        loop = asyncio.get_running_loop()
        try:
            await asyncio.gather(*(loop.run_in_executor(self._threads, self._ask, None) for _ in range(self.workers)))
        except ProcessDied as error:
            raise EngineDead(f"a worker process died while it loaded the image processor: {error}") from error

    async def grow(self, more: int) -> None:
        """Add `more` workers; returns once they take samples.

        Raises:
            ProcessDied: one ended while it loaded; the others are there.
            CurateError: as the factory raises.
        """
        loop = asyncio.get_running_loop()
        starts = (loop.run_in_executor(self._starters, self._add_process) for _ in range(more))
        failures = [end for end in await asyncio.gather(*starts, return_exceptions=True) if end is not None]
        self.workers += more - len(failures)
        if failures:
            raise failures[0]

    def _add_process(self) -> None:
        process: PipedProcess[Job, Prepared | None] = PipedProcess(QuietPreparer(self._preparer))
        process.ask(None)
        self._add([process])

    def _add(self, processes: Sequence[PipedProcess[Job, Prepared | None]]) -> None:
        """Each has its places, every process its first before any its second."""
        for process in (*processes,) * _AT_HAND:
            self._processes.put(process)

    async def prepare(self, sample: Sample, questions: tuple[Question | Unaskable, ...]) -> Prepared:
        """Prepare `sample` in the next free worker.

        A sample that kills its worker again and again comes back as undecodable.

        Raises:
            CurateError: as the factory raises.
        """
        job = (replace(sample, sidecar={}, meta={}), questions)
        loop = asyncio.get_running_loop()
        for _ in range(TRIES):
            try:
                prepared = await loop.run_in_executor(self._threads, self._ask, job)
            except ProcessDied as error:
                reason = str(error)
            else:
                assert prepared is not None
                if prepared.noise is not None:
                    logger.info("%s: its decoder says: %s", one_line(sample.key), one_line(prepared.noise))
                return prepared
        failure = Failure(status=Status.UNDECODABLE, detail=f"killed the decoder {TRIES} times: {reason}")
        return Prepared(sha256=digest_of(sample), failure=failure)

    async def close(self) -> None:
        """Let samples in work finish, drop those that wait, and end all workers. Idempotent."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._starters.shutdown(wait=True, cancel_futures=True)
        self._threads.shutdown(wait=True, cancel_futures=True)
        while not self._processes.empty():
            self._processes.get().stop()  # once for each of its places: the first time counts

    def _ask_process(self, job: Job) -> Prepared | None:
        # Taken and put back inside one thread: a caller that is cancelled meanwhile leaves no reply unread.
        process = self._processes.get()
        try:
            return process.ask(job)
        finally:
            self._processes.put(process)
