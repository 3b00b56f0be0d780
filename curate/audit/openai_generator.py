"""Any API that speaks OpenAI's `/v1/images/generations`, through OpenAI's own client, which tries again and backs off.

Pictures come as base64 in the answer; an answer with a link is refused, since nothing here opens an address that a
server names. What the API holds back for what it would show counts as refused.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from importlib.metadata import version
from typing import Any

from curate.audit.draws import Draw
from curate.audit.generator import Failed, Generated, GeneratorFailed, Identity, Made, Refused, require
from curate.audit.prompts import LONGEST
from curate.core.errors import InputError
from curate.core.secrets import MASK, masked_url, remember, without_secrets
from curate.images.formats import sniff_format
from curate.settings.generator import GeneratorSettings

REFUSALS = frozenset(
    {"content_policy_violation", "moderation_blocked", "content_filter", "contentFilter", "safety_violation"}
    | {"content_filtered", "responsible_ai_policy_violation", "ResponsibleAIPolicyViolation"}
)
"""Codes or types of an error that say so: OpenAI's, Azure's, and those of servers that follow them."""

_OF_ONE_REQUEST = frozenset({400, 413, 422})
_WORDS = 300


class OpenAIGenerator:
    """See `Generator`.

    Raises:
        InputError: the package is missing, or no address or model is named.
    """

    def __init__(self, settings: GeneratorSettings) -> None:
        require("openai", "openai")
        if settings.url is None or settings.api_model is None:
            raise InputError("generator.url and generator.api_model: give both, e.g. generator.url=http://host:8000/v1")
        self._settings = settings
        self._url = settings.url
        self._model = settings.api_model

    def identity(self) -> Identity:
        """See `Generator`. Which weights answer, an API does not tell."""
        chosen = ("width", "height", "seed_field", "negative_field", "response_format", "args")
        parts = self._settings.model_dump(mode="json", include=set(chosen))
        return Identity(generator=self._model, revision=self._settings.revision or "", parts=parts)

    def generate(self, draws: Sequence[Draw]) -> list[Made]:
        """See `Generator`; all at once."""
        with ThreadPoolExecutor(len(draws)) as threads:
            return list(threads.map(self._one, draws))

    def made_with(self) -> dict[str, str]:
        """See `Generator`."""
        return {"openai": version("openai"), "url": masked_url(self._url)}

    @cached_property
    def _client(self) -> Any:
        from openai import OpenAI

        key = os.environ.get(self._settings.api_key_env)
        remember(key, MASK)
        given = self._settings
        return OpenAI(base_url=self._url, api_key=key or "none", max_retries=given.retries, timeout=given.timeout)

    def _one(self, draw: Draw) -> Made:
        import openai

        try:
            answer = self._client.images.generate(**self._request(draw))
        except openai.APIStatusError as error:
            return self._declined(error)
        except openai.APIConnectionError as error:  # time-outs, too
            why = f"{type(error).__name__}: {error.__cause__ or error}"
            raise GeneratorFailed(f"{self._shown} does not answer ({why}); run again to go on") from error
        except openai.APIError as error:
            raise GeneratorFailed(f"{self._shown} answers what is not understood ({_said(error)})") from error
        return self._picture(answer)

    def _request(self, draw: Draw) -> dict[str, Any]:
        given = self._settings
        more = dict(given.args)
        if given.seed_field is not None:
            more[given.seed_field] = draw.seed
        if draw.prompt.negative is not None:
            if given.negative_field is None:
                raise InputError(
                    f"prompt {draw.prompt.id!r}: has a negative prompt, and generator.negative_field is null"
                )
            more[given.negative_field] = draw.prompt.negative
        request: dict[str, Any] = {"model": self._model, "prompt": draw.prompt.text, "n": 1, "extra_body": more}
        if given.width and given.height:
            request["size"] = f"{given.width}x{given.height}"
        if given.response_format is not None:
            request["response_format"] = given.response_format
        return request

    def _declined(self, error: Any) -> Made:
        """What an error status means for this request, or for all.

        Raises:
            InputError: it says that any request like this one is wrong.
            GeneratorFailed: it says nothing of the request.
        """
        said = _said(error)
        if {str(error.code), str(error.type)} & REFUSALS:
            return Refused(reason=said)
        if error.status_code in _OF_ONE_REQUEST and error.param in (None, "prompt"):
            return Failed(reason=said)
        if error.status_code in (401, 403):
            raise InputError(
                f"{self._shown} refuses the key ({said}); put the right one into the environment as "
                f"{self._settings.api_key_env}"
            ) from error
        if 400 <= error.status_code < 500 and error.status_code not in (408, 409, 429):
            raise InputError(
                f"{self._shown} answers {error.status_code}: {said}; see generator.url, generator.api_model, "
                "generator.seed_field, generator.response_format and generator.args"
            ) from error
        raise GeneratorFailed(f"{self._shown} answers {error.status_code}: {said}; run again to go on") from error

    def _picture(self, answer: Any) -> Made:
        first = answer.data[0] if answer.data else None
        if first is not None and first.b64_json is None and first.url is not None:
            raise InputError(f"{self._shown} answers with a link; ask for generator.response_format=b64_json")
        try:
            image = base64.b64decode(first.b64_json if first else "", validate=True)
        except (binascii.Error, ValueError, TypeError):
            image = b""
        if sniff_format(image) is None:
            return Failed(reason="the answer holds no picture")
        revised = getattr(first, "revised_prompt", None)
        return Generated(image=image, fields={} if revised is None else {"revised_prompt": str(revised)[:LONGEST]})

    @property
    def _shown(self) -> str:
        return f"generator.url={masked_url(self._url)}"


def _said(error: Any) -> str:
    """What an error says, as one line."""
    return " ".join(without_secrets(str(getattr(error, "message", error))).split())[:_WORDS]
