"""Sidecars as a person reads them: values that JSON, Parquet and polars can all hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta

READ_BYTES = 2**20
"""Of a caption or a JSON sidecar: a row of annotations holds no more."""


def too_long(sidecar: Mapping[str, bytes]) -> dict[str, object]:
    """What of captions and JSON, by name, is more than a row holds, and how much it is."""
    return {name: f"{len(body)} bytes" for name, body in sidecar.items() if len(body) > READ_BYTES}


def describe(text: bytes | None, fields: bytes | None) -> dict[str, object]:
    """`meta` of a sample from its .txt and .json neighbours.

    The caption is the text; the fields of the JSON object follow, and where they have a caption too the text wins.
    JSON that is no object leaves its reason under `json_error`.
    """
    caption: dict[str, object] = {} if text is None else {"caption": text.decode("utf-8", "replace")}
    return caption | ({} if fields is None else _fields(fields)) | caption


def plain_text(text: str) -> str:
    """`text` as JSON can hold it; see `plain`."""
    if len(text) > READ_BYTES:
        return f"<{len(text)} characters>"
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def plain(value: object, of_text: Callable[[str], str] = plain_text) -> object:
    """`value` as JSON can hold it.

    Numbers that are not finite become null, times ISO 8601, bytes their count ("<12 bytes>"), lone surrogates escapes,
    anything else its text. Of texts beyond `READ_BYTES` the length is left ("<2000000 characters>").

    Args:
        value: of any kind.
        of_text: what becomes of texts; names of fields are as `plain_text` has them.
    """
    match value:
        case str():
            return of_text(value)
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case bytes():
            return f"<{len(value)} bytes>"
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {plain_text(str(name)): plain(item, of_text) for name, item in value.items()}
        case list() | tuple():
            return [plain(item, of_text) for item in value]
        case _:
            return str(value)


def _fields(data: bytes) -> dict[str, object]:
    try:
        fields = plain(json.loads(data))
    except (ValueError, RecursionError) as error:
        return {"json_error": f"{type(error).__name__}: {error}"[:200]}
    return (
        fields if isinstance(fields, dict) else {"json_error": f"{type(fields).__name__} where an object is expected"}
    )
