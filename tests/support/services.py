"""A service in a thread of this process, with the fake engine, on a port of its own; as a program it is tested too."""

from __future__ import annotations

import asyncio
import base64
import io
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import httpx
from PIL import Image

from curate.cli.hydra_config import compose_serve
from curate.serving.answering import Service
from curate.serving.server import make_service, serve_until_told
from curate.settings.run import Settings
from curate.settings.serve import ServeSettings
from tests.support.waiting import HANG_SECONDS, wait_until


def until_ready(process: subprocess.Popen[Any], url: str) -> None:
    """Wait until a service that runs as a program answers requests."""

    def ready() -> bool:
        try:
            return httpx.get(f"{url}/ready").status_code == 200
        except httpx.TransportError:
            return False

    wait_until(ready, "the service is not ready", alive=process)


@cache
def _composed(overrides: tuple[str, ...]) -> tuple[Settings, ServeSettings]:
    settings, serve = compose_serve(["engine=fake", "engine.workers=0", *overrides])
    model = settings.model.model_copy(update={"dtype": "float32"})
    return settings.model_copy(update={"model": model}), serve


def composed(*overrides: str, fake: Mapping[str, Any] | None = None, **serve: Any) -> tuple[Settings, ServeSettings]:
    """Settings of a service; `fake` are the engine's arguments, `serve` those of the group."""
    settings, group = _composed(overrides)
    engine = settings.engine.model_copy(update={"args": dict(fake or {})})
    return settings.model_copy(update={"engine": engine}), ServeSettings(**(group.model_dump() | serve))


class Running:
    """A service that answers.

    Attributes:
        url: without a path.
        client: of httpx, that asks it.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.url = f"http://127.0.0.1:{service.serve.port}"
        self.client = httpx.Client(base_url=self.url, timeout=HANG_SECONDS)
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            asyncio.run(serve_until_told(self.service))
        except BaseException as error:  # noqa: BLE001 - whoever waits for the end looks at it
            self.error = error

    def wait_until(self, path: str, status: int) -> httpx.Response:
        """The answer at `path`, once it has this status."""
        until = time.monotonic() + HANG_SECONDS
        while time.monotonic() < until and self._thread.is_alive():
            try:
                response = self.client.get(path)
                if response.status_code == status:
                    return response
            except httpx.TransportError:
                pass
            time.sleep(0.01)
        raise AssertionError(f"{path} never had status {status}: {self.error!r}")

    def stop(self) -> None:
        for stop in self.service.stops:
            stop()
        self.join()

    def join(self) -> None:
        self._thread.join(HANG_SECONDS)
        assert not self._thread.is_alive()

    def judge(self, image: bytes, **fields: Any) -> httpx.Response:
        return self.client.post("/v1/judge", json={"image": data_url(image), **fields})

    def moderate(self, *images: bytes, **fields: Any) -> httpx.Response:
        return self.client.post("/v1/moderations", json={"input": [part(image) for image in images], **fields})


@contextmanager
def serving(
    *overrides: str, ready: bool = True, fake: Mapping[str, Any] | None = None, **serve: Any
) -> Iterator[Running]:
    """A service while this lasts."""
    settings, group = composed(*overrides, fake=fake, **({"log": False, "port": free_port()} | serve))
    running = Running(make_service(settings, group, {}))
    try:
        if ready:
            running.wait_until("/ready", 200)
        yield running
    finally:
        running.stop()
        running.client.close()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def png(seed: int, size: tuple[int, int] = (32, 32)) -> bytes:
    """A picture of one colour; each seed another, and so another verdict of the fake engine."""
    out = io.BytesIO()
    Image.new("RGB", size, (seed % 256, seed // 256 % 256, 7)).save(out, "PNG")
    return out.getvalue()


def gif(frames: int = 5) -> bytes:
    """An animation, of which not all frames are judged."""
    out = io.BytesIO()
    pictures = [Image.new("RGB", (16, 16), (40 * n, 0, 0)) for n in range(frames)]
    pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:])
    return out.getvalue()


def data_url(image: bytes, media: str = "image/png") -> str:
    return f"data:{media};base64,{base64.b64encode(image).decode()}"


def part(image: bytes) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url(image)}}
