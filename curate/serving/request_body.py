"""A request's body, no longer than it may be, and no later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from curate.serving.errors import Refused
from curate.settings.serve import ServeSettings

_INLINE = 2**18
"""Bytes of JSON that are read on the event loop; more of them in a thread."""


def declared_length(request: Request, settings: ServeSettings) -> int:
    """Bytes that the request says it has; the most that it may have where it does not say.

    Raises:
        Refused: 413, more than that; 400, no number.
    """
    text = request.headers.get("content-length")
    if text is None:
        return settings.max_body
    if not text.isascii() or not text.isdigit():
        raise Refused(400, "bad_content_length", "Content-Length is no number")
    length = int(text)
    if length > settings.max_body:
        raise _too_large(settings)
    return length


async def read_body(request: Request, settings: ServeSettings) -> bytes:
    """All of it.

    Raises:
        Refused: 413, it is longer than `serve.max_body`; 408, it takes longer than `serve.body_seconds`.
    """
    chunks: list[bytes] = []
    held = 0
    try:
        async with asyncio.timeout(settings.body_seconds):
            async for chunk in request.stream():
                held += len(chunk)
                if held > settings.max_body:
                    raise _too_large(settings)
                chunks.append(chunk)
    except TimeoutError as error:
        message = f"the request did not arrive within {settings.body_seconds:g} s"
        raise Refused(408, "slow_request", message) from error
    return b"".join(chunks)


async def parsed(body: bytes, model: type[BaseModel]) -> Any:
    """The `model` that a body of JSON is.

    Raises:
        Refused: 400, it is none; names the field.
    """
    if len(body) > _INLINE:
        return await asyncio.to_thread(_parsed, body, model)
    return _parsed(body, model)


def _parsed(body: bytes, model: type[BaseModel]) -> BaseModel:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or None
        code = "invalid_json" if first["type"] == "json_invalid" else "invalid_value"
        raise Refused(400, code, f"{place or 'the body'}: {first['msg']}"[:500], param=place) from error


async def form_of(request: Request, body: bytes, settings: ServeSettings) -> dict[str, str | bytes]:
    """The fields of a multipart body; files as their bytes, in memory only.

    Raises:
        Refused: 400, it is none.
    """

    async def stream() -> AsyncIterator[bytes]:
        yield body

    parser = MultiPartParser(request.headers, stream(), max_files=1, max_fields=8, max_part_size=settings.max_body)  # type: ignore[arg-type]
    parser.spool_max_size = settings.max_body + 1  # or a larger picture would lie on the disk for a while
    try:
        form: FormData = await parser.parse()
    except (MultiPartException, KeyError, ValueError, LookupError) as error:
        raise Refused(400, "invalid_multipart", f"the body is no multipart/form-data: {error}"[:300]) from error
    try:
        return {name: await v.read() if isinstance(v, UploadFile) else v for name, v in form.multi_items()}
    finally:
        await form.close()


def _too_large(settings: ServeSettings) -> Refused:
    return Refused(413, "request_too_large", f"a request may have {settings.max_body} bytes (serve.max_body)")
