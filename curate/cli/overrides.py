"""Overrides as people type them, made into what Hydra's grammar takes.

A setting may be given whether or not the chosen file lists it, with or without Hydra's `+`; so may a data set. Brace
ranges (`dataset.shards=/data/{00000..00127}.tar`) are quoted, and the repeated `dataset.shards=` that a shell makes of
an unquoted range is gathered into one list. A path may hold any character, whatever it means in Hydra's grammar.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from curate.cli.argument_hints import data_at, is_place, refuse_word
from curate.cli.path_values import at_home, listed, unquoted
from curate.core.closest_names import did_you_mean, nearest
from curate.core.errors import InputError
from curate.settings.catalogue import is_node, lookup, no_such_setting
from curate.settings.config_groups import GROUPS, group_names, written

# Groups without a default choice, so that one is added to what is there.
_ADDED = ("dataset", "tune", "serve", "generator")
_LISTS_OF_PATHS = ("policies", "dataset.shards", "reuse")

MOVED = "dataset.moved"
"""Its value maps paths and URLs, whose colons Hydra's grammar does not take."""

_PLACE = r"'[^']+'|\"[^\"]+\""
# The colon of a scheme has slashes behind it.
_PAIR = re.compile(
    rf"\s*({_PLACE}|(?:[^\s,:'\"]|:(?=//)|\s(?![\s:]))+)\s*:\s*({_PLACE}|[^\s,'\"](?:[^,]*[^\s,])?)\s*(?:,|$)"
)


@dataclass(frozen=True, slots=True)
class Override:
    """One override: `key=value`, or `~key` to delete, which has no value."""

    key: str
    value: str
    deletes: bool = False

    def __str__(self) -> str:
        """As somebody may have typed it."""
        return f"~{self.key}" if self.deletes else f"{self.key}={self.value}"

    @property
    def for_hydra(self) -> str:
        """As Hydra takes it."""
        if self.deletes:
            return str(self)
        if self.key in GROUPS:
            return f"{'+' if self.key in _ADDED else ''}{self}"
        return f"++{self}"


def key_of(override: str) -> str:
    """The setting or group that `override` is about."""
    return override.partition("=")[0].lstrip("+~")


def prepared(
    overrides: Sequence[str], *, tuning: bool = False, serving: bool = False, auditing: bool = False
) -> list[Override]:
    """`overrides` in their order, shards last; of several choices in a group that Hydra adds, the last.

    Raises:
        InputError: one of them is no override, or of a setting or group that is not there; one line.
    """
    parsed = [_parsed(text, tuning=tuning, serving=serving, auditing=auditing) for text in gather_paths(overrides)]
    last = {one.key: index for index, one in enumerate(parsed)}
    return [one for index, one in enumerate(parsed) if one.key not in _ADDED or last[one.key] == index]


def gather_paths(overrides: Sequence[str]) -> list[str]:
    """Quote lists of paths for Hydra's grammar, and make one of a setting that is repeated; they come last."""
    others = [o for o in overrides if not _holds_paths(o)]
    gathered = []
    for key in _LISTS_OF_PATHS:
        given = [o.partition("=")[2] for o in overrides if _holds_paths(o) and key_of(o) == key]
        items = [at_home(item) for text in given for item in listed(text)]
        if given:
            gathered.append(f"{key}=[{','.join(quoted(item) for item in items)}]")
    return [*others, *gathered]


def _holds_paths(override: str) -> bool:
    _, equals, value = override.partition("=")
    return key_of(override) in _LISTS_OF_PATHS and bool(equals) and value != "null"


def pairs(override: Override) -> dict[str, str]:
    """The mapping `{old: new, ...}` of paths or URLs in an override.

    Raises:
        InputError: it is none.
    """
    text = override.value.strip()
    inside = text[1:-1] if text[:1] == "{" and text[-1:] == "}" else text
    found = {}
    while inside.strip():
        item = _PAIR.match(inside)
        if item is None:
            raise InputError(f"{override}: cannot be read; {override.key} takes '{{/old/folder: /new/folder}}'")
        old, new = (place.strip().strip("'\"") for place in item.groups())
        found[old] = new
        inside = inside[item.end() :]
    return found


def quoted(value: str) -> str:
    """`value` as a text in Hydra's grammar."""
    if unquoted(value) != value:
        return value
    # There a backslash stands for itself, but for those before a quote.
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"'{escaped}'"


def no_such_choice(group: str, name: str) -> str:
    """One line about a name that `group` has no file for."""
    if group == "dataset" and is_place(name):
        return f"{written(group)}{name}: is no name; {data_at(name)}"
    names = group_names(group)
    meant = nearest(name, names)
    return (
        f"{written(group)}{name}: there is no such {group}{did_you_mean([meant])}{'' if meant else ';'} "
        f"choose one of {', '.join(names)}, or a YAML file"
    )


def _parsed(text: str, *, tuning: bool, serving: bool, auditing: bool) -> Override:
    name, equals, value = text.partition("=")
    key = key_of(text)
    if not key or (not equals and not name.startswith("~")):
        refuse_word(text if key else "=")
    one = Override(key, value, deletes=name.startswith("~"))
    if re.split(r"[./]", key)[0] == "hydra":
        raise InputError(f"{one}: Hydra's own settings change nothing here; a run's folder is set with output.dir=DIR")
    if key in GROUPS and one.deletes:
        raise InputError(f"{one}: is always needed; choose another with {written(key)}NAME")
    if key.partition(".")[0] == "tune" and not tuning:
        raise InputError(f"{one}: belongs to a recipe, which only `tune` takes")
    if key.partition(".")[0] == "serve" and not serving:
        raise InputError(f"{one}: belongs to the moderation service, which only `serve` starts")
    if key.partition(".")[0] == "generator" and not auditing:
        raise InputError(f"{one}: belongs to a generator, which only `audit` looks at")
    if lookup(key) is None and not is_node(key):
        raise InputError(no_such_setting(key, tuning=tuning))
    return one
