"""vLLM itself, as far as judging needs it: rendering, and single completions of an asynchronous engine.

The only module that imports vLLM. Everything that decides what to ask stands in `curate.engines.vllm_engine`.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal

import torch
from PIL.Image import Image
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.exceptions import VLLMClientError
from vllm.lora.request import LoRARequest
from vllm.model_executor.model_loader import get_model_cls
from vllm.platforms import current_platform
from vllm.renderers.registry import renderer_from_config
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError
from vllm.v1.metrics.reader import Counter, get_metrics_snapshot

from curate.core.errors import EngineDead, InputError, RequestRejected
from curate.core.types import Question
from curate.engines.base import Payload
from curate.engines.parent_watch import EndsWithParent
from curate.engines.shared_picture import Packed, Prompt, SharedPicture
from curate.images.jpeg_reduction import needed_by
from curate.judges.chat_prompt import prompt_text
from curate.settings.model import Decoding

METRICS: Mapping[str, str] = {
    "vllm:prefix_cache_queries": "prefix_cache_queries",
    "vllm:prefix_cache_hits": "prefix_cache_hits",
    "vllm:prompt_tokens": "prompt_tokens",
    "vllm:generation_tokens": "generation_tokens",
    "vllm:num_preemptions": "preemptions",
}
"""vLLM's counters, by the names `Engine.metrics` has for them."""

FIRST_PASS, SECOND_PASS = 1, 0
"""Scheduling priorities; the lower number goes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What one request brought: text, and log-probabilities of the first token where they were asked for."""

    text: str
    logprobs: Mapping[int, float]
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int


def on_cpu() -> bool:
    """Whether this installation of vLLM runs models on the CPU."""
    return bool(current_platform.is_cpu())


class VllmRenderer:
    """Renders with vLLM's own renderer, built from the same arguments as the engine's.

    The prompt's tokens depend on the question alone and are made once. Pictures are identified by vLLM's hash of their
    pixels: an identifier from outside would be trusted blindly, and two pictures that share one would share a cache.
    """

    def __init__(self, args: Mapping[str, Any], layout: Literal["image_first", "policy_first"]) -> None:
        config = vllm_config(args)
        torch.set_num_threads(1)  # the workers are many
        self._renderer = renderer_from_config(config)
        self._layout = layout
        self._context: int = config.model_config.max_model_len
        self._placeholder: str = get_model_cls(config.model_config).get_placeholder_str("image", 1)
        self.needed = needed_by(self._renderer.get_mm_processor().info.get_hf_processor().image_processor)
        self._prompts: dict[Question, list[int]] = {}
        self._last: Callable[[], Image | None] = lambda: None
        self._shared: SharedPicture | None = None

    def render(self, image: Image, sha256: str, question: Question) -> Payload:
        """As `curate.engines.base.Renderer`; the payload's data is that of `Packed`.

        The image processor runs once for questions about one picture that follow each other.
        """
        tokens = self._prompts.get(question) or self._prompts.setdefault(question, self._tokens(question))
        shared = self._shared if self._last() is image else None
        packed = (shared and shared.behind(tokens)) or self._render(image, tokens)
        length, needed = len(packed.rest["prompt_token_ids"]), tokens_to_answer(question)
        if length + needed > self._context:
            raise RequestRejected(
                f"the prompt has {length} tokens and an answer needs {needed}, more than the context of {self._context}"
            )
        data = packed.data()
        return Payload(data=data, nbytes=sum(map(len, data)), prompt_tokens=length)

    def _render(self, image: Image, tokens: list[int]) -> Packed:
        prompt = {"prompt_token_ids": tokens, "multi_modal_data": {"image": image}}
        try:
            (rendered,) = self._renderer.render_cmpl([prompt])
        except (VLLMClientError, ValueError) as error:
            raise RequestRejected(_one_line(error)) from error
        assert len(rendered["mm_placeholders"]["image"]) == 1, "one prompt, one image"
        packed = Packed.of(rendered)
        self._shared, self._last = SharedPicture.of(tokens, packed), weakref.ref(image)
        return packed

    def _tokens(self, question: Question) -> list[int]:
        processor = self._renderer.get_mm_processor().info.get_hf_processor()
        text = prompt_text(processor, question.text, self._layout, self._placeholder)
        return list(self._renderer.get_tokenizer().encode(text, add_special_tokens=self._adds_bos(text)))

    def _adds_bos(self, text: str) -> bool:
        bos = self._renderer.get_tokenizer().bos_token
        return bool(bos) and not text.startswith(bos)


