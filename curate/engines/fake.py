"""An engine without a model, for tests and benchmarks of everything around the model.

What it fakes, and why the real engine cannot stand in:

* Answers: a function of the picture's SHA-256 and the question and of nothing else, in the trained layout. Two runs
  are therefore equal byte for byte, whatever the order, the batches or the workers, which vLLM's numerics are not.
* Time: `load`, `latency`, and a serial processor that serves `rate` images a second and counts how long it waited for
  work, so that a pipeline's ability to feed a GPU can be measured on a machine without one.
* Faults at chosen pictures, which a healthy engine does not show when asked.

Its labels mean nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Literal

from PIL.Image import Image
from pydantic import Field

from curate.core.errors import EngineDead, RequestRejected
from curate.core.types import Answer, Question, Rating
from curate.engines.base import Payload, RendererFactory
from curate.judges.verdicts import possible_ratings
from curate.settings.engine import EngineSettings
from curate.settings.group import Group
from curate.settings.model import ModelSettings

Fault = Literal["reject", "die", "hang", "invalid", "length", "crash"]


class FakeArgs(Group):
    """`engine.args` of the fake.

    Attributes:
        load: seconds until it is started, as if it loaded a model.
        latency: seconds every answer takes, beside others.
        rate: images a second of the one processor that all requests queue for; None for no queue.
        fail: fault by SHA-256 (or the start of one) of the picture. "reject": this request is refused. "die": the
            engine is dead from then on. "hang": no answer until the engine's timeout, then dead. "invalid": a category
            that no policy has. "length": an answer cut off in the middle. "crash": the process that renders it exits.
        max_prompt_tokens: longer prompts are refused when rendered.
    """

    load: Annotated[float, Field(ge=0)] = 0.0
    latency: Annotated[float, Field(ge=0)] = 0.0
    rate: Annotated[float, Field(gt=0)] | None = None
    fail: dict[str, Fault] = Field(default_factory=dict)
    max_prompt_tokens: Annotated[int, Field(gt=0)] | None = None


@dataclass(frozen=True, slots=True)
class FakeRenderer:
    """Renders a picture to its SHA-256; counts a token for each word and each 28 x 28 pixels."""

    args: FakeArgs
    needed: ClassVar[None] = None

    def render(self, image: Image, sha256: str, question: Question) -> Payload:
        """As `curate.engines.base.Renderer`."""
        if _fault(self.args.fail, sha256) == "crash":
            os._exit(1)
        tokens = len(question.text.split()) + -(-image.width // 28) * -(-image.height // 28)
        limit = self.args.max_prompt_tokens
        if limit is not None and tokens > limit:
            raise RequestRejected(f"prompt of {tokens} tokens is longer than {limit}")
        return Payload(data=sha256, nbytes=len(sha256), prompt_tokens=tokens)


class FakeEngine:
    """As `curate.engines.base.Engine`; see the module for what is faked. There is no model: `model` is ignored."""

    def __init__(self, model: ModelSettings, settings: EngineSettings) -> None:
        self._args = FakeArgs.model_validate(settings.args)
        self._timeout = settings.timeout
        self._processor = _Processor(self._args.rate)
        self._dead = False
        self._counts = dict.fromkeys(("requests", "prompt_tokens", "generation_tokens"), 0)

    def renderer_factory(self) -> RendererFactory:
        """A renderer that needs no model."""
        return partial(FakeRenderer, self._args)

    async def start(self) -> None:
        """Nothing to load, but for as long as configured."""
        await asyncio.sleep(self._args.load)

    async def judge(self, payload: Payload, question: Question) -> Answer:
        """Answer by hash, or fail as configured.

        Raises:
            RequestRejected: fault "reject".
            EngineDead: fault "die" or "hang", for this and every other request.
        """
        fault = _fault(self._args.fail, payload.data)
        if fault == "reject":
            raise RequestRejected("refused by the fake engine as configured")
        if fault == "hang":
            await asyncio.sleep(self._timeout)
        self._dead |= fault in ("die", "hang")
        await self._serve()
        if self._dead:
            raise EngineDead("the fake engine died as configured")
        answer = _answer(payload, question, fault)
        self._count(answer)
        return answer

    def metrics(self) -> dict[str, float]:
        """requests, prompt_tokens, generation_tokens, busy_seconds and idle_seconds (since the first request)."""
        return {**self._counts, "busy_seconds": self._processor.busy, "idle_seconds": self._processor.idle}

    async def close(self) -> None:
        """Nothing to release."""

    async def _serve(self) -> None:
        await self._processor.use()
        await asyncio.sleep(self._args.latency)

    def _count(self, answer: Answer) -> None:
        self._counts["requests"] += 1
        self._counts["prompt_tokens"] += answer.prompt_tokens
        self._counts["generation_tokens"] += answer.output_tokens


class _Processor:
    """Serves one request after the other in 1 / rate seconds each, by a schedule that sleeping late does not slow."""

    def __init__(self, rate: float | None) -> None:
        self.busy = 0.0
        self.idle = 0.0
        self._seconds = 1 / rate if rate else 0.0
        self._free_at: float | None = None

    async def use(self) -> None:
        if not self._seconds:
            return
        now = time.monotonic()
        free_at = now if self._free_at is None else self._free_at
        self.idle += max(0.0, now - free_at)
        self.busy += self._seconds
        self._free_at = max(now, free_at) + self._seconds
        await asyncio.sleep(self._free_at - now)


def _fault(fail: Mapping[str, Fault], sha256: str) -> Fault | None:
    return next((fault for prefix, fault in fail.items() if sha256.startswith(prefix)), None)


def _answer(payload: Payload, question: Question, fault: Fault | None) -> Answer:
    seed = hashlib.sha256(f"{payload.data}\n{question.policy}\n{question.text}".encode()).digest()
    p_unsafe = _p_unsafe(seed, question)
    text = _layout(_fields(seed, p_unsafe, question, fault))
    if fault == "length":
        text = text[: len(text) // 2]
    return Answer(
        text=text,
        p_unsafe=p_unsafe,
        label_mass=1 - _fraction(seed[8:16]) / 10,
        prompt_tokens=payload.prompt_tokens or 0,
        cached_tokens=0,
        output_tokens=len(text.split()),
        category_scores=_category_scores(seed, p_unsafe, question) if question.category_scores else None,
    )


def _category_scores(seed: bytes, p_unsafe: float, question: Question) -> dict[str, float]:
    """Drawn like the rest; the category that an Unsafe answer names has the highest."""
    codes = [category.partition(": ")[0] for category in question.violable]
    weights = [_fraction(hashlib.sha256(seed + code.encode()).digest()[:8]) ** 4 + 1e-6 for code in codes]
    if codes:
        named, highest = _drawn(seed, len(codes)), weights.index(max(weights))
        weights[named], weights[highest] = weights[highest], weights[named]
    return {code: p_unsafe * weight / sum(weights) for code, weight in zip(codes, weights, strict=True)}


def _p_unsafe(seed: bytes, question: Question) -> float:
    possible = possible_ratings(question)
    if len(possible) == 1:
        return 0.75 if Rating.UNSAFE in possible else 0.25
    return _fraction(seed[:8]) ** 2  # squared: about three in ten are unsafe


def _fields(seed: bytes, p_unsafe: float, question: Question, fault: Fault | None) -> dict[str, str]:
    unsafe = p_unsafe > 0.5
    categories = question.violable if unsafe else question.categories
    category = categories[_drawn(seed, len(categories))]
    fields = {
        "rating": "Unsafe" if unsafe else "Safe",
        "category": "X: of no policy" if fault == "invalid" else category,
    }
    if _has_rationale(p_unsafe, question):
        fields["rationale"] = f"Drawn from the hash {seed.hex()[:12]}."[: question.rationale_chars]
    return fields


def _drawn(seed: bytes, categories: int) -> int:
    return int.from_bytes(seed[16:24]) % categories


def _has_rationale(p_unsafe: float, question: Question) -> bool:
    if question.rationale != "unsafe":
        return question.rationale == "all"
    above = 0.5 if question.rationale_above is None else min(0.5, question.rationale_above)
    return p_unsafe > above


def _layout(fields: Mapping[str, str]) -> str:
    """The layout safeguards are trained on is what `json.dumps` makes with an indent of four."""
    return json.dumps(fields, indent=4, ensure_ascii=False)


def _fraction(eight_bytes: bytes) -> float:
    return int.from_bytes(eight_bytes) / 2**64
