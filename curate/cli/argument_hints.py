"""Arguments that are written as other tools want them: each gets one line that says how it is written here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from curate.cli.path_values import at_home
from curate.core.closest_names import did_you_mean, nearest, nearest_settings
from curate.core.errors import InputError
from curate.settings.config_groups import GROUPS, group_names, written

_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
_FILES = (".zip", ".arrow", ".feather", ".csv", ".tsv", ".jsonl", ".ndjson")
_HUB_NAME = re.compile(r"[\w-]+/[\w.-]+")
_FLAG = re.compile(r"--?([A-Za-z][\w.-]*)(?:=(.*))?", re.DOTALL)

# Hydra's flags that mean nothing to a program that runs one job at a time from one configuration.
_HYDRAS: dict[str, str] = {
    "hydra-help": "of Hydra's flags --help, --info and --cfg job are taken; `python -m curate settings` tells the rest",
    "multirun": "one command does one run; call it once for each value",
    "m": "one command does one run; call it once for each value",
    "run": "a command runs by itself; leave it out",
    "r": "a command runs by itself; leave it out",
    "config-dir": "give a file of your own to its group instead, as in model=./mine.yaml",
    "config-path": "give a file of your own to its group instead, as in model=./mine.yaml",
    "config-name": "give a file of your own to its group instead, as in model=./mine.yaml",
    "cd": "give a file of your own to its group instead, as in model=./mine.yaml",
    "cp": "give a file of your own to its group instead, as in model=./mine.yaml",
    "cn": "give a file of your own to its group instead, as in model=./mine.yaml",
    "package": "--cfg job prints the whole configuration; leave it out",
    "p": "--cfg job prints the whole configuration; leave it out",
    "resolve": "belongs behind --cfg job, which prints the configuration, resolved",
    "shell-completion": 'write eval "$(python -m curate completion bash)", or zsh or fish',
    "sc": 'write eval "$(python -m curate completion bash)", or zsh or fish',
    "experimental-rerun": "run the same command again to go on",
}


_SYNONYMS = {"data": "dataset.shards", "input": "dataset.shards", "o": "output.dir", "out": "output.dir"}

_ELSE = "is no argument; arguments are written NAME=VALUE here, and `python -m curate settings` lists them"


_ALL = "dataset model policy engine filter job output budget report policies retry extend reuse"


@dataclass(frozen=True, slots=True)
class CommandArguments:
    """What a command takes.

    Attributes:
        own: its own arguments by name, with the values they can have where these are few.
        settings: the first parts of the settings it takes.
        words: those that stand without "="; "*" is any.
    """

    own: Mapping[str, tuple[str, ...]]
    settings: tuple[str, ...]
    words: tuple[str, ...] = ()


JOB = CommandArguments(own={}, settings=tuple(_ALL.split()))
"""What every command takes that judges."""


def takes(listing: str, settings: str, words: str = "") -> CommandArguments:
    """What a command takes by its texts.

    Args:
        listing: its ARGUMENTS, with NAME=VALUE at the start of each line that does not go on from another.
        settings: its SETTINGS, the first parts of their names, or "all".
        words: its WORDS, which stand without "=", or "*" for any.
    """
    pairs = re.findall(r"^([\w.]+)=(\S*)", listing, re.MULTILINE)
    return CommandArguments(
        own={name: tuple(value.split("|")) if "|" in value else () for name, value in pairs},
        settings=JOB.settings if settings == "all" else tuple(settings.split()),
        words=tuple(words.split()),
    )


def as_usual(argument: str) -> str:
    """`argument` without Hydra's `+`, which settings do not need, and with `~` at the start of its value as the home.

    A shell leaves that as it is behind a `=`.
    """
    name, equals, value = argument.partition("=")
    if not equals:
        return argument
    plain = name if name.lstrip("+") in GROUPS else name.lstrip("+")
    return f"{plain}={at_home(value)}"


def refuse_foreign(arguments: Sequence[str], command: str, taken: CommandArguments) -> None:
    """Refuse the first argument that is written as another tool would have it, or that `command` has no use for.

    Raises:
        InputError: there is one; one line says how it is written here.
    """
    for index, argument in enumerate(arguments):
        name, equals, _ = argument.partition("=")
        following = arguments[index + 1 : index + 3]
        if argument.startswith("-") and not (argument == "-" and "*" in taken.words):
            refuse_flag(argument, following, taken)
        if following[:1] == ["="]:
            raise InputError(f"{argument}: is written {''.join((argument, *following))} here, without spaces")
        if not equals and argument[:1] != "~" and argument not in taken.words and "*" not in taken.words:
            refuse_word(argument, taken)
        if equals and not _is_own(name.lstrip("+~"), taken):
            _refuse_stranger(argument, command, taken)


def _is_own(name: str, taken: CommandArguments) -> bool:
    """Whether an argument is the command's: by its name, what stands before its first dot, or as one of its `KEY`s."""
    keyed = any(own.endswith(".KEY") and name.startswith(own.removesuffix("KEY")) for own in taken.own)
    return keyed or name in taken.own or name.partition(".")[0] in taken.own