def tokens_to_answer(question: Question) -> int:
    """Tokens that an answer of usual length takes; the context has to have room for them."""
    return 48 + (0 if question.rationale == "none" else question.rationale_chars // 4)


def vllm_config(args: Mapping[str, Any]) -> Any:
    """VLLM's configuration, checked against the checkpoint.

    Raises:
        InputError: vLLM cannot run this checkpoint with these arguments.
    """
    try:
        return AsyncEngineArgs(**args).create_engine_config()
    except (ValueError, TypeError, OSError, ImportError) as error:
        raise InputError(f"engine: vLLM refuses {args.get('model')}: {_one_line(error)}") from error


TRIES = 4
"""How often the log-probabilities of one image are asked for before it is given up."""


class VllmBackend:
    """A running engine. Construction loads the model and blocks for as long as that takes.

    Args:
        args: of `AsyncEngineArgs`.
        adapter: folder of a LoRA adapter.
        decoding: how tokens behind the rating are drawn.

    Raises:
        InputError: see `vllm_config`.
        RuntimeError: the engine's process failed; its output says why.
    """

    def __init__(self, args: Mapping[str, Any], adapter: Path | None, decoding: Decoding) -> None:
        self._before = _counters()
        config = vllm_config(args)
        config.additional_config = EndsWithParent(config.additional_config)
        self._engine = AsyncLLM.from_vllm_config(config)
        self._adapter = LoRARequest("adapter", 1, str(adapter)) if adapter else None
        self._decoding = decoding
        self._ids = count()

    async def ready(self) -> None:
        """To be awaited once, in the event loop that will use the engine.

        What vLLM would otherwise ask its engine at the first request it waits for even if the engine dies meanwhile.
        """
        await self._engine.get_supported_tasks()

    def encode(self, text: str) -> list[int]:
        """Tokens of `text`, without special ones."""
        return list(self._engine.renderer.get_tokenizer().encode(text, add_special_tokens=False))

    async def next_token(self, prompt: Prompt, behind: Sequence[int], candidates: Sequence[int]) -> Completion:
        """Log-probabilities of `candidates` behind prompt and `behind`, under the whole vocabulary: no grammar.

        vLLM 0.32 gathers each row's candidates from that row's own logits, but under a changing batch it now and then
        leaves them out of a row (seen about once in a thousand requests). What is there is right; what is missing is
        asked again.

        Raises:
            RequestRejected: they were left out each time.
        """
        params = SamplingParams(
            max_tokens=1,
            temperature=0.0,
            logprob_token_ids=list(candidates),
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        for _ in range(TRIES):
            completion = await self._submit(prompt, behind, params, FIRST_PASS)
            if all(token in completion.logprobs for token in candidates):
                return completion
        raise RequestRejected(f"vLLM left the log-probabilities that it was asked for out {TRIES} times")

    async def complete(self, prompt: Prompt, behind: Sequence[int], regex: str, max_tokens: int) -> Completion:
        """Text behind prompt and `behind` that `regex` allows."""
        params = SamplingParams(
            max_tokens=max_tokens,
            temperature=self._decoding.temperature,
            top_p=self._decoding.top_p,
            top_k=self._decoding.top_k,
            seed=self._decoding.seed,
            structured_outputs=StructuredOutputsParams(regex=regex),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        return await self._submit(prompt, behind, params, SECOND_PASS)

    def metrics(self) -> dict[str, float]:
        """Counters since construction; vLLM's own are of the whole process."""
        return {name: value - self._before.get(name, 0) for name, value in _counters().items()}

    def close(self) -> None:
        """End the engine's processes; to be called in the event loop that used it.

        They never see the SIGTERM that vLLM would ask them with (`VllmEngine` starts them so). With no time to obey it
        vLLM kills them and all that they started; nothing is in flight any more that could be lost.
        """
        if self._engine.output_handler is not None:
            self._engine.output_handler.cancel()  # or it reports the end as an engine that died
        self._engine.shutdown(timeout=0)
        del self._engine
        gc.collect()  # it lies in cycles, and complains when the interpreter ends before they are found

    async def _submit(self, prompt: Prompt, behind: Sequence[int], params: SamplingParams, priority: int) -> Completion:
        tokens = [*prompt["prompt_token_ids"], *behind]
        stream = self._engine.generate(
            {**prompt, "prompt_token_ids": tokens},
            params,
            f"judge-{next(self._ids)}",
            lora_request=self._adapter,
            priority=priority,
        )
        try:
            (output,) = [output async for output in stream]
        except EngineDeadError as error:
            raise EngineDead("vLLM's engine process is gone") from error
        except (VLLMClientError, EngineGenerateError) as error:
            raise RequestRejected(_one_line(error.__cause__ or error)) from error
        answer = output.outputs[0]
        if answer.finish_reason == "abort":
            raise EngineDead("vLLM's engine ended with this request in it")
        if answer.finish_reason == "error":
            raise RequestRejected("vLLM reports an internal error for this request")
        first = answer.logprobs[0] if answer.logprobs else {}
        return Completion(
            text=answer.text,
            logprobs={token: entry.logprob for token, entry in first.items()},
            prompt_tokens=len(tokens),
            cached_tokens=output.num_cached_tokens or 0,
            output_tokens=len(answer.token_ids),
        )


def _counters() -> dict[str, float]:
    found = [m for m in get_metrics_snapshot() if isinstance(m, Counter) and m.name in METRICS]
    return {METRICS[m.name]: float(m.value) for m in found}


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
