"""A proxy before an S3 server that loses requests and answers, cuts bodies, refuses in bursts, and is slow at times.

Requests are passed on as they came, Host included, since S3 requests are signed.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.support.http_server import serving
from tests.support.waiting import HANG_SECONDS

FAULTS = ("lost request", "lost answer", "cut answer", "500 burst", "503 burst", "slow")
_BURST = 4
_SLOW_SECONDS = 0.3


@dataclass
class Weather:
    """Which request meets which fault: by chance, from a seed.

    Attributes:
        share: of requests that a fault begins with.
        met: how often each fault was met.
        requests: how many there were.
    """

    seed: int
    share: float
    met: Counter[str] = field(default_factory=Counter)
    requests: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._lock = threading.Lock()
        self._burst: list[str] = []

    def next(self) -> str | None:
        """The fault of the next request."""
        with self._lock:
            self.requests += 1
            fault = self._burst.pop() if self._burst else self._drawn()
            if fault:
                self.met[fault] += 1
            return fault

    def _drawn(self) -> str | None:
        if self._chance.random() >= self.share:
            return None
        fault = self._chance.choice(FAULTS)
        if fault.endswith("burst"):
            self._burst = [fault] * self._chance.randint(0, _BURST - 1)
        return fault


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream: str
    weather: Weather
    refuse_conditions: bool

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        fault = self.weather.next()
        if self.refuse_conditions and self.headers.get("if-none-match"):
            self._answer(501, [("Content-Length", "0")], b"")
        elif fault == "lost request":
            self.close_connection = True
        elif fault in ("500 burst", "503 burst"):
            self._answer(int(fault[:3]), [("Content-Length", "0")], b"")
        else:
            self._pass_on(body, fault)

    do_PUT = do_POST = do_HEAD = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        return

    def _pass_on(self, body: bytes, fault: str | None) -> None:
        if fault == "slow":
            time.sleep(_SLOW_SECONDS)
        status, headers, answer = self._ask(body)
        if fault == "lost answer":
            self.close_connection = True
            return
        if fault == "cut answer" and len(answer) > 1:
            self._answer(status, headers, answer[: len(answer) // 2])
            self.close_connection = True
            return
        self._answer(status, headers, answer)

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.upstream, timeout=HANG_SECONDS)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            headers = [(n, v) for n, v in answer.getheaders() if n.lower() not in ("transfer-encoding", "connection")]
            data = answer.read()
        finally:
            connection.close()
        if not any(name.lower() == "content-length" for name, _ in headers):
            headers.append(("Content-Length", str(len(data))))
        return answer.status, headers, data

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def proxy(endpoint: str, weather: Weather, *, refuse_conditions: bool = False) -> Iterator[str]:
    """Address of a proxy before `endpoint`; it may refuse conditional writes, as some servers do."""
    upstream = urlsplit(endpoint).netloc
    with serving(_Handler, upstream=upstream, weather=weather, refuse_conditions=refuse_conditions) as address:
        yield address
