"""A stub of an images API, for OpenAI's real client: no model, a picture by prompt and seed, and faults by the prompt.

It stands in for what cannot be run here, and says in `model` that it is one.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from threading import Lock

from tests.support.http_server import serving
from tests.support.jobs import picture

MODEL = "stub-of-an-images-api"


class ImagesApi:
    """What was asked of it, and what it is told to do.

    Attributes:
        requests: bodies of the requests, in the order in which they came.
        keys: the bearer tokens they came with.
        url: base URL, with its version.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, object]] = []
        self.keys: list[str] = []
        self.url = ""
        self._lock = Lock()

    def answer(self, body: dict[str, object], key: str) -> tuple[int, dict[str, object]]:
        """Status and body. A prompt that holds "status N" fails so once, "always status N" each time."""
        prompt = str(body["prompt"])
        with self._lock:
            before = sum(one == body for one in self.requests)
            self.requests.append(body)
            self.keys.append(key)
        if key == "Bearer wrong":
            return 401, _error("no such key", "invalid_request_error", "invalid_api_key")
        status = re.search(r"(always )?status (\d+)", prompt)
        if status and (status[1] or not before):
            return int(status[2]), _error(f"failed with {status[2]}", "server_error", None)
        if "forbidden" in prompt:
            return 400, _error("Your request was rejected by\nthe safety system.", "user_error", "moderation_blocked")
        if "far too long" in prompt:
            return 400, _error("prompt is too long", "invalid_request_error", "string_above_max_length", "prompt")
        if "colour" in body:
            return 400, _error("Unknown parameter: 'colour'.", "invalid_request_error", "unknown_parameter", "colour")
        return 200, {"created": 1, "data": [self._picture(prompt, body)]}

    def _picture(self, prompt: str, body: dict[str, object]) -> dict[str, object]:
        if "as a link" in prompt:
            return {"url": "http://127.0.0.1:1/secret.png"}
        if "no picture" in prompt:
            return {"b64_json": base64.b64encode(b"<html>").decode()}
        image = picture(zlib.crc32(json.dumps(body, sort_keys=True).encode()), kind="PNG")
        return {"b64_json": base64.b64encode(image).decode(), "revised_prompt": f"{prompt}, revised"}


@contextmanager
def images_api() -> Iterator[ImagesApi]:
    """The stub, serving."""
    api = ImagesApi()
    with serving(_Handler, api=api) as url:
        api.url = f"{url}/v1"
        yield api


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: ImagesApi

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = 404, _error("no such path", "invalid_request_error", None)
        if self.path == "/v1/images/generations":
            status, answer = self.api.answer(body, self.headers.get("Authorization", ""))
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


def _error(message: str, kind: str, code: str | None, param: str | None = None) -> dict[str, object]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
