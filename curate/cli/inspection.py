"""`--info` and `--cfg job`: what a command would run with, without running it, as Hydra's users ask for it."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import yaml

from curate.cli.argument_hints import CommandArguments, refuse_foreign
from curate.core.errors import InputError
from curate.core.package_files import conf_dir
from curate.core.version import __version__
from curate.settings.config_groups import GROUPS, brought_by_model, default_names, group_names, written

_FLAGS = ("--cfg", "-c", "--info", "-i")


def asked_for(arguments: Sequence[str]) -> str | None:
    """The one of these two that is among the arguments of a command; None where none is."""
    names = [argument.partition("=")[0] for argument in arguments]
    return next((_FLAGS[_FLAGS.index(name) // 2 * 2] for name in names if name in _FLAGS), None)


def inspect(command: str, arguments: Sequence[str], taken: CommandArguments) -> list[str]:
    """The lines that the flag among the arguments asks for.

    Raises:
        InputError: there is nothing to print for this command, or an argument is wrong.
    """
    flag = asked_for(arguments)
    what, others = _without_flag(arguments)
    if flag == "--info":
        return list(info(others))
    if what != "job":
        raise InputError(f"--cfg {what}: there is --cfg job alone, which prints the configuration of the run")
    if "model" not in taken.settings:
        why = "goes by the rules in the folder's run.yaml" if taken.settings else "has no configuration to print"
        raise InputError(f"--cfg: `{command}` {why}; add it to a command that takes a model, such as run")
    if "*" in taken.words:  # pictures
        others = [a for a in others if "=" in a or not (a == "-" or Path(a).exists())]
    refuse_foreign(others, command, taken)
    return _configuration(command, others, taken)


def info(arguments: Sequence[str]) -> Iterator[str]:
    """Versions, where the configuration lies, and what is chosen in each group."""
    given = {name.lstrip("+"): value for name, _, value in (argument.partition("=") for argument in arguments)}
    model = given.get("model", default_names()["model"])
    chosen = {**default_names(), **brought_by_model(model), **given}
    yield f"curate {__version__}, Hydra {version('hydra-core')}, Python {platform.python_version()}"
    yield f"configuration in {conf_dir()}"
    for group in GROUPS:
        others = ", ".join(group_names(group))
        yield f"  {group:<10}{written(group)}{chosen.get(group, 'NAME')}    ({others})"


def _configuration(command: str, arguments: Sequence[str], taken: CommandArguments) -> list[str]:
    from curate.cli.hydra_config import composed
    from curate.settings.secrets import masked_fields

    overrides = [a for a in arguments if "=" not in a or not _root(a) & set(taken.own) or a.startswith("output.dir=")]
    words = [a for a in overrides if a in taken.words]
    tuning = command == "tune" and "data" not in words
    given = [a for a in overrides if a not in words]
    of_command = {"tuning": tuning, "serving": command == "serve", "auditing": command == "audit"}
    plain = composed(given, taken.settings, **of_command)
    return (
        yaml.safe_dump(masked_fields(plain), sort_keys=False, allow_unicode=True, width=120).rstrip("\n").splitlines()
    )


def _root(argument: str) -> set[str]:
    """The name of an argument, and what stands before its first dot: `teacher.path` belongs to `teacher`."""
    name = argument.partition("=")[0]
    return {name, name.partition(".")[0]}


def _without_flag(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """What stands behind the flag, and the other arguments."""
    arguments = [argument for argument in arguments if argument != "--resolve"]  # what is printed always is
    place = next(i for i, argument in enumerate(arguments) if argument.partition("=")[0] in _FLAGS)
    before, (flag, *after) = list(arguments[:place]), arguments[place:]
    _, equals, value = flag.partition("=")
    if equals:
        return value, before + after
    if after and "=" not in after[0]:
        return after[0], before + after[1:]
    return "" if flag in ("--info", "-i") else "job", before + after
