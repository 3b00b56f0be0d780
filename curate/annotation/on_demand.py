"""A few pictures judged at once: no run, no folder, nothing written."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain, islice
from pathlib import Path

from curate.annotation.judge_sample import judge
from curate.annotation.preprocess_pool import Limits, PreprocessPool
from curate.annotation.run_worker import load
from curate.core.errors import InputError
from curate.core.types import Annotation, Sample
from curate.engines.base import Engine
from curate.engines.factory import make_engine
from curate.engines.load_times import loading
from curate.engines.supervised import SupervisedEngine
from curate.judges.questions import questions_of
from curate.settings.dataset import DatasetSettings
from curate.settings.run import Settings
from curate.sources.base import IMAGE_SUFFIXES, too_many_bytes

STDIN = "-"


def named_files(names: Sequence[str]) -> list[str]:
    """The pictures that `names` stand for: files, all images of a folder and below it, or `STDIN`.

    Raises:
        InputError: a name is no file, or a folder holds no images.
    """
    return [file for name in names for file in _files(name)]


def _files(name: str) -> list[str]:
    path = Path(name)
    if name == STDIN or path.is_file():
        return [name]
    if not path.is_dir():
        raise InputError(f"{name}: no such file; name pictures, folders of pictures, or - for one on standard input")
    found = sorted(
        str(file) for file in path.rglob("*") if file.suffix[1:].lower() in IMAGE_SUFFIXES and file.is_file()
    )
    if not found:
        raise InputError(f"{name}: no images here or below (looked for {', '.join(sorted(IMAGE_SUFFIXES))})")
    return found


def read(files: Iterable[str], dataset: DatasetSettings) -> Iterator[Sample]:
    """Each picture as a sample, its name the key; what is larger than `dataset.max_bytes` is not held.

    Raises:
        InputError: a file cannot be read.
    """
    for index, name in enumerate(files):
        body = _body(name, dataset.max_bytes + 1)
        yield sample_of(name, index, body, len(body) if name == STDIN else Path(name).stat().st_size, dataset)


def sample_of(name: str, index: int, body: bytes, size: int, dataset: DatasetSettings) -> Sample:
    """A picture as a sample; `body` may be the beginning of one of `size` bytes, where these are too many."""
    held = size <= dataset.max_bytes
    failure = None if held else too_many_bytes(size, dataset)
    return Sample(key=name, index=index, image=body if held else None, image_name=name, failure=failure)


def _body(name: str, most: int) -> bytes:
    """At most `most` bytes."""
    try:
        if name == STDIN:
            return _piped(most)
        with Path(name).open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror})") from error


def _piped(most: int) -> bytes:
    body = sys.stdin.buffer.read(most)
    if not body:
        raise InputError("standard input: is empty; pipe a picture in, or name files or folders")
    return body


async def judged(settings: Settings, samples: Iterable[Sample]) -> AsyncGenerator[dict[str, Annotation], None]:
    """Each sample's row by policy, in the order of the samples, as soon as there is one.

    Args:
        settings: the model, its number format settled, the engine and the policies; of the data set only the limits.
        samples: read when there is room for them in the engine.

    Raises:
        InputError, EngineDead: the model cannot be loaded, or not be kept alive.
    """
    coming = iter(samples)
    first = list(islice(coming, 1))  # what is wrong with it is told before a model is loaded
    questions = {question.policy: question for question in questions_of(settings)}
    waiting: deque[asyncio.Task[dict[str, Annotation]]] = deque()
    async with _loaded(settings) as (engine, pool):
        try:
            for sample in chain(first, coming):
                waiting.append(asyncio.create_task(judge(sample, "", questions, pool, engine, lambda _: None)))
                if len(waiting) >= settings.engine.max_requests:
                    yield await waiting.popleft()
            while waiting:
                yield await waiting.popleft()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)


@asynccontextmanager
async def _loaded(settings: Settings) -> AsyncIterator[tuple[Engine, PreprocessPool]]:
    """The engine with its model, and one process that decodes and renders."""
    engine = SupervisedEngine(lambda: make_engine(settings.model, settings.engine))
    workers = 1 if settings.engine.workers == "auto" else settings.engine.workers
    async with PreprocessPool(engine.renderer_factory(), Limits.of(settings.dataset), workers=workers) as pool:
        try:
            with loading(settings.model, settings.engine):
                await load(engine, pool)
            yield engine, pool
        finally:
            await engine.close()
