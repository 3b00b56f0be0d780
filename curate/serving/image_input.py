"""What stands for a picture in a request: a data URL, bare base64, uploaded bytes, or a link."""

from __future__ import annotations

import asyncio
import binascii
import re
from base64 import b64decode
from dataclasses import dataclass

from curate.serving.errors import Refused
from curate.serving.fetching import Fetcher

_DATA = re.compile(r"data:(?P<media>[\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[\w.+-]+)*;base64,", re.ASCII | re.IGNORECASE)
_INLINE = 2**18


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageGiven:
    """A picture as it was given.

    Attributes:
        param: where in the request it stands.
        text: a data URL, base64 or a link; or
        body: its bytes.
    """

    param: str
    text: str = ""
    body: bytes | None = None


def is_data_url(text: str) -> bool:
    """Whether `text` is a picture in itself."""
    return text[:11].lower() == "data:image/"


async def bytes_of(given: ImageGiven, fetcher: Fetcher) -> bytes:
    """The encoded picture, whatever is in it.

    Raises:
        Refused: 400, it cannot be read as what it claims to be, or a link is not to be followed; 422, a link leads
            nowhere; 413, to too much.
    """
    if given.body is not None:
        body = given.body
    elif given.text[:5].lower() == "data:":
        body = await _decoded(given)
    elif "://" in given.text[:16]:
        body = await fetcher.fetch(given.text, given.param)
    else:
        body = await _decoded(given)
    if not body:
        raise Refused(400, "empty_image", f"{given.param} is empty", param=given.param)
    return body


async def _decoded(given: ImageGiven) -> bytes:
    return await asyncio.to_thread(_decode, given) if len(given.text) > _INLINE else _decode(given)


def _decode(given: ImageGiven) -> bytes:
    head = _DATA.match(given.text)
    if given.text[:5].lower() == "data:" and head is None:
        raise Refused(400, "invalid_image_url", f"{given.param} is no data URL in base64", param=given.param)
    try:
        return b64decode(given.text[head.end() if head else 0 :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(400, "invalid_base64", f"{given.param} is no base64: {error}"[:200], param=given.param) from error
