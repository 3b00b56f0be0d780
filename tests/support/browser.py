"""A real Chromium without a window, driven by its own driver over WebDriver's HTTP."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx

from tests.support.services import free_port
from tests.support.waiting import HANG_SECONDS, wait_until

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
TAB, ENTER, SPACE, SHIFT = "\ue004", "\ue007", " ", "\ue008"


def missing() -> str | None:
    """Why there is no browser here; None where there is one."""
    programs = ("chromium", "chromedriver")
    absent = [name for name in programs if shutil.which(name) is None]
    return f"no {' and no '.join(absent)} on the PATH (apt-get install chromium chromium-driver)" if absent else None


class Browser:
    """One window. Elements are found by CSS."""

    def __init__(self, client: httpx.Client, session: str) -> None:
        self._client = client
        self._session = session

    def call(self, method: str, path: str, **fields: Any) -> Any:
        body = {"json": fields} if method == "POST" else {}
        response = self._client.request(method, f"/session/{self._session}{path}", **body)
        assert response.status_code == 200, response.text
        return response.json()["value"]

    def open(self, url: str, size: tuple[int, int] = (1100, 900)) -> None:
        self.call("POST", "/window/rect", width=size[0], height=size[1])
        self.call("POST", "/url", url=url)

    def find(self, css: str) -> str:
        wait_until(lambda: self.all(css), f"there is no {css}")
        return self.all(css)[0]

    def all(self, css: str) -> Sequence[str]:
        return [one[_ELEMENT] for one in self.call("POST", "/elements", using="css selector", value=css)]

    def text(self, css: str) -> str:
        return str(self.call("GET", f"/element/{self.find(css)}/text"))

    def wait_for(self, css: str, pattern: str) -> str:
        found: list[str] = []

        def met() -> bool:
            found[:] = [str(self.run(f"return document.querySelector({css!r})?.innerText ?? ''"))]
            return re.search(pattern, found[0]) is not None

        wait_until(met, f"{css} never said {pattern}")
        return found[0]

    def type(self, css: str, text: str) -> None:
        self.call("POST", f"/element/{self.find(css)}/value", text=text)

    def click(self, css: str) -> None:
        self.call("POST", f"/element/{self.find(css)}/click")

    def press(self, *keys: str) -> None:
        """Keys, wherever the focus is."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.call("POST", "/actions", actions=[{"type": "key", "id": "keys", "actions": actions}])

    def run(self, script: str, *arguments: Any) -> Any:
        return self.call("POST", "/execute/sync", script=script, args=list(arguments))

    def look_as(self, scheme: str, width: int, height: int = 900) -> None:
        """From the next page on: "light" or "dark", and so many CSS pixels, which a phone has fewer of than windows."""
        self._devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 640}
        self._devtools("Emulation.setDeviceMetricsOverride", **size)

    def violations(self) -> list[str]:
        """What axe-core finds wrong with the page for those who do not see, or not as most do."""
        self.run((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8"))
        found = self.call("POST", "/execute/async", script="axe.run(document).then(arguments[0])", args=[])
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found["violations"]]

    def picture(self, path: Path, top: int, height: int, width: int) -> None:
        """A piece of the page, whatever the window shows of it."""
        clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
        taken = self._devtools("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(taken["data"]))

    def _devtools(self, command: str, **params: Any) -> Any:
        return self.call("POST", "/goog/cdp/execute", cmd=command, params=params)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def log(self) -> list[str]:
        """What the page complained of: errors, and what its policy of content refused."""
        return [
            entry["message"] for entry in self.call("POST", "/se/log", type="browser") if entry["level"] == "SEVERE"
        ]


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser while this lasts."""
    port = free_port()
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=HANG_SECONDS)
    try:
        wait_until(lambda: _answers(client), "chromedriver does not answer", alive=driver)
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=en"]
        options = {"args": [*arguments, f"--user-data-dir={profile}"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        started = client.post("/session", json={"capabilities": {"alwaysMatch": wanted}})
        assert started.status_code == 200, started.text
        session = started.json()["value"]["sessionId"]
        try:
            yield Browser(client, session)
        finally:
            client.delete(f"/session/{session}")
    finally:
        client.close()
        driver.terminate()
        driver.wait()


def _answers(client: httpx.Client) -> bool:
    try:
        return bool(client.get("/status").json()["value"]["ready"])
    except httpx.TransportError:
        return False
