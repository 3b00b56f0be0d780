"""The way of every request that asks for a judgement, whatever its contract: let in, read, judged, decided, recorded.

It ends in decisions on exactly the pictures that it brought, or in one refusal; there is nothing in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from curate.core.errors import EngineDead
from curate.core.types import Question
from curate.guard.decider import Decider
from curate.guard.decision import Decision
from curate.guard.live_judge import LiveJudge
from curate.serving.admission import Admission, Entry
from curate.serving.audit_log import AuditLog
from curate.serving.auth import Tokens
from curate.serving.errors import Refused, unjudged
from curate.serving.fetching import Fetcher
from curate.serving.image_input import ImageGiven, bytes_of
from curate.serving.metrics import ServiceMetrics
from curate.serving.request_body import declared_length, read_body
from curate.serving.served_policies import ServedPolicies, ServedPolicy
from curate.settings.run import Settings
from curate.settings.serve import ServeSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request asks for.

    Attributes:
        images: in the order of the request.
        policy: a name, or a whole text; None takes the first.
        rationale: a mode of `served_policies.RATIONALES`; None takes the service's.
    """

    images: Sequence[ImageGiven]
    policy: str | None = None
    rationale: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A decision for each picture, in their order, all of them judged, and what they were judged under."""

    decisions: Sequence[Decision]
    served: ServedPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Everything that requests share."""

    settings: Settings
    serve: ServeSettings
    judge: LiveJudge
    decider: Decider
    policies: ServedPolicies
    tokens: Tokens
    admission: Admission
    fetcher: Fetcher
    audit: AuditLog
    metrics: ServiceMetrics
    stops: list[Callable[[], object]] = field(default_factory=list)
    """What lets the service finish and end, from any thread; filled once it runs."""


class ClientGone(Exception):
    """The client hung up: nobody wants the answer any more."""


async def answered(service: Service, request: Request, parse: Callable[[Request, bytes], Awaitable[Asked]]) -> Answered:
    """The decisions on what `request` brings, as `parse` reads its body.

    Raises:
        Refused: for whatever reason there are none.
        ClientGone: the client hung up.
    """
    token = service.tokens.name_of(request.headers.get("authorization"))
    request.scope["curate.token"] = token
    nbytes = declared_length(request, service.serve)
    with service.admission.entered(token, nbytes) as entry:
        try:
            body = await read_body(request, service.serve)
        except ClientDisconnect as error:
            raise ClientGone from error
        entry.settle(len(body))
        return await _while_wanted(request, _in_time(service, _judged(service, request, entry, body, parse, token)))


async def _in_time(service: Service, work: Coroutine[Any, Any, T]) -> T:
    try:
        async with asyncio.timeout(service.serve.deadline):
            return await work
    except TimeoutError as error:
        message = f"there was no answer within {service.serve.deadline:g} s"
        raise Refused(503, "deadline_exceeded", message, retry_after=5) from error
    except EngineDead as error:
        service.admission.closed = "the engine is gone"
        for stop in service.stops:
            stop()
        raise Refused(503, "engine_unavailable", "the engine is gone", retry_after=30) from error


async def _while_wanted(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` brings; it is given up when the client hangs up."""
    task, gone = asyncio.create_task(work), asyncio.create_task(_hung_up(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        for one in (task, gone):
            one.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _judged(
    service: Service,
    request: Request,
    entry: Entry,
    body: bytes,
    parse: Callable[[Request, bytes], Awaitable[Asked]],
    token: str,
) -> Answered:
    asked = await parse(request, body)
    most = service.serve.max_images
    if len(asked.images) > most:
        raise Refused(400, "too_many_images", f"a request may bring {most} pictures", param="input")
    served = service.policies.find(asked.policy)
    question = service.policies.question(served, asked.rationale)
    entry.hold(len(asked.images))
    decisions = await _all_or_none(_decision(service, given, question, served) for given in asked.images)
    service.audit.record(request.scope["curate.request"], token, decisions)
    for decision in decisions:
        service.metrics.decided(decision, served)
    for given, decision in zip(asked.images, decisions, strict=True):
        if not decision.judged:
            raise unjudged(decision, given.param)
    return Answered(decisions=decisions, served=served)


async def _decision(service: Service, given: ImageGiven, question: Question, served: ServedPolicy) -> Decision:
    image = await bytes_of(given, service.fetcher)
    row = await service.judge.judge(image, question)
    return await service.decider.decided(row, served.hash)


async def _all_or_none(work: Any) -> list[Decision]:
    """All results; the first failure ends the others."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
