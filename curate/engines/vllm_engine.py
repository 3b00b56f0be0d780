"""Judging with vLLM in two passes: the rating's probabilities first, then the rest of the answer.

A grammar's mask would hide what the model thinks of the two labels, so that the first pass asks for one token without
any. It also tells whether a Safe answer needs a rationale, before one is written. The second pass repeats the prompt
with the rating behind it: its blocks are still cached, so that neither image nor policy is computed again.

Where scores of all categories are wanted, a pass between the two looks at the tokens in which the categories differ
behind "Unsafe", whatever the rating is: most policies' codes differ in one.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.core.errors import CurateError, EngineDead, InputError
from curate.core.types import Answer, Question, Rating
from curate.engines.base import Payload, Renderer, RendererFactory
from curate.engines.engine_folder import EngineFolder
from curate.engines.redirected_output import output_to, reason_in
from curate.engines.scoring import Label, Tokens, beginnings, followers, forks, score, shares
from curate.engines.shared_picture import unpacked
from curate.engines.vllm_args import engine_args, environment
from curate.judges.checkpoints import resolve_model_path
from curate.judges.verdicts import (
    ANSWER_PREFIX,
    RATING_SUFFIX,
    close_answer,
    continuation_regex,
    has_rationale,
    json_text,
    max_answer_tokens,
    possible_ratings,
)
from curate.processes.interruption import DRAIN
from curate.processes.signals import blocked
from curate.settings.engine import EngineSettings
from curate.settings.model import ModelSettings

if TYPE_CHECKING:
    from curate.engines.vllm_backend import Completion, VllmBackend


_REMEMBERED = 1024
"""Policies whose categories' tokens are: rows may bring their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmRendererFactory:
    """Picklable; imports vLLM where it is called."""

    model: ModelSettings
    engine: EngineSettings
    path: Path

    def __call__(self) -> Renderer:
        """A renderer for the process that calls.

        Raises:
            InputError: vLLM cannot run this checkpoint as configured.
        """
        from curate.engines.vllm_backend import VllmRenderer, on_cpu

        return VllmRenderer(engine_args(self.model, self.engine, self.path, cpu=on_cpu()), self.model.layout)


