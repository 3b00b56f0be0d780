"""Errors a person meets, each with the exit code it ends the process with.

`InputError` is for what the user can mend: one line that says what, where and how.
Anything that is not a `CurateError` is a defect of ours and ends with exit code 1.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The process exit codes; they are part of the contract with schedulers."""

    DONE = 0
    INTERNAL = 1
    INPUT = 2
    BUDGET = 3
    VIOLATION = 4
    DRAINED = 75


class CurateError(Exception):
    """Base of all errors that are shown as one line, without a traceback."""

    exit_code: ExitCode = ExitCode.INTERNAL


class InputError(CurateError, ValueError):
    """The user's input or configuration: the message says what, where and how to mend it."""

    exit_code = ExitCode.INPUT


class BudgetExceeded(CurateError):
    """More failures than the run's declared budget allows; names the most common reason."""

    exit_code = ExitCode.BUDGET


class Drained(CurateError):
    """Stopped on request before the end; start again to go on."""

    exit_code = ExitCode.DRAINED


class LawViolation(CurateError):
    """`verify` found a law broken."""

    exit_code = ExitCode.VIOLATION


class ShardUnreadable(CurateError):
    """A shard cannot be opened, vanished, or is not the one that was planned. A later run tries again."""

    exit_code = ExitCode.INPUT


class StorageFailed(CurateError):
    """The storage refuses (full, read-only, forbidden) or stays away for long; what is checkpointed stays."""

    exit_code = ExitCode.INPUT


class RequestRejected(CurateError):
    """The engine refuses this one request (too long, unusable image) and lives on."""


class InvalidOutput(CurateError):
    """The engine's answer does not parse or names what the policy does not have."""


class InputQuarantined(CurateError):
    """An input that kills the engine: it is given up, and nothing else with it."""


class EngineDead(CurateError):
    """The engine is gone or does not answer; nothing more will come from it."""
