"""The names of the commands."""

from __future__ import annotations

NAMES = (
    "run",
    "judge",
    "serve",
    "audit",
    "plan",
    "annotate",
    "filter",
    "status",
    "verify",
    "report",
    "compact",
    "submit",
    "evaluate",
    "review",
    "tune",
    "policy",
    "settings",
    "completion",
)
"""In the order of `--help`; the file of the same name is imported only when the command is called."""
