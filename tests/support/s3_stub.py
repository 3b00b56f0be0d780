"""The few requests of S3 that a small object takes, by a server that does not know conditional writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from tests.support.http_server import serving


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    answer: int

    def do_PUT(self) -> None:
        body = self._body()
        status = self.answer if self.headers.get("if-none-match") else 200
        if status == 200:
            self.objects[self.path] = body
        self._send(status)

    def do_GET(self) -> None:
        self._send(200 if self.path in self.objects else 404, self.objects.get(self.path, b""))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        keys = re.findall(rb"<Key>.*?</Key>", self._body())
        for key in keys:
            self.objects.pop(f"/bucket/{key.decode()[5:-6]}", None)
        deleted = b"".join(b"<Deleted>%b</Deleted>" % key for key in keys)
        self._send(200, b'<?xml version="1.0"?><DeleteResult>%b</DeleteResult>' % deleted)

    def log_message(self, *_: object) -> None:
        return

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def _send(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Tue, 24 Nov 2026 00:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def unconditional_server(answer: int) -> Iterator[str]:
    """Its address; a write with a condition is answered with `answer`, and done where that is 200."""
    with serving(_Handler, objects={}, answer=answer) as address:
        yield address
