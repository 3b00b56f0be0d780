"""What `--help` shows, read from the commands' files without running them: importing all takes seconds."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache

from curate.cli.argument_hints import JOB, CommandArguments, takes
from curate.cli.command_names import NAMES
from curate.core.package_files import PACKAGE
from curate.settings.config_groups import GROUPS, group_names, written

_EXAMPLES = {
    "output": "output.dir=DIR",
    "budget": "budget.engine=0.02 budget.data=0.5 budget.grace=200",
    "report": "report.write=false report.images=true",
    "policies": "policies=[NAME,NAME]",
    "retry": "retry=[STATUS,STATUS]",
    "extend": "extend=true",
    "reuse": "reuse=DIR",
}


def overview() -> list[str]:
    """The commands, each with its summary and an example."""
    lines = ["python -m curate COMMAND [arguments] [overrides]     (COMMAND --help tells more; -v shows all logs)", ""]
    for name in NAMES:
        said = constants(name)
        lines += [f"  {name:<12}{said['SUMMARY']}", f"              python -m curate {said['EXAMPLE']}"]
    return lines


def manual(name: str) -> list[str]:
    """All about one command: what it does, which arguments and settings it takes, an example."""
    said = constants(name)
    lines = [said["SUMMARY"], "", said["__doc__"].strip(), ""]
    if said.get("ARGUMENTS"):
        lines += ["Arguments:", *(f"  {line}" for line in said["ARGUMENTS"].strip("\n").splitlines()), ""]
    taken = taken_by(name)
    if taken.settings:
        lines += [*_settings(taken), ""]
    return [*lines, f"Example: python -m curate {said['EXAMPLE']}"]


def taken_by(name: str) -> CommandArguments:
    """What a command takes; anything where its file does not say."""
    said = constants(name)
    if not {"ARGUMENTS", "SETTINGS", "WORDS"} & said.keys():
        return CommandArguments(own={}, settings=JOB.settings, words=("*",))
    return takes(said.get("ARGUMENTS", ""), said.get("SETTINGS", ""), said.get("WORDS", ""))


@cache
def constants(name: str) -> Mapping[str, str]:
    """The texts that a command's file assigns to names, and its `__doc__`."""
    module = ast.parse((PACKAGE / "cli" / "commands" / f"{name}.py").read_text(encoding="utf-8"))
    return {"__doc__": ast.get_docstring(module) or ""} | {
        target.id: node.value.value
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _settings(taken: CommandArguments) -> Iterator[str]:
    yield "Settings: GROUP=NAME chooses a file, GROUP.KEY=VALUE changes one; `python -m curate settings` lists them."
    for name in taken.settings:
        yield f"  {written(name)}{' | '.join(group_names(name))}" if name in GROUPS else f"  {_EXAMPLES[name]}"
