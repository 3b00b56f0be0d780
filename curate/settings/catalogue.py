"""Every setting there is, read off the types that hold them: its path, type, default and sentence.

`KEY` in a path stands for a name of the user's own: a category's code, a split, an argument that is passed on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from curate.core.closest_names import did_you_mean, nearest_settings
from curate.policies.policy import Policy
from curate.settings.dataset import DatasetSettings
from curate.settings.engine import EngineSettings
from curate.settings.filter import FilterSettings
from curate.settings.generator import GeneratorSettings
from curate.settings.group import Shown
from curate.settings.job import JobSettings
from curate.settings.model import ModelSettings
from curate.settings.report import ReportSettings
from curate.settings.run import Budget, OutputSettings, Settings
from curate.settings.serve import ServeSettings
from curate.settings.tune import TuneSettings

MODELS: Mapping[str, type[BaseModel]] = {
    "dataset": DatasetSettings,
    "model": ModelSettings,
    "policy": Policy,
    "engine": EngineSettings,
    "filter": FilterSettings,
    "job": JobSettings,
    "output": OutputSettings,
    "budget": Budget,
    "report": ReportSettings,
    "tune": TuneSettings,
    "serve": ServeSettings,
    "generator": GeneratorSettings,
}
"""The types behind the first part of a path."""

ALONE = ("policies", "retry", "extend", "reuse")
"""Settings of no group."""

_WORDS: Mapping[object, str] = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "any"}
_BOUNDS = (("gt", "above"), ("ge", "from"), ("le", "up to"), ("lt", "below"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting.

    Attributes:
        path: as it is written on the command line.
        kind: its type in words.
        default: as it would be written; None where there is none.
        instead: what holds where there is none, in words; None where something has to be given.
        sentence: what it does.
        choices: all values it can have, where these are few.
        open: a mapping with keys of the user's own.
        text: whether it, or what is in it, is text, so that any characters may be in a value.
    """

    path: str
    kind: str
    default: str | None
    sentence: str
    instead: str | None = None
    choices: tuple[str, ...] = ()
    open: bool = False
    text: bool = False


@cache
def settings() -> tuple[Setting, ...]:
    """All of them, by group."""
    alone = [s for name in ALONE for s in _field(name, Settings.model_fields[name], PydanticUndefined)]
    return (*(s for name, kind in MODELS.items() for s in of_type(kind, name)), *alone)


def of_type(kind: type[BaseModel], prefix: str = "", given: object = None) -> Iterator[Setting]:
    """Those that the fields of `kind` are, `given` being the defaults where they differ from the type's."""
    for name, field in kind.model_fields.items():
        path = f"{prefix}.{name}" if prefix else name
        yield from _field(path, field, getattr(given, name, PydanticUndefined))


def defaults_of(group: str) -> dict[str, Any]:
    """What the settings of a group are that no file and nobody says anything of, as plain values."""
    fields = {name: field for name, field in MODELS[group].model_fields.items() if not field.is_required()}
    defaults = {name: field.get_default() for name, field in fields.items()}
    return {name: d.model_dump() if isinstance(d, BaseModel) else d for name, d in defaults.items()}


def written_as(default: object) -> str | None:
    """A value as it is written on the command line; None where there is none."""
    if default is PydanticUndefined:
        return None
    if isinstance(default, float) and default.is_integer():
        return str(int(default))
    return default if isinstance(default, str) else json.dumps(default, ensure_ascii=False)


def lookup(path: str) -> Setting | None:
    """The setting that `path` sets, or the mapping that it sets a key of; None where there is none."""
    parts = path.split(".")
    below = None
    for setting in settings():
        own = setting.path.split(".")
        if all(a in (b, "KEY") and b for a, b in zip(own, parts, strict=False)):
            if len(own) == len(parts):
                return setting
            if setting.open and len(own) < len(parts) and not _keys_have_settings(setting):
                below = setting
    return below


def is_node(path: str) -> bool:
    """Whether settings lie below `path`, as below `budget` and `policy.categories.O6`."""
    parts = path.split(".")
    return any(
        len(own) > len(parts) and all(a in (b, "KEY") and b for a, b in zip(own, parts, strict=False))
        for own in (setting.path.split(".") for setting in settings())
    )


