"""An HTTP server in a thread of the test, on a free port of the loopback interface."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up on a server that misbehaves is right to."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], **fixed: object) -> Iterator[str]:
    """Its address.

    Args:
        handler: of its requests.
        fixed: attributes of the handler for this server.
    """
    server = _Server(("127.0.0.1", 0), type("Handler", (handler,), fixed))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
