"""Around every request: an id, one line of JSON, the time it took, and an answer in our shape whatever happens.

Plain ASGI and no middleware of the framework's: those wrap what tells that a client hung up.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import uuid
from typing import TextIO

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from curate.serving.metrics import ServiceMetrics

logger = logging.getLogger(__name__)

GONE = 499
"""Stands in for the status of a request whose client hung up."""

OTHER = "other"


class RequestLog:
    """Wraps an application.

    Args:
        app: what answers.
        metrics: what counts.
        endpoints: paths that are counted by themselves.
        out: where lines go; None writes none.
    """

    def __init__(self, app: ASGIApp, metrics: ServiceMetrics, endpoints: frozenset[str], out: TextIO | None) -> None:
        self._app = app
        self._metrics = metrics
        self._endpoints = endpoints
        self._out = out

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI applications are called."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, started, status = uuid.uuid4().hex, time.perf_counter(), GONE
        scope["curate.request"] = request_id

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_HEADERS, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            logger.exception("request %s failed", request_id)  # it is answered already
        finally:
            seconds = time.perf_counter() - started
            path = scope["path"] if scope["path"] in self._endpoints else OTHER
            self._metrics.answered(path, status, seconds)
            self._write(scope, request_id, path, status, seconds)

    def _write(self, scope: Scope, request_id: str, path: str, status: int, seconds: float) -> None:
        if self._out is None:
            return
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "request": request_id,
            "method": scope["method"],
            "endpoint": path,
            "status": status,
            "seconds": round(seconds, 4),
            "token": scope.get("curate.token"),
            "code": scope.get("curate.code"),
        }
        self._out.write(f"{json.dumps(line)}\n")
        self._out.flush()


_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
]


def log_stream(*, wanted: bool) -> TextIO | None:
    """Where lines go."""
    return sys.stderr if wanted else None
