"""`output.dir=DIR` among the arguments of commands that go by a run's folder and not by settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from curate.cli.path_values import path_of
from curate.core.errors import InputError

_TRUTH = {"true": True, "false": False}


def split_output_dir(argv: Sequence[str]) -> tuple[Path, list[str]]:
    """`split_run`, for commands whose output is a folder of this machine."""
    place, rest = split_run(argv)
    return Path(place), rest


def split_run(argv: Sequence[str]) -> tuple[str, list[str]]:
    """The folder or URL named by `output.dir=DIR`, and the other arguments.

    Raises:
        InputError: there is no such argument.
    """
    places = [a.partition("=")[2] for a in argv if _names_it(a)]
    if not places or not places[-1]:
        raise InputError("output.dir: none was given; name the run's folder with output.dir=DIR")
    return path_of(places[-1]), [a for a in argv if not _names_it(a)]


def only_flag(arguments: Sequence[str], command: str, name: str, *, default: bool) -> bool:
    """`name=true` or `name=false` of a command that takes nothing else beside the folder; the last one counts.

    Raises:
        InputError: there is another argument, or it is neither.
    """
    value = default
    for argument in arguments:
        key, _, text = argument.partition("=")
        if key != name or text.lower() not in _TRUTH:
            raise InputError(f"{argument}: `{command}` takes output.dir=DIR and {name}=true or {name}=false")
        value = _TRUTH[text.lower()]
    return value


def _names_it(argument: str) -> bool:
    return argument.lstrip("+").startswith("output.dir=")