def _refuse_stranger(argument: str, command: str, taken: CommandArguments) -> None:
    """Refuse an argument that is neither a setting nor one of the command's own."""
    name = argument.partition("=")[0]
    near = nearest(name, taken.own)
    if not taken.settings:
        listed = ", ".join(f"{one}=" for one in taken.own) or "no such arguments"
        raise InputError(f"{argument}: `{command}` takes {listed}{did_you_mean([near and f'{near}='])}")
    if near and name[:1] not in "+~" and name not in GROUPS and not _is_setting(name):
        raise InputError(f"{argument}: there is no such argument{did_you_mean([f'{near}='])}")


def refuse_flag(flag: str, following: Sequence[str], taken: CommandArguments) -> NoReturn:
    """Refuse `--flag`, `--flag=value` or `--flag value`, whose value is then the first of `following`.

    Raises:
        InputError: always.
    """
    parts = _FLAG.fullmatch(flag)
    if parts is None:
        raise InputError(f"{flag}: {_ELSE}")
    if parts[1] in _HYDRAS:
        raise InputError(f"{flag}: {_HYDRAS[parts[1]]}")
    value = parts[2] if parts[2] is not None else "".join(v for v in following[:1] if "=" not in v and v[:1] != "-")
    said = flag if parts[2] is not None or not value else f"{flag} {value}"
    raise InputError(f"{said}: {_as_written(parts[1], value, taken)}")


def refuse_word(word: str, taken: CommandArguments = JOB) -> NoReturn:
    """Refuse a word that has no `=`, with what it was probably meant to be.

    Raises:
        InputError: always.
    """
    raise InputError(f"{word}: {_meaning(word, taken)}")


def _meaning(word: str, taken: CommandArguments) -> str:
    if word.strip("=+~ ") == "":
        return "is no argument; write NAME=VALUE without spaces around ="
    group = next((g for g in taken.settings if g in GROUPS and word in group_names(g)), None)
    if group:
        return f"is written {written(group)}{word} here"
    if word in GROUPS and word in taken.settings:
        return f"choose one with {written(word)}NAME, one of {', '.join(group_names(word))}"
    if word in taken.own or (taken.settings and _is_setting(word)):
        return f"has no value; write {word}=VALUE"
    return _meaning_of_path(word, taken)


def _meaning_of_path(word: str, taken: CommandArguments) -> str:
    if "predictions" in taken.own:
        return f"is written predictions={word} or gold={word} here"
    if _is_run(word) or "dataset" not in taken.settings:
        return f"a run's folder is written output.dir={word} here"
    if is_place(word):
        return data_at(word)
    return _ELSE


def _as_written(flag: str, value: str, taken: CommandArguments) -> str:
    """How what `--flag value` asks for is written here."""
    name = flag.replace("-", "_")
    found = _SYNONYMS.get(name)
    of_data = "dataset" in taken.settings and name not in taken.own and (found or name) in ("dataset", "dataset.shards")
    if of_data and is_place(value):
        return data_at(value)
    if name in taken.own:
        return f"is written {name}={value or next(iter(taken.own[name]), 'VALUE')} here"
    if name in GROUPS and name in taken.settings:
        return f"is written {written(name)}{value or 'NAME'} here"
    found = found or next(iter(_near_settings(name)), None)
    if found is None or (found not in taken.own and found.partition(".")[0] not in taken.settings):
        found = nearest(name, taken.own)
    return f"is written {found}={value or 'VALUE'} here" if found else _ELSE


def is_place(word: str) -> bool:
    """Whether `word` is rather where something lies than what it is called."""
    return "/" in word or Path(word).suffix in (".tar", ".parquet", *_FILES) or (bool(word) and Path(word).exists())


def data_at(place: str) -> str:
    """How the data at `place` are given."""
    if Path(place).suffix.lower() in _PICTURES:
        return f"data are given as a folder or as shards; single pictures are judged by: python -m curate judge {place}"
    return f"data are given as +dataset={_preset(place)} dataset.shards={place}"


def _is_run(word: str) -> bool:
    return (Path(word) / "run.yaml").is_file()


def _preset(word: str) -> str:
    if ".parquet" in word:
        return "parquet"
    path = Path(word)
    if _HUB_NAME.fullmatch(word) and path.suffix != ".tar" and not path.exists():
        return "hf_dataset"
    if path.suffix.lower() in _FILES:
        return "files"
    images = path.is_dir() and not any(path.glob("*.tar")) and not any(path.glob("*.parquet"))
    if images and (any(path.glob("*.arrow")) or any(path.glob("*/*.arrow"))):
        return "files"
    return "folder" if images else "webdataset"


def _is_setting(name: str) -> bool:
    from curate.settings.catalogue import lookup

    return lookup(name) is not None


def _near_settings(name: str) -> list[str]:
    from curate.settings.catalogue import settings

    return nearest_settings(name, [s.path for s in settings() if not s.path.startswith(("tune.", "generator."))])
