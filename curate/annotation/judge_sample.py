"""One sample from its bytes to its rows: prepared, asked, its answers parsed; every failure is a status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

from curate.annotation.preprocess_pool import Pool, Prepared
from curate.core.errors import InputQuarantined, InvalidOutput, RequestRejected
from curate.core.types import Annotation, Answer, Failure, Question, Sample, Status, Unaskable
from curate.engines.base import Engine, Payload
from curate.judges.questions import Questions
from curate.judges.verdicts import parse_answer


async def judge(
    sample: Sample, shard: str, asked: Questions, pool: Pool, engine: Engine, settle: Callable[[int], None]
) -> dict[str, Annotation]:
    """The row of one sample in each pass, whatever happens to it.

    Args:
        sample: as it is read.
        shard: id of the shard that it is in, for the row.
        asked: by pass.
        pool: where it is decoded and rendered.
        engine: started.
        settle: told how many bytes the sample and its payloads hold, once that is known.

    Raises:
        EngineDead: the engine cannot be kept alive.
        CurateError: as the pool's factory raises.
    """
    prepared = await pool.prepare(sample, tuple(asked.values()))
    settle(len(sample.image or b"") + sum(p.nbytes for p in prepared.payloads if isinstance(p, Payload)))
    blank = _blank(sample, shard, prepared)
    if prepared.failure is not None:
        return {name: _failed(replace(blank, policy=q.policy), prepared.failure) for name, q in asked.items()}
    rows = await asyncio.gather(
        *(
            _ask(replace(blank, policy=question.policy), payload, question, engine)
            for question, payload in zip(asked.values(), prepared.payloads, strict=True)
        )
    )
    return dict(zip(asked, rows, strict=True))


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
    counted = _counted(blank, answer)
    try:
        verdict = parse_answer(answer.text, question)
    except InvalidOutput as error:
        return _failed(counted, Failure(status=Status.INVALID_OUTPUT, detail=str(error)))
    return replace(
        counted,
        status=Status.LABELLED,
        rating=verdict.rating,
        category=verdict.category,
        category_name=verdict.category_name,
        rationale=verdict.rationale,
        p_unsafe=answer.p_unsafe,
        label_mass=answer.label_mass,
    )


def _blank(sample: Sample, shard: str, prepared: Prepared) -> Annotation:
    """A row that says nothing yet but who it is; the status is set by whoever completes it."""
    return Annotation(
        key=sample.key,
        shard=shard,
        index=sample.index,
        policy="",
        status=Status.ENGINE_FAILURE,
        sha256=prepared.sha256,
        width=prepared.width,
        height=prepared.height,
        meta=meta_of(sample),
        detail=unjudged_of(sample, has_more=prepared.has_more),
    )


MORE = "only its first frame was judged"
"""Stands in the detail of a row whose image file holds further frames or pages."""


def unjudged_of(sample: Sample, *, has_more: bool) -> str | None:
    """What of a sample a label does not speak of; the detail of a row with a label, which keeps it out of `clean`."""
    return "; ".join(part for part in (MORE if has_more else None, sample.unjudged) if part) or None


def meta_of(sample: Sample) -> str:
    """The sidecar as it stands in a row: JSON."""
    return json.dumps(dict(sample.meta), ensure_ascii=False, default=str)


def _failed(row: Annotation, failure: Failure) -> Annotation:
    return replace(row, status=failure.status, detail=failure.detail)


def _counted(row: Annotation, answer: Answer) -> Annotation:
    return replace(
        row,
        prompt_tokens=answer.prompt_tokens,
        cached_tokens=answer.cached_tokens,
        output_tokens=answer.output_tokens,
    )
