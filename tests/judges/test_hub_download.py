"""What is said while a model comes from the hub, with the hub's own client and a small hub of our own."""

from __future__ import annotations

import json
import re
import sys
import time
from http.server import BaseHTTPRequestHandler

import pytest

from tests.support.http_server import serving
from tests.support.terminals import plain, shown

pytestmark = pytest.mark.slow

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {"config.json": b"{}", "model.safetensors": bytes(25_000_000)}
PIECE = 5_000_000
FETCH = """
from curate.console import phases
phases.UNSAID_SECONDS, phases.SHOW_SECONDS = 0.05, 0.05
from curate.judges.checkpoints import _from_hub
print(_from_hub("some/model", None).name)
"""


class Hub(BaseHTTPRequestHandler):
    """One model, whose weights come slowly."""

    def do_HEAD(self) -> None:
        self._answer(*self._found(), body=False)

    def do_GET(self) -> None:
        self._answer(*self._found(), body=True)

    def log_message(self, *_: object) -> None:
        """Said to nobody."""

    def _found(self) -> tuple[bytes, str]:
        name = self.path.partition("?")[0].rpartition("/")[2]
        if not self.path.startswith("/api/"):
            return FILES[name], name
        entries = [{"type": "file", "path": n, "size": len(data), "oid": "a" * 40} for n, data in FILES.items()]
        model = {"id": "some/model", "sha": COMMIT, "siblings": [{"rfilename": n} for n in FILES]}
        return json.dumps(entries if "/tree/" in self.path else model).encode(), name

    def _answer(self, data: bytes, name: str, *, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{name}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        for start in range(0, len(data) if body else 0, PIECE):
            self.wfile.write(data[start : start + PIECE])
            time.sleep(0.2 if len(data) > PIECE else 0)


def test_bytes_are_counted_while_weights_come(tmp_path):
    with serving(Hub) as address:
        hub = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        text = shown([sys.executable, "-c", FETCH], **hub, HF_HUB_DISABLE_XET="1", no_proxy="127.0.0.1")
    assert re.search(r"fetching some/model from the hub, [1-9][\d.]* MB of 25\.0 MB \.\.\. ", text)
    assert plain(text) == f"{COMMIT}\n"
    assert "Downloading" not in text
