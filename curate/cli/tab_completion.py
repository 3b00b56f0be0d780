"""What can stand where somebody presses TAB, from what commands, groups and settings say of themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from curate.cli.argument_hints import CommandArguments
from curate.cli.command_names import NAMES
from curate.cli.help import taken_by
from curate.settings.config_groups import GROUPS, group_names, written

SHELLS = ("bash", "zsh", "fish")

_FLAGS = ("--help", "--info", "--cfg")


def replies(words: Sequence[str]) -> list[str]:
    """What the last of `words` can become, of the words behind the program's name; none where only files can.

    A shell that splits words at `=` and `:` gets what can become of the last piece alone.
    """
    joined = _joined(words)
    current = joined[-1] if joined else ""
    piece = words[-1] if words and words[-1] not in ("=", ":") else ""
    before = len(current) - len(piece)
    return sorted({word[before:] for word in _candidates(joined[:-1], current) if word.startswith(current)})


def _joined(words: Sequence[str]) -> list[str]:
    joined: list[str] = []
    for index, word in enumerate(words):
        if index and (word in ("=", ":") or words[index - 1] in ("=", ":")):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _candidates(before: Sequence[str], current: str) -> Iterator[str]:
    if not before:
        yield from (*NAMES, "help")
    elif before[0] == "help":
        yield from NAMES
    elif before[-1] == "--cfg":
        yield "job"
    elif current.startswith("-"):
        yield from _FLAGS
    elif before[0] in NAMES:
        yield from _of_command(before, current)


def _of_command(before: Sequence[str], current: str) -> Iterator[str]:
    taken = taken_by(before[0])
    key, equals, _ = current.partition("=")
    if equals:
        yield from (f"{key}={value}" for value in _values(key.lstrip("+"), taken))
        return
    if len(before) == 1:
        yield from (word for word in taken.words if word != "*")
    if before[0] == "settings":
        yield from _places(current)
    yield from (f"{name}=" for name in taken.own)
    plus = "+" if current.startswith("+") else ""
    for group in taken.settings:
        if group in GROUPS:
            yield f"{plus}{group}=" if plus or current else written(group)
    yield from (plus + name for name in _names(current.lstrip("+"), taken.settings))


def _values(key: str, taken: CommandArguments) -> Iterable[str]:
    if key in taken.own:
        return taken.own[key]
    if key in GROUPS or key == "policies":
        return group_names("policy" if key == "policies" else key)
    from curate.settings.catalogue import lookup

    setting = lookup(key)
    return setting.choices if setting else ()


def _names(current: str, groups: Sequence[str]) -> Iterator[str]:
    """Settings up to the next dot behind what is typed; `=` ends those that are complete."""
    from curate.settings.catalogue import settings

    typed = current.split(".")
    for setting in settings():
        parts = setting.path.split(".")
        if parts[0] not in groups:
            continue
        own = [t if p == "KEY" and t else p for p, t in zip_longest(parts, typed[: len(parts)])]
        name = ".".join(own[: len(typed)])
        if "KEY" not in name.split("."):
            yield f"{name}{'.' if len(own) > len(typed) else '='}"
            if setting.open and len(own) == len(typed):
                yield f"{name}."


def _places(current: str) -> Iterator[str]:
    from curate.settings.catalogue import MODELS, settings

    yield from MODELS if "." not in current else (setting.path for setting in settings())