def below(path: str) -> list[str]:
    """Paths of the settings below `path`."""
    return [s.path for s in settings() if s.path.startswith(f"{path}.")]


def no_such_setting(path: str, *, tuning: bool = False) -> str:
    """One line about a setting that is not there, with those that were probably meant."""
    own = path.partition(".")[0]
    hidden = {"generator"} - {own} if tuning else {"tune", "generator"} - {own}
    known = [setting.path for setting in settings() if setting.path.partition(".")[0] not in hidden]
    meant = [_with_keys_of(path, name) for name in nearest_settings(path, known)]
    group = path.partition(".")[0]
    listing = f"; `python -m curate settings{f' {group}' if group in MODELS else ''}` lists them"
    return f"{path}: there is no such setting{did_you_mean(meant) or listing}"


def _with_keys_of(path: str, name: str) -> str:
    """`name` with the user's own key in the place of KEY, where `path` has one there."""
    return ".".join(
        given if part == "KEY" and name.count(".") == path.count(".") else part
        for part, given in zip_longest(name.split("."), path.split("."))
        if part is not None
    )


def _keys_have_settings(setting: Setting) -> bool:
    """Whether the user's own keys in a mapping lead to settings of ours, as with `policy.categories.KEY.name`."""
    return any(other.path.startswith(f"{setting.path}.KEY.") for other in settings())


def _field(path: str, field: FieldInfo, given: object) -> Iterator[Setting]:
    shown = next((item for item in field.metadata if isinstance(item, Shown)), Shown())
    default = field.get_default() if given is PydanticUndefined else given
    nested = None if shown.kind else _model_in(field.annotation)
    if nested is not None and get_origin(field.annotation) is not dict:
        if default is None:
            yield Setting(path=path, kind="mapping or null", default="null", sentence=_sentence(field))
        yield from of_type(nested, path, default)
        return
    kinds = _kinds(field.annotation, field.metadata)
    choices = tuple(choice for kind in kinds for choice in kind.split(" or ") if _is_choice(field.annotation, choice))
    values = get_args(field.annotation)[1] if get_origin(field.annotation) is dict else field.annotation
    yield Setting(
        path=path,
        kind=shown.kind or _alternatives(kinds),
        default=written_as(default),
        instead=shown.instead,
        sentence=_sentence(field),
        choices=choices,
        open=get_origin(field.annotation) is dict and not shown.kind,
        text=bool({str, Any} & set(_members(values))) or "file" in (shown.kind or ""),
    )
    if nested is not None:
        yield from of_type(nested, f"{path}.KEY")


def _sentence(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _members(annotation: object) -> list[object]:
    """The types that `annotation` allows, without their bounds."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [member for one in get_args(annotation) for member in _members(one)]
    return [annotation]


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The type with settings of its own that `annotation` is, or that its values are."""
    members = get_args(annotation)[1:] if get_origin(annotation) is dict else _members(annotation)
    return next((m for m in members if isinstance(m, type) and issubclass(m, BaseModel)), None)


def _kinds(annotation: object, metadata: Iterable[object] = ()) -> list[str]:
    """The alternatives that a value may be, in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kinds(parts[0], [m for part in parts[1:] for m in getattr(part, "metadata", [part])])
    if origin in (Union, UnionType):
        return [kind for part in parts for kind in _kinds(part)]
    if origin is Literal:
        return [str(part) for part in parts]
    if origin in (list, tuple):
        return ["list of texts"]
    if origin is dict:
        return ["mapping" if _model_in(annotation) or Any in parts else f"mapping to {_alternatives(_kinds(parts[1]))}"]
    if annotation is NoneType:
        return ["null"]
    return [_WORDS.get(annotation, "mapping") + _bounds(metadata)]


def _bounds(metadata: Iterable[object]) -> str:
    return "".join(
        f" {word} {getattr(item, name):g}" for name, word in _BOUNDS for item in metadata if hasattr(item, name)
    )


def _alternatives(kinds: list[str]) -> str:
    return kinds[0] if len(kinds) == 1 else f"{', '.join(kinds[:-1])} or {kinds[-1]}"


def _is_choice(annotation: object, word: str) -> bool:
    members = _members(annotation)
    literals = [str(value) for member in members if get_origin(member) is Literal for value in get_args(member)]
    return word in literals or (bool in members and word in ("true", "false"))
