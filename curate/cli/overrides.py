"""Overrides as people type them, made into what Hydra's grammar takes.

A setting may be given whether or not the chosen file lists it, with or without Hydra's `+`; so may a data set. Brace
ranges (`dataset.shards=/data/{00000..00127}.tar`) are quoted, and the repeated `dataset.shards=` that a shell makes of
an unquoted range is gathered into one list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from curate.cli.argument_hints import data_at, is_place, refuse_word
from curate.core.closest_names import did_you_mean, nearest
from curate.core.errors import InputError
from curate.settings.catalogue import is_node, lookup, no_such_setting
from curate.settings.config_groups import GROUPS, group_names, written

# Groups without a default choice, so that one is added to what is there.
_ADDED = ("dataset", "tune", "serve")


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


def prepared(overrides: Sequence[str], *, tuning: bool = False, serving: bool = False) -> list[Override]:
    """`overrides` in their order, shards last; of several choices in a group that Hydra adds, the last.

    Raises:
        InputError: one of them is no override, or of a setting or group that is not there; one line.
    """
    parsed = [_parsed(text, tuning=tuning, serving=serving) for text in gather_shards(overrides)]
    last = {one.key: index for index, one in enumerate(parsed)}
    return [one for index, one in enumerate(parsed) if one.key not in _ADDED or last[one.key] == index]


def gather_shards(overrides: Sequence[str]) -> list[str]:
    """Quote shard patterns for Hydra's grammar and make one list of repeated `dataset.shards=`."""
    shards = [o.partition("=")[2] for o in overrides if key_of(o) == "dataset.shards" and "=" in o]
    others = [o for o in overrides if key_of(o) != "dataset.shards" or "=" not in o]
    if not shards:
        return others
    items = [i for text in shards for i in (_split_list(text) if text[:1] == "[" and text[-1:] == "]" else [text])]
    return [*others, f"dataset.shards=[{','.join(quoted(item) for item in items)}]"]


def quoted(value: str) -> str:
    """`value` as a text in Hydra's grammar."""
    if value[:1] in ("'", '"') and value[-1:] == value[:1]:
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


def _parsed(text: str, *, tuning: bool, serving: bool) -> Override:
    name, equals, value = text.partition("=")
    key = key_of(text)
    if not key or (not equals and not name.startswith("~")):
        refuse_word(text if key else "=")
    one = Override(key, value, deletes=name.startswith("~"))
    if key.partition(".")[0] == "hydra":
        raise InputError(f"{one}: Hydra's own settings change nothing here; a run's folder is set with output.dir=DIR")
    if key in GROUPS and one.deletes:
        raise InputError(f"{one}: is always needed; choose another with {written(key)}NAME")
    if key.partition(".")[0] == "tune" and not tuning:
        raise InputError(f"{one}: belongs to a recipe, which only `tune` takes")
    if key.partition(".")[0] == "serve" and not serving:
        raise InputError(f"{one}: belongs to the moderation service, which only `serve` starts")
    if lookup(key) is None and not is_node(key):
        raise InputError(no_such_setting(key, tuning=tuning))
    return one


def _split_list(text: str) -> list[str]:
    """The items of `[a,b{1,2}]`, split at commas outside braces and quotes."""
    return [item.strip().strip("'\"") for item in re.findall(r"'[^']*'|\"[^\"]*\"|(?:\{[^}]*\}|[^,])+", text[1:-1])]
