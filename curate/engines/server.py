"""Judging through any OpenAI-compatible server: `vllm serve`, or another that takes images in chat completions.

The decoded picture goes over as a lossless PNG in a data URL, so that the server sees the upright RGB pixels that every
other engine sees: its own decoder would treat orientation, alpha and odd formats in its own way, and a second lossy
compression would be one more thing that labels depend on. What that costs is bandwidth, about 1.5 MB a megapixel.

The server applies the chat template and the image processor. It is asked for the whole answer in one request under a
grammar, which hides from us how much of the probability the two labels had before: `label_mass` is None. A Safe answer
above `rationale_above` takes a second request, since p_unsafe is known only when the first one has ended.
"""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import os
import random
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import httpx
from PIL.Image import Image
from pydantic import Field

from curate.core.errors import EngineDead, InputError, RequestRejected
from curate.core.secrets import MASK, masked_url, remember, without_secrets
from curate.core.types import Answer, Question, Rating
from curate.engines.base import Payload, RendererFactory
from curate.engines.chat_response import ChatResponse, completion_of
from curate.judges.verdicts import (
    ANSWER_PREFIX,
    answer_regex,
    answer_schema,
    close_answer,
    has_rationale,
    max_answer_tokens,
)
from curate.settings.engine import EngineSettings
from curate.settings.group import Group
from curate.settings.model import ModelSettings

logger = logging.getLogger(__name__)

_REJECTED = {400, 413, 415, 422}
_TRY_AGAIN = {408, 409, 425, 429}
_CONNECT_SECONDS = 10.0
_MAX_BACK_OFF = 30.0
_TOP_LOGPROBS = 20  # what both OpenAI and vLLM allow at most by default


class ServerArgs(Group):
    """`engine.args` of the server engine.

    Attributes:
        dialect: how the server is told the grammar. "vllm": a regex of the exact trained layout. "openai": a JSON
            schema in `response_format`, whose white space the server chooses; a weak model may then write nothing else.
        retries: how often a request is sent again after 429, 5xx, a timeout or a lost connection.
        back_off: seconds before the first of them; doubles with each, unless the server names a time.
    """

    dialect: Literal["vllm", "openai"] = "vllm"
    retries: int = Field(default=5, ge=0)
    back_off: float = Field(default=0.5, ge=0)


@dataclass(frozen=True, slots=True)
class PngRenderer:
    """Renders a picture to a PNG data URL; what the server shrinks it to is not known here."""

    needed: ClassVar[None] = None

    def render(self, image: Image, sha256: str, question: Question) -> Payload:
        """As `curate.engines.base.Renderer`."""
        png = io.BytesIO()
        image.save(png, "PNG", compress_level=1)
        url = f"data:image/png;base64,{base64.b64encode(png.getbuffer()).decode()}"
        return Payload(data=url, nbytes=len(url))


class _TryAgain(Exception):
    """A request failed in a way that another try may mend; `after` is what the server says about when."""

    def __init__(self, reason: str, after: str = "") -> None:
        super().__init__(reason)
        self._after = after

    def pause(self, seconds: float) -> float:
        """Seconds to wait: what the server asks for, else about `seconds`, so that not all come back at once."""
        return min(_MAX_BACK_OFF, float(self._after) if self._after.isdigit() else seconds * random.uniform(0.75, 1.25))


