"""Every decision as a line in a file, where that is asked for. Nothing of an image is in it, nor of a rationale."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from curate.core.errors import InputError
from curate.guard.decision import Decision
from curate.serving.errors import Refused

_FIELDS = ("sha256", "policy", "policy_hash", "status", "rating", "category", "p_unsafe", "p_calibrated", "split")


class AuditLog:
    """Appends; a decision that cannot be recorded is not given.

    Args:
        path: of the file, only for whoever runs the service; None records nothing.

    Raises:
        InputError: it cannot be written.
    """

    def __init__(self, path: str | None) -> None:
        self._file: int | None = None
        if path is None:
            return
        try:
            self._file = os.open(Path(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InputError(f"serve.audit={path}: cannot be written ({error.strerror})") from error

    def record(self, request: str, token: str, decisions: Sequence[Decision]) -> None:
        """A line for each decision.

        Raises:
            Refused: 503, it could not be written.
        """
        if self._file is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        lines = [
            {"time": now, "request": request, "token": token, "blocked": one.blocked}
            | {name: getattr(one, name) for name in _FIELDS}
            for one in decisions
        ]
        data = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
        try:
            written = os.write(self._file, data)
        except OSError as error:
            raise Refused(503, "audit_failed", "the decision could not be recorded", retry_after=5) from error
        if written < len(data):
            raise Refused(503, "audit_failed", "the decision could not be recorded whole", retry_after=5)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
