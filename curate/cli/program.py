"""`python -m curate COMMAND [arguments]`: finds the command, and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from curate.cli.argument_hints import JOB, as_usual, refuse_flag, refuse_foreign
from curate.cli.command_names import NAMES
from curate.cli.help import manual, overview, taken_by
from curate.cli.inspection import asked_for, info, inspect
from curate.cli.tab_completion import replies
from curate.console.output import complain, configure, say
from curate.console.phases import phase
from curate.core.closest_names import did_you_mean, nearest
from curate.core.errors import CurateError, Drained, ExitCode, InputError
from curate.core.version import __version__
from curate.processes.interruption import said
from curate.storage.retrying_store import FULL_OR_READ_ONLY, storage_failed


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is one of `ExitCode`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verbose = bool({"-v", "--verbose"} & set(arguments))
    arguments = [a for a in arguments if a not in ("-v", "--verbose")]
    configure(verbose=verbose)
    try:
        return _dispatch(arguments)
    except Drained as error:
        if not said():
            complain(str(error))
        return error.exit_code
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
    if arguments[:2] == ["completion", "words"]:  # what the scripts of `completion` call
        say(*replies(arguments[2:]))
        return ExitCode.DONE
    arguments = [as_usual(argument) for argument in arguments]
    if arguments[:1] in ([], ["-h"], ["--help"], ["help"]):
        say(*(manual(arguments[1]) if arguments[1:2] and arguments[1] in NAMES else overview()))
        return ExitCode.DONE
    name, *rest = arguments
    if name == "--version":
        say(f"curate {__version__}")
        return ExitCode.DONE
    if name == "--info":
        say(*info(rest))
        return ExitCode.DONE
    _refuse_no_command(arguments)
    if {"-h", "--help"} & set(rest):
        say(*manual(name))
        return ExitCode.DONE
    if asked_for(rest):
        say(*inspect(name, rest, taken_by(name)))
        return ExitCode.DONE
    refuse_foreign(rest, name, taken_by(name))
    with phase("importing", logged=False):
        command = importlib.import_module(f"curate.cli.commands.{name}")
    result: ExitCode = command.main(rest)
    return result


def _refuse_no_command(arguments: Sequence[str]) -> None:
    name, *rest = arguments
    if name in NAMES:
        return
    if name.partition("=")[0] in ("--cfg", "-c"):
        raise InputError("--cfg: stands behind a command, as in: run +dataset=NAME --cfg job")
    if name.startswith("-"):
        refuse_flag(name, rest, JOB)
    if "=" in name:
        raise InputError(f"{name}: is no command; write one before it, as in: python -m curate run {name}")
    meant = nearest(name, NAMES)
    choose = f"{did_you_mean([meant])}{'' if meant else ';'} choose one of {', '.join(NAMES)}"
    raise InputError(f"{name}: there is no such command{choose}")