class ServerEngine:
    """As `curate.engines.base.Engine`, over HTTP.

    Args:
        model: its name at the server, unless `engine.api_model` says otherwise; layout, decoding and processor options.
        settings: `url` as OpenAI clients take it, usually ending in /v1; the key's environment variable; bounds.
    """

    def __init__(self, model: ModelSettings, settings: EngineSettings) -> None:
        if settings.url is None:
            raise InputError(
                "engine.url is not set: give the server's base URL, e.g. engine.url=http://localhost:8000/v1"
            )
        self._model = model
        self._url = settings.url.rstrip("/")
        self._shown = masked_url(self._url)
        self._name = settings.api_model or model.path
        self._key_env = settings.api_key_env
        self._args = ServerArgs.model_validate(settings.args)
        key = os.environ.get(settings.api_key_env)
        remember(key, MASK)  # a server may say it back
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            limits=httpx.Limits(max_connections=settings.max_requests),
            # No limit on waiting for a connection: that only means that all are busy.
            timeout=httpx.Timeout(settings.timeout, connect=_CONNECT_SECONDS, pool=None),
        )
        self._counts = dict.fromkeys(("requests", "retries", "prompt_tokens", "cached_tokens", "generation_tokens"), 0)

    def renderer_factory(self) -> RendererFactory:
        """A renderer that needs no model."""
        return PngRenderer

    async def start(self) -> None:
        """Ask the server which models it serves.

        Raises:
            InputError: it cannot be reached, wants another key, or does not serve the model.
        """
        try:
            response = await self._client.get(f"{self._url}/models")
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise InputError(
                f"no server at engine.url={self._shown}: {_described(error)}; start it or mend the URL"
            ) from error
        if response.status_code in (401, 403):
            raise InputError(
                f"{self._shown} refuses the key: put the right one into the environment as {self._key_env}"
            )
        if response.status_code != 200:
            hint = "engine.url is what OpenAI clients take as base URL and usually ends in /v1"
            raise InputError(f"{self._shown}/models answers {response.status_code}: {hint}")
        served = _model_names(response)
        if self._name not in served:
            names = ", ".join(served[:5]) or "nothing"
            raise InputError(
                f"{self._shown} does not serve {self._name!r} but {names}: set engine.api_model to one of them"
            )

    async def judge(self, payload: Payload, question: Question) -> Answer:
        """See `Engine`.

        Raises:
            RequestRejected: the server answers that it will not take this request.
            EngineDead: it fails or does not answer, again and again.
        """
        first = await self._complete(payload, question)
        if not _needs_rationale(first, question):
            return _answer(first, first)
        safe_with_rationale = replace(question, rationale="all", violable=())
        return _answer(first, await self._complete(payload, safe_with_rationale))

    def metrics(self) -> dict[str, float]:
        """requests, retries, prompt_tokens, cached_tokens, generation_tokens."""
        return dict(self._counts)

    async def close(self) -> None:
        """Close the connections; the server is not ours."""
        await self._client.aclose()

    async def _complete(self, payload: Payload, question: Question) -> ChatResponse:
        completion = completion_of(await self._post(self._body(payload, question)))
        for name in ("prompt_tokens", "cached_tokens", "generation_tokens"):
            self._counts[name] += getattr(completion, name)
        return completion

    def _body(self, payload: Payload, question: Question) -> dict[str, Any]:
        content = [{"type": "image_url", "image_url": {"url": payload.data}}, {"type": "text", "text": question.text}]
        decoding = self._model.decoding
        body = {
            "model": self._name,
            "messages": [{"role": "user", "content": content}],
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "seed": decoding.seed,
            "logprobs": True,
            "top_logprobs": _TOP_LOGPROBS,
        }
        limit = max_answer_tokens(question) + len(ANSWER_PREFIX)
        return body | (self._vllm(question, limit) if self._args.dialect == "vllm" else _openai(question, limit))

    def _vllm(self, question: Question, limit: int) -> dict[str, Any]:
        """Fields that vLLM adds to the protocol."""
        regex = "\\{" + ANSWER_PREFIX[1:] + answer_regex(question)
        fields = {"max_tokens": limit, "top_k": self._model.decoding.top_k, "structured_outputs": {"regex": regex}}
        return fields | ({"mm_processor_kwargs": self._model.processor} if self._model.processor else {})

    async def _post(self, body: dict[str, Any]) -> httpx.Response:
        """The server's answer to one request, sent again while that may help."""
        trouble = _TryAgain("")
        for attempt in range(self._args.retries + 1):
            if attempt:
                logger.info("request to %s is sent again: %s", self._shown, trouble)
                self._counts["retries"] += 1
                await asyncio.sleep(trouble.pause(self._args.back_off * 2 ** (attempt - 1)))
            try:
                return await self._send(body)
            except _TryAgain as error:
                trouble = error
        raise EngineDead(f"{self._shown} failed {self._args.retries + 1} times in a row: {trouble}")

    async def _send(self, body: dict[str, Any]) -> httpx.Response:
        self._counts["requests"] += 1
        try:
            response = await self._client.post(f"{self._url}/chat/completions", json=body)
        except httpx.TransportError as error:
            raise _TryAgain(_described(error)) from error
        status = response.status_code
        if status in _REJECTED:
            raise RequestRejected(f"{status}: {_message(response)}")
        if status in _TRY_AGAIN or status >= 500:
            raise _TryAgain(f"{status}: {_message(response)}", response.headers.get("Retry-After", ""))
        if status != 200:
            raise EngineDead(f"{self._shown} answers {status}: {_message(response)}")
        return response


def _openai(question: Question, limit: int) -> dict[str, Any]:
    schema = {"name": "verdict", "strict": True, "schema": answer_schema(question)}
    return {"max_completion_tokens": limit, "response_format": {"type": "json_schema", "json_schema": schema}}


def _needs_rationale(completion: ChatResponse, question: Question) -> bool:
    return (
        question.rationale == "unsafe"
        and completion.rating is Rating.SAFE
        and has_rationale(question, Rating.SAFE, completion.p_unsafe)
    )


def _answer(first: ChatResponse, last: ChatResponse) -> Answer:
    """The text of the last pass with the probability of the first; tokens of both."""
    passes = [first] if last is first else [first, last]
    return Answer(
        text=close_answer(last.text) if last.cut else last.text,
        p_unsafe=first.p_unsafe,
        label_mass=None,
        prompt_tokens=sum(one.prompt_tokens for one in passes),
        cached_tokens=sum(one.cached_tokens for one in passes),
        output_tokens=sum(one.generation_tokens for one in passes),
    )


def _model_names(response: httpx.Response) -> list[str]:
    try:
        return [str(model["id"]) for model in response.json()["data"]]
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"{masked_url(str(response.url))} answers, but with no list of models: mend engine.url"
        ) from error


def _message(response: httpx.Response) -> str:
    """What the server says is wrong, in one line."""
    try:
        error = response.json()["error"]
        text = error["message"] if isinstance(error, dict) else error
    except (ValueError, LookupError, TypeError):
        text = response.text
    return " ".join(without_secrets(str(text)).split())[:300]


def _described(error: Exception) -> str:
    return without_secrets(f"{type(error).__name__}: {error}".rstrip(": "))