class VllmEngine:
    """See `curate.engines.base.Engine`.

    Raises:
        InputError: there is no such model, or none of the architecture that the configuration names.
    """

    def __init__(self, model: ModelSettings, engine: EngineSettings) -> None:
        self._model = model
        self._settings = engine
        self._path = resolve_model_path(model)
        self._backend: VllmBackend | None = None
        self._folder: EngineFolder | None = None
        self._last_sign = 0.0
        self._labels: dict[Rating, Tokens] = {}
        self._suffixes: dict[Rating, Tokens] = {}
        self._categories = lru_cache(_REMEMBERED)(self._tokens_of)

    def renderer_factory(self) -> RendererFactory:
        """See `Engine`."""
        return VllmRendererFactory(model=self._model, engine=self._settings, path=self._path)

    async def start(self) -> None:
        """See `Engine`; the event loop goes on meanwhile.

        Raises:
            InputError: the model cannot be loaded as configured.
            EngineDead: the engine's process died without a reason of its own, e.g. for lack of memory.
        """
        self._folder = EngineFolder()
        try:
            self._backend = await asyncio.to_thread(self._load, self._folder)
            await self._backend.ready()
            for rating in Rating:
                self._labels[rating] = self._behind(ANSWER_PREFIX, rating)
                self._suffixes[rating] = self._behind(f"{ANSWER_PREFIX}{rating}", RATING_SUFFIX)
        except CurateError:
            await self.close()
            raise

    async def judge(self, payload: Payload, question: Question) -> Answer:
        """See `Engine`.

        Raises:
            RequestRejected: vLLM refuses this request.
            EngineDead: the engine is gone, or answered nobody for `engine.timeout` seconds.
        """
        assert self._backend is not None, "start the engine first"
        assert self._folder is not None
        work = asyncio.ensure_future(self._judge(self._backend, unpacked(payload.data), question))
        try:
            return await self._while_alive(work)
        except EngineDead as error:
            raise EngineDead(f"{error}: {reason_in(self._folder.log) or 'it gave no reason'}") from error
        finally:
            work.cancel()

    def metrics(self) -> dict[str, float]:
        """See `Engine`: prefix_cache_queries, prefix_cache_hits, prompt_tokens, generation_tokens, preemptions."""
        return self._backend.metrics() if self._backend else {}

    async def close(self) -> None:
        """See `Engine`."""
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.close()
        if self._folder is not None:
            self._folder.remove()

    async def _while_alive(self, work: asyncio.Future[Answer]) -> Answer:
        """What `work` brings. Waiting behind many others is no sign of death; silence to all of them is."""
        loop, timeout = asyncio.get_running_loop(), self._settings.timeout
        asked = loop.time()
        while not work.done():
            left = max(asked, self._last_sign) + timeout - loop.time()
            if left <= 0:
                raise EngineDead(f"vLLM answered nothing for {timeout:g} s (engine.timeout)")
            await asyncio.wait({work}, timeout=left)
        return work.result()

    async def _judge(self, backend: VllmBackend, prompt: Mapping[str, Any], question: Question) -> Answer:
        asking = _Asking(backend, prompt, self._note_sign)
        started = time.perf_counter()
        scored = score(self._labels, await asking.logprobs((), self._labels, beginnings(self._labels)))
        scores = await self._category_scores(asking, question, scored.p_unsafe) if question.category_scores else None
        scored_at = time.perf_counter()
        possible = possible_ratings(question)
        rating = scored.rating if scored.rating in possible else possible[0]
        regex = continuation_regex(question, rating, has_rationale(question, rating, scored.p_unsafe))
        rest = await asking.complete(self._behind_rating(rating), regex, max_answer_tokens(question))
        return Answer(
            text=close_answer(f"{ANSWER_PREFIX}{rating}{RATING_SUFFIX}{rest}"),
            p_unsafe=scored.p_unsafe,
            label_mass=scored.label_mass,
            category_scores=scores,
            prompt_tokens=sum(p.prompt_tokens for p in asking.passes),
            cached_tokens=sum(p.cached_tokens for p in asking.passes),
            output_tokens=sum(p.output_tokens for p in asking.passes),
            score_seconds=scored_at - started,
            continue_seconds=time.perf_counter() - scored_at,
        )

    async def _category_scores(self, asking: _Asking, question: Question, p_unsafe: float) -> dict[str, float]:
        """One request for codes that differ in one token, and none for a single code."""
        labels = self._categories(question.violable)
        logprobs = await asking.logprobs(self._behind_rating(Rating.UNSAFE), labels, forks(labels))
        return {code: p_unsafe * share for code, share in shares(labels, logprobs).items()}

    def _behind_rating(self, rating: Rating) -> Tokens:
        return (*self._labels[rating], *self._suffixes[rating])

    def _note_sign(self) -> None:
        self._last_sign = asyncio.get_running_loop().time()

    def _load(self, folder: EngineFolder) -> VllmBackend:
        from curate.engines.vllm_backend import VllmBackend, on_cpu

        cpu = on_cpu()
        os.environ.update({n: v for n, v in environment(cpu=cpu).items() if n not in os.environ})
        args = engine_args(self._model, self._settings, self._path, cpu=cpu)
        adapter = Path(self._model.adapter) if self._model.adapter else None
        try:
            with output_to(folder.log), folder.holds_sockets(), blocked(DRAIN):
                return VllmBackend(args, adapter, self._model.decoding)
        except RuntimeError as error:
            reason = reason_in(folder.log)
            if reason is None:
                raise EngineDead(f"vLLM's engine process died while it loaded {self._path}") from error
            raise InputError(f"model: vLLM cannot load {self._path}: {reason}") from error

    def _tokens_of(self, categories: tuple[str, ...]) -> dict[str, Tokens]:
        """By code; with the quote behind it no category is another's beginning."""
        before = f"{ANSWER_PREFIX}{Rating.UNSAFE}{RATING_SUFFIX}"
        return {c.partition(": ")[0]: self._behind(before, json_text(c) + '"') for c in categories}

    def _behind(self, text: str, more: str) -> Tokens:
        """Tokens of `more` where it stands behind `text`."""
        assert self._backend is not None
        before, both = self._backend.encode(text), self._backend.encode(f"{text}{more}")
        if both[: len(before)] != before:
            raise InputError(f"model.path: the tokenizer of {self._path} has no border before {more!r} in an answer")
        return tuple(both[len(before) :])


class _Asking:
    """The requests about one picture under one question, and what they brought; each is a sign of life."""

    def __init__(self, backend: VllmBackend, prompt: Mapping[str, Any], note_sign: Callable[[], None]) -> None:
        self.passes: list[Completion] = []
        self._backend = backend
        self._prompt = prompt
        self._note_sign = note_sign

    async def logprobs(
        self, behind: Tokens, labels: Mapping[Label, Tokens], places: Sequence[Tokens]
    ) -> dict[Tokens, Mapping[int, float]]:
        """What may follow each of `places` in `labels`, which stand behind the prompt and `behind`; a request each."""
        found = {}
        for place in places:
            next_one = await self._backend.next_token(self._prompt, (*behind, *place), followers(labels, place))
            found[place] = self._noted(next_one).logprobs
        return found

    async def complete(self, behind: Tokens, regex: str, max_tokens: int) -> str:
        """Text behind the prompt and `behind` that `regex` allows."""
        return self._noted(await self._backend.complete(self._prompt, behind, regex, max_tokens)).text

    def _noted(self, completion: Completion) -> Completion:
        self.passes.append(completion)
        self._note_sign()
        return completion
