"""One picture from its bytes to its rows: prepared, asked, its answers parsed; every failure is a status.

Of an animation several frames are asked about, and the strictest answer is the picture's.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from curate.annotation.preprocess_pool import Pool, Prepared
from curate.core.errors import InputQuarantined, InvalidOutput, RequestRejected
from curate.core.types import Annotation, Failure, Question, Rating, Sample, Status, Unaskable
from curate.engines.base import Engine, Payload
from curate.judges.questions import Questions
from curate.judges.verdicts import parse_answer


async def judge(
    sample: Sample, shard: str, asked: Questions, pool: Pool, engine: Engine, settle: Callable[[int], None]
) -> dict[str, Annotation]:
    """The row of one picture in each pass, whatever happens to it.

    Args:
        sample: as it is read.
        shard: id of the shard that it is in, for the row.
        asked: by pass, at least one.
        pool: where it is decoded and rendered.
        engine: started.
        settle: told how many bytes the sample and its payloads hold, once that is known.

    Raises:
        EngineDead: the engine cannot be kept alive.
        CurateError: as the pool's factory raises.
    """
    prepared = await pool.prepare(sample, tuple(asked.values()))
    settle(len(sample.image or b"") + prepared.nbytes)
    first, *others = asked.values()
    blank = _blank(sample, shard, prepared, first.policy)
    blanks = [blank, *(replace(blank, policy=question.policy) for question in others)]
    if prepared.failure is not None:
        return {name: _failed(blank, prepared.failure) for name, blank in zip(asked, blanks, strict=True)}
    rows = await _together(
        [
            _ask_all(blank, payloads, prepared.frames, question, engine)
            for blank, question, payloads in zip(blanks, asked.values(), prepared.payloads, strict=True)
        ]
    )
    return dict(zip(asked, rows, strict=True))


async def _together(asked: Sequence[Coroutine[Any, Any, Annotation]]) -> list[Annotation]:
    """What all come to, at the same time; a single one, as of nearly all pictures, needs no task of its own."""
    return [await asked[0]] if len(asked) == 1 else await asyncio.gather(*asked)


async def _ask_all(
    blank: Annotation,
    payloads: Sequence[Payload | Failure],
    frames: Sequence[int] | None,
    question: Question | Unaskable,
    engine: Engine,
) -> Annotation:
    """The row of a picture: that of its only frame, or of the strictest of those that are judged."""
    rows = await _together([_ask(blank, payload, question, engine) for payload in payloads])
    if frames is None:
        return rows[0]
    strictest = max(range(len(rows)), key=lambda n: _strictness(rows[n]))
    return replace(
        rows[strictest],
        frames=(frames[strictest], *(frame for n, frame in enumerate(frames) if n != strictest)),
        prompt_tokens=_sum(row.prompt_tokens for row in rows),
        cached_tokens=_sum(row.cached_tokens for row in rows),
        output_tokens=_sum(row.output_tokens for row in rows),
        category_scores=rows[strictest].category_scores and _highest(row.category_scores or {} for row in rows),
    )


def _highest(scores: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """By category: what is there in one frame is there. All frames that have scores have those of the same ones."""
    highest: dict[str, float] = {}
    for one in scores:
        highest |= {code: max(score, highest.get(code, 0.0)) for code, score in one.items()}
    return highest


def _sum(counts: Iterable[int | None]) -> int | None:
    """Of those that are known; None where none is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _strictness(row: Annotation) -> tuple[bool, bool, float]:
    """What was not judged stands above what is Unsafe, and that above what is Safe; of several the first is taken."""
    return row.status is not Status.LABELLED, row.rating is Rating.UNSAFE, row.p_unsafe or 0.0


async def _ask(
    blank: Annotation, payload: Payload | Failure, question: Question | Unaskable, engine: Engine
) -> Annotation:
    if isinstance(question, Unaskable):
        return _failed(blank, question.failure)
    if isinstance(payload, Failure):
        return _failed(blank, payload)
    try:
        answer = await engine.judge(payload, question)
    except RequestRejected as error:
        return _failed(blank, Failure(status=Status.REJECTED_BY_ENGINE, detail=str(error)))
    except InputQuarantined as error:
        return _failed(blank, Failure(status=Status.ENGINE_FAILURE, detail=str(error)))
    counts = {name: getattr(answer, name) for name in ("prompt_tokens", "cached_tokens", "output_tokens")}
    try:
        verdict = parse_answer(answer.text, question)
    except InvalidOutput as error:
        return _failed(replace(blank, **counts), Failure(status=Status.INVALID_OUTPUT, detail=str(error)))
    return replace(
        blank,
        **counts,
        status=Status.LABELLED,
        rating=verdict.rating,
        category=verdict.category,
        category_name=verdict.category_name,
        rationale=verdict.rationale,
        p_unsafe=answer.p_unsafe,
        label_mass=answer.label_mass,
        category_scores=answer.category_scores,
    )


def _blank(sample: Sample, shard: str, prepared: Prepared, policy: str) -> Annotation:
    """A row that says nothing yet but who it is; the status is set by whoever completes it."""
    return Annotation(
        key=sample.key,
        shard=shard,
        index=sample.index,
        image_name=sample.part,
        policy=policy,
        status=Status.ENGINE_FAILURE,
        sha256=prepared.sha256,
        width=prepared.width,
        height=prepared.height,
        meta=meta_of(sample),
        detail=unjudged_of(sample, frames_left(prepared)),
    )


FIRST_ONLY = "only its first frame was judged"
"""What rows of earlier versions say of every animation."""
_FRAMES_LEFT = re.compile(rf"^(?:{FIRST_ONLY}|\d+ of \d+ frames not judged)")


def of_first_frame_only(row: Annotation) -> bool:
    """Whether a row is of an earlier version, and of an animation."""
    return (row.detail or "").startswith(FIRST_ONLY)


def frames_left(prepared: Prepared) -> str | None:
    """What of an animation is not judged; None where all of it is."""
    judged, there = len(prepared.frames or (0,)), prepared.frame_count
    return None if judged == there else f"{there - judged} of {there} frames not judged"


def frames_left_of(row: Annotation) -> str | None:
    """The same of a row, which another picture's may be taken from."""
    found = _FRAMES_LEFT.match(row.detail or "")
    return found and found[0]


def unjudged_of(sample: Sample, frames: str | None) -> str | None:
    """What of a sample a label does not speak of; the detail of a row with a label, which keeps it out of `clean`."""
    return "; ".join(part for part in (frames, sample.unjudged) if part) or None


def meta_of(sample: Sample) -> str:
    """The sidecar as it stands in a row: JSON."""
    return json.dumps(dict(sample.meta), ensure_ascii=False, default=str)


def _failed(row: Annotation, failure: Failure) -> Annotation:
    return replace(row, status=failure.status, detail=failure.detail)
