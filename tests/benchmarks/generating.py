"""vLLM's own `LLM.generate`, asked as well as a user can ask it for the same outputs.

One pass: the whole answer under the grammar with the two ratings' log-probabilities, which is the least work that gives
rating, category, rationale and p_unsafe. The probability mass of the two ratings under the whole vocabulary is hidden
by the grammar. Two passes: the rating's token without a grammar, then the rest under it; the same outputs as curate's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from PIL import Image

from curate.core.errors import InvalidOutput
from curate.core.types import Question, Rating
from curate.judges.verdicts import (
    ANSWER_PREFIX,
    RATING_SUFFIX,
    answer_regex,
    close_answer,
    continuation_regex,
    has_rationale,
    max_answer_tokens,
    parse_answer,
)
from curate.settings.run import Settings
from tests.benchmarks.judging import Judged, question


@dataclass(frozen=True)
class Asked:
    """Decoded pictures by key, and in how many passes they are to be judged."""

    images: Mapping[str, Image.Image]
    passes: int = 1


class Generator:
    """Handler for `resident`: an `LLM` with the engine arguments that curate gives its own engine."""

    def __init__(self, settings: Settings) -> None:
        from vllm import LLM

        from curate.engines.vllm_args import engine_args
        from curate.judges.checkpoints import resolve_model_path

        args = engine_args(settings.model, settings.engine, resolve_model_path(settings.model), cpu=True)
        # Priorities are curate's own: its second passes go first. Here all requests of a call are of one kind.
        self._llm = LLM(**{**args, "scheduling_policy": "fcfs"})
        self._settings = settings
        self._question = question(settings)

    def __call__(self, asked: Asked) -> dict[str, Judged]:
        """Verdicts by key; nothing is left in the caches of the same pictures judged before."""
        self._llm.reset_prefix_cache()
        self._llm.llm_engine.reset_encoder_cache()
        judge = self._one_pass if asked.passes == 1 else self._two_passes
        return dict(zip(asked.images, judge(list(asked.images.values())), strict=True))

    def close(self) -> None:
        """End the engine's processes, which would outlive this one."""
        self._llm.llm_engine.engine_core.shutdown()

    def _one_pass(self, images: Sequence[Image.Image]) -> list[Judged]:
        outputs = self._generate([(self._text, image) for image in images], [self._whole] * len(images))
        return [
            judged(f"{ANSWER_PREFIX}{o.outputs[0].text}", self._question, *self._score(o), outputs=[o]) for o in outputs
        ]

    def _two_passes(self, images: Sequence[Image.Image]) -> list[Judged]:
        first = self._generate([(self._text, image) for image in images], [self._rating_only] * len(images))
        scores = [self._score(o) for o in first]
        ratings = [Rating.UNSAFE if (p or 0.0) > 0.5 else Rating.SAFE for p, _ in scores]
        beginnings = [f"{rating}{RATING_SUFFIX}" for rating in ratings]
        prompts = [(f"{self._text}{b}", image) for b, image in zip(beginnings, images, strict=True)]
        second = self._generate(prompts, [self._rest(r, p) for r, (p, _) in zip(ratings, scores, strict=True)])
        return [
            judged(f"{ANSWER_PREFIX}{b}{two.outputs[0].text}", self._question, *s, outputs=[one, two])
            for b, s, one, two in zip(beginnings, scores, first, second, strict=True)
        ]

    def _generate(self, prompts: Sequence[tuple[str, Image.Image]], params: Sequence[Any]) -> list[Any]:
        requests = [{"prompt": text, "multi_modal_data": {"image": image}} for text, image in prompts]
        return list(self._llm.generate(requests, list(params), use_tqdm=False))

    def _score(self, output: Any) -> tuple[float | None, float | None]:
        """p_unsafe and the mass of the two ratings (1 under a grammar); None where vLLM left them out."""
        found = output.outputs[0].logprobs[0]
        if any(token not in found for token in self._ratings):
            return None, None
        safe, unsafe = (math.exp(found[token].logprob) for token in self._ratings)
        return unsafe / (safe + unsafe), safe + unsafe

    @cached_property
    def _text(self) -> str:
        return prompt_of(self._settings, self._question)

    @cached_property
    def _ratings(self) -> list[int]:
        """The one token of each rating."""
        tokens = [self._llm.get_tokenizer().encode(r.value, add_special_tokens=False) for r in Rating]
        assert all(len(t) == 1 for t in tokens), "this tokenizer cuts the ratings"
        return [t[0] for t in tokens]

    @cached_property
    def _whole(self) -> Any:
        return self._params(max_answer_tokens(self._question), answer_regex(self._question), self._ratings)

    @cached_property
    def _rating_only(self) -> Any:
        return self._params(1, None, self._ratings)

    def _rest(self, rating: Rating, p_unsafe: float | None) -> Any:
        regex = continuation_regex(self._question, rating, has_rationale(self._question, rating, p_unsafe))
        return self._params(max_answer_tokens(self._question), regex, None)

    def _params(self, max_tokens: int, regex: str | None, scored: list[int] | None) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        grammar = StructuredOutputsParams(regex=regex) if regex else None
        return SamplingParams(
            max_tokens=max_tokens, temperature=0.0, structured_outputs=grammar, logprob_token_ids=scored
        )


def prompt_of(settings: Settings, asked: Question) -> str:
    """The prompt that curate renders, as text."""
    from transformers import AutoProcessor

    from curate.judges.chat_prompt import prompt_text
    from curate.judges.checkpoints import resolve_model_path

    processor = AutoProcessor.from_pretrained(str(resolve_model_path(settings.model)))
    return prompt_text(processor, asked.text, settings.model.layout, "<image>")


def judged(
    text: str,
    asked: Question,
    p_unsafe: float | None = None,
    label_mass: float | None = None,
    *,
    outputs: Sequence[Any] = (),
) -> Judged:
    """A contender's answer as curate's row would have it; of vLLM's `outputs` the tokens are counted."""
    tokens = {
        "prompt_tokens": sum(len(o.prompt_token_ids) for o in outputs),
        "cached_tokens": sum(o.num_cached_tokens or 0 for o in outputs),
        "output_tokens": sum(len(o.outputs[0].token_ids) for o in outputs),
    }
    try:
        verdict = parse_answer(close_answer(text), asked)
    except InvalidOutput:
        return Judged(rating=None, category=None, rationale=None, p_unsafe=p_unsafe, label_mass=label_mass, **tokens)
    return Judged(
        rating=verdict.rating.value,
        category=verdict.category,
        rationale=verdict.rationale,
        p_unsafe=p_unsafe,
        label_mass=label_mass,
        **tokens,
    )
