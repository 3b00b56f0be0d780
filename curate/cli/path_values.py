"""Paths as they are typed behind a `=`: any character, in quotes or not, `~` for the home, lists in brackets."""

from __future__ import annotations

import re
from pathlib import Path


def listed(text: str) -> list[str]:
    """The items of `[a,b{1,2}]`, or `text` alone where it is no list: `[x]/0.tar` and `[a]/[b]` are paths."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if depth == 0:
            is_list = text[0] == "[" and place == len(text) - 1
            return _split_list(text) if is_list else [text]
    return [text]


def at_home(value: str) -> str:
    """`value`, in quotes or not, with `~` and `~/` at its start as the home, as a shell has it."""
    quote = value[:1] if value[:1] in ("'", '"') else ""
    bare = value.removeprefix(quote)
    return f"{quote}{Path.home()}{bare[1:]}" if re.match(r"~(?:/|$)", bare.removesuffix(quote)) else value


def unquoted(value: str) -> str:
    """`value` without the quotes around it, as Hydra takes a text."""
    return value[1:-1] if len(value) > 1 and value[0] in ("'", '"') and value[-1] == value[0] else value


def path_of(value: str) -> str:
    """The path that `value` is."""
    return value if Path(value).exists() else unquoted(at_home(value))


def paths_of(value: str) -> list[str]:
    """The paths in `value`: one that is there by just this name, or those between commas, in brackets or not."""
    if Path(value).exists() or (unquoted(value) != value and value[0] not in value[1:-1]):
        return [path_of(value)]
    inside = value[1:-1] if listed(value) != [value] else value
    return [path_of(item) for item in _split_list(f"[{inside}]") if item]


def _split_list(text: str) -> list[str]:
    """The items of `[a,b{1,2}]`, split at commas outside braces and quotes."""
    return [item.strip().strip("'\"") for item in re.findall(r"'[^']*'|\"[^\"]*\"|(?:\{[^}]*\}|[^,])+", text[1:-1])]
