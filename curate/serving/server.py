"""A service from start to end: it listens at once, is ready once the model has answered, and drains at a signal."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import uvicorn

from curate.console.output import say
from curate.core.errors import EngineDead, InputError
from curate.filtering.calibrating import check_calibration
from curate.guard.decider import Decider
from curate.guard.live_judge import LiveJudge
from curate.processes.interruption import drains
from curate.processes.web_server import WebServer
from curate.runs.fingerprint import Fingerprint
from curate.serving.admission import Admission
from curate.serving.answering import Service
from curate.serving.app import make_app
from curate.serving.audit_log import AuditLog
from curate.serving.auth import read_tokens
from curate.serving.fetching import Fetcher, check_domains
from curate.serving.metrics import ServiceMetrics
from curate.serving.served_policies import ServedPolicies
from curate.settings.run import Settings
from curate.settings.serve import ServeSettings

_ENDS = "the service ends"
_BACKLOG = 2048
_KEEP_ALIVE = 65
"""Seconds; longer than the 60 of usual balancers, which would else send requests into connections that close."""


def make_service(settings: Settings, serve: ServeSettings, fingerprints: Mapping[str, Fingerprint]) -> Service:
    """Everything but the model, checked.

    Raises:
        InputError: whatever can be known to be wrong before the model is loaded.
    """
    policies = list(settings.policies.values())
    check_domains(serve)
    check_calibration(settings.filter, fingerprints, list(fingerprints))
    judge, admission = LiveJudge(settings), Admission(serve)
    metrics = ServiceMetrics(judge.metrics)
    metrics.watch("curate_images_held", "Pictures held, waiting or being judged", lambda: admission.images)
    metrics.watch("curate_bytes_held", "Bytes of requests held", lambda: admission.nbytes)
    metrics.watch("curate_images_in_engine", "Pictures being decoded, rendered or judged", lambda: judge.in_flight)
    return Service(
        settings=settings,
        serve=serve,
        judge=judge,
        decider=Decider(settings.filter, policies, serve.passes),
        policies=ServedPolicies(policies, settings.model, serve),
        tokens=read_tokens(serve),
        admission=admission,
        fetcher=Fetcher(serve, settings.dataset.max_bytes),
        audit=AuditLog(serve.audit),
        metrics=metrics,
    )


async def serve_until_told(service: Service) -> None:
    """Listen, load the model, answer; until a signal, or until the engine cannot be kept alive.

    Raises:
        InputError: the address is taken, or the model cannot be loaded.
        EngineDead: the engine is gone.
    """
    listening, at = _listening(service.serve)
    server = WebServer(_config(service))
    ends = asyncio.get_running_loop().create_task(server.serve(sockets=[listening]))
    try:
        say(f"listening at {at}; loading {service.settings.model.name}")
        await _start(service, ends)
        say(f"ready at {at}")
        await _answer(service, server, ends)
    finally:
        server.should_exit = True
        await asyncio.wait([ends])
        await service.judge.close()
        service.audit.close()
        if service.serve.socket is not None:
            Path(service.serve.socket).unlink(missing_ok=True)
    if service.judge.dead is not None:
        raise EngineDead(service.judge.dead)


async def _start(service: Service, ends: asyncio.Task[None]) -> None:
    first = service.policies.named[0]
    loading = asyncio.create_task(service.judge.start(service.policies.question(first, None)))
    await asyncio.wait({loading, ends}, return_when=asyncio.FIRST_COMPLETED)
    await loading
    service.admission.closed = None


async def _answer(service: Service, server: WebServer, ends: asyncio.Task[None]) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        service.admission.closed = service.admission.closed or _ENDS
        server.should_exit = True

    def stop_from_elsewhere() -> None:
        loop.call_soon_threadsafe(stop)

    service.stops.append(stop_from_elsewhere)
    if service.serve.until_stdin_ends:
        threading.Thread(target=_at_end_of_stdin, args=(stop_from_elsewhere,), daemon=True).start()
    with drains(lambda: f"{service.admission.images} images in flight", stop_from_elsewhere):
        await ends
    service.stops.remove(stop_from_elsewhere)


def _at_end_of_stdin(stop: Callable[[], object]) -> None:
    sys.stdin.buffer.read()
    stop()


def _config(service: Service) -> uvicorn.Config:
    return uvicorn.Config(
        make_app(service),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=int(service.serve.drain_seconds) or 1,
        h11_max_incomplete_event_size=2**16,
    )


def _listening(serve: ServeSettings) -> tuple[socket.socket, str]:
    """A socket that listens, and its URL.

    Raises:
        InputError: the address is taken, or is none of this machine's.
    """
    try:
        if serve.socket is not None:
            return _unix(serve.socket), f"unix:{serve.socket}"
        family, kind, protocol, _, address = socket.getaddrinfo(serve.host, serve.port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        where = serve.socket or f"{serve.host}:{serve.port}"
        raise InputError(f"serve: cannot listen at {where}: {error.strerror or error}") from error
    host = f"[{serve.host}]" if ":" in serve.host else serve.host
    return listening, f"http://{host}:{listening.getsockname()[1]}"


def _unix(path: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(path)
    Path(path).chmod(0o600)
    listening.listen(_BACKLOG)
    return listening
