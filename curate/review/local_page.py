"""The page on which people look at a sample: one picture at a time, on this machine alone.

Each reviewer's verdicts are a file of their own beside tasks.csv, which is whole after every verdict: a reviewer goes
on where they stopped, several can work at once, and `review import` takes the files as they are.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from curate.core.content_policy import HEADER, content_policy
from curate.core.errors import InputError
from curate.core.types import Rating
from curate.processes.web_server import WebServer
from curate.review.exporting import BETWEEN, COLUMNS

_REVIEWER = re.compile(r"[\w][\w .@+-]{0,59}")
_LONGEST = 500
_LOOPBACK = "127.0.0.1"
_SAID = ("rating", "category", "reviewer", "time", "reason")


class Desk:
    """A reviewers' folder as the page sees it.

    Args:
        folder: as `review export` wrote it.
        blur: whether pictures are blurred until they are asked for.

    Raises:
        InputError: it is none.
    """

    def __init__(self, folder: Path, *, blur: bool) -> None:
        self.folder = folder
        self.blur = blur
        try:
            self._tasks = {row["task"]: row for row in _rows(folder / "tasks.csv")}
            self._policy = (folder / "policy.txt").read_text(encoding="utf-8")
            self._categories = json.loads((folder / "categories.json").read_text(encoding="utf-8"))
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{folder}: is no folder that `review export` wrote ({error})") from error
        self._images = {name for row in self._tasks.values() for name in row["images"].split(BETWEEN)}

    def tasks(self, reviewer: str) -> dict[str, Any]:
        """Everything that the page shows to a reviewer, and what they said before."""
        said = self._said(reviewer)
        shown = [
            {"task": name, "images": row["images"].split(BETWEEN), **{k: said.get(name, {}).get(k, "") for k in _SAID}}
            for name, row in self._tasks.items()
        ]
        return {"tasks": shown, "policy": self._policy, "categories": self._categories, "blur": self.blur}

    def image(self, name: str) -> Path | None:
        """A picture of a task; None for every other name."""
        return self.folder / "images" / name if name in self._images else None

    def take(self, verdict: Any) -> None:
        """Keep a verdict, which came as JSON.

        Raises:
            ValueError: it is none; one line.
        """
        if not isinstance(verdict, dict):
            raise ValueError("a verdict is a JSON object")  # noqa: TRY004 - said to whoever sent it, as the others
        fields = {name: str(verdict.get(name) or "")[:_LONGEST] for name in ("task", *_SAID)}
        if fields["task"] not in self._tasks:
            raise ValueError("no such task")
        if fields["rating"] not in set(Rating):
            raise ValueError("a rating is Safe or Unsafe")
        if fields["category"] and fields["category"] not in self._categories:
            raise ValueError("no such category")
        fields["time"] = datetime.now(UTC).isoformat(timespec="seconds")
        said = self._said(fields["reviewer"])
        said[fields["task"]] = fields
        self._keep(fields["reviewer"], said)

    def _said(self, reviewer: str) -> dict[str, dict[str, str]]:
        path = self._file(reviewer)
        return {row["task"]: row for row in _rows(path)} if path.exists() else {}

    def _file(self, reviewer: str) -> Path:
        if not _REVIEWER.fullmatch(reviewer):
            raise ValueError("give your name as reviewer: letters, digits, and . @ + - inside")
        return self.folder / f"verdicts-{reviewer}.csv"

    def _keep(self, reviewer: str, said: Mapping[str, Mapping[str, str]]) -> None:
        out = io.StringIO()
        table = csv.DictWriter(out, COLUMNS, lineterminator="\n", extrasaction="ignore", restval="")
        table.writeheader()
        table.writerows({**self._tasks[name], **said[name]} for name in self._tasks if name in said)
        path = self._file(reviewer)
        scratch = path.with_suffix(".part")
        with scratch.open("w", encoding="utf-8", newline="") as file:
            file.write(out.getvalue())
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)


@cache
def page() -> str:
    """The page."""
    return (files("curate.review") / "page.html").read_text(encoding="utf-8")


def make_app(desk: Desk) -> Starlette:
    """The page and what it asks. Other pages that a browser has open can neither read it nor write to it: their
    requests name another host, or bring no JSON without the browser asking first, which is not answered.
    """

    async def show_page(_: Request) -> Response:
        return HTMLResponse(page(), headers={HEADER: content_policy(page(), img="'self' data:", connect="'self'")})

    async def tasks(request: Request) -> Response:
        return JSONResponse(desk.tasks(request.query_params.get("reviewer", "")))

    async def image(request: Request) -> Response:
        path = desk.image(request.path_params["name"])
        if path is None or not path.is_file():
            return JSONResponse({"error": "no such picture"}, 404)
        return FileResponse(path, media_type="image/webp")

    async def verdicts(request: Request) -> Response:
        if request.headers.get("content-type") != "application/json":
            return JSONResponse({"error": "verdicts are JSON"}, 415)
        desk.take(await request.json())
        return JSONResponse({})

    routes = [
        Route("/", show_page),
        Route("/tasks", _or_400(tasks)),
        Route("/images/{name}", image),
        Route("/verdicts", _or_400(verdicts), methods=["POST"]),
    ]
    local = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False)
    return Starlette(routes=routes, middleware=[local])


def serve(desk: Desk, port: int, ready: Callable[[str], object]) -> None:
    """Serve the page on the loopback address until the program is interrupted; `ready` is told its URL.

    Raises:
        InputError: the port is taken.
    """
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((_LOOPBACK, port))
        except OSError as error:
            raise InputError(f"port={port}: cannot be had ({error.strerror}); give another") from error
        listening.listen()
        config = uvicorn.Config(make_app(desk), lifespan="off", log_config=None, access_log=False, server_header=False)
        ready(f"http://{_LOOPBACK}:{port}/")
        asyncio.run(WebServer(config).serve(sockets=[listening]))  # not `run`, whose loop would hear signals itself


Answer = Callable[[Request], Awaitable[Response]]


def _or_400(answer: Answer) -> Answer:
    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except ValueError as error:
            return JSONResponse({"error": " ".join(str(error).split())[:300]}, 400)

    return answered


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
