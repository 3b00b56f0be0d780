"""`python -m curate COMMAND [arguments]`: finds the command, and turns errors into one line and an exit code."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from curate import __version__
from curate.commands import NAMES
from curate.console import complain, configure, say
from curate.errors import CurateError, ExitCode, InputError
from curate.resources import PACKAGE
from curate.retrying_store import FULL_OR_READ_ONLY, storage_failed


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is one of `ExitCode`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verbose = bool({"-v", "--verbose"} & set(arguments))
    arguments = [a for a in arguments if a not in ("-v", "--verbose")]
    configure(verbose=verbose)
    try:
        return _dispatch(arguments)
    except CurateError as error:
        if verbose:
            raise
        complain(str(error))
        return error.exit_code
    except OSError as error:
        if verbose or error.errno not in FULL_OR_READ_ONLY:
            raise
        failure = storage_failed("write", str(error.filename or "output.dir"), error)
        complain(str(failure))
        return failure.exit_code
    except KeyboardInterrupt:
        complain("interrupted; run the same command again to go on")
        return ExitCode.DRAINED


def _dispatch(arguments: list[str]) -> ExitCode:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        say(*_overview())
        return ExitCode.DONE
    if arguments[0] == "--version":
        say(f"curate {__version__}")
        return ExitCode.DONE
    command, rest = _command(arguments[0]), arguments[1:]
    if {"-h", "--help"} & set(rest):
        say(*_manual(command))
        return ExitCode.DONE
    result: ExitCode = command.main(rest)
    return result


def _command(name: str) -> ModuleType:
    if name not in NAMES:
        raise InputError(f"{name}: there is no such command; choose one of {', '.join(NAMES)}")
    return importlib.import_module(f"curate.commands.{name}")


def _overview() -> list[str]:
    lines = ["python -m curate COMMAND [arguments] [overrides]     (COMMAND --help tells more; -v shows all logs)", ""]
    for name in NAMES:
        said = _constants(name)
        lines += [f"  {name:<10}{said['SUMMARY']}", f"            python -m curate {said['EXAMPLE']}"]
    return lines


def _constants(name: str) -> dict[str, str]:
    """The texts that a command's file assigns to names, read without running it: importing all takes seconds."""
    source = (PACKAGE / "commands" / f"{name}.py").read_text(encoding="utf-8")
    return {
        target.id: node.value.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _manual(command: ModuleType) -> list[str]:
    return [command.SUMMARY, "", (command.__doc__ or "").strip(), "", f"Example: python -m curate {command.EXAMPLE}"]
