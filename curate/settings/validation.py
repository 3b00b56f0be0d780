"""From plain fields to a frozen type, and from what pydantic finds wrong with them to one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from curate.core.errors import InputError
from curate.settings.catalogue import below, no_such_setting

T = TypeVar("T")


def validated(kind: type[T], fields: Mapping[str, Any], prefix: str = "") -> T:
    """The `kind` that `fields` make; `prefix` is the group they belong to.

    Raises:
        InputError: a field is unknown, missing or wrong; one line that names it.
    """
    try:
        return kind(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in ((prefix,) if prefix else ()) + first["loc"])
        raise InputError(_said(place, first)) from error


def _said(place: str, first: ErrorDetails) -> str:
    if first["type"] == "extra_forbidden":
        return no_such_setting(place, tuning=True)
    if first["type"] in ("model_type", "model_attributes_type") and below(place):
        return f"{place}: has settings of its own: {', '.join(below(place))} (given: {first['input']!r})"
    return f"{place}: {first['msg']} (given: {first['input']!r})"
