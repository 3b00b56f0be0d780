"""Pictures of the service's page for docs/, taken in a real browser from the built-in safeguard.

PYTHONPATH=. python scripts/page_pictures.py PICTURE     (needs chromium and chromedriver)
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from tests.support import browser as browsers
from tests.support.services import free_port
from tests.support.waiting import wait_until

DOCS = Path(__file__).resolve().parents[1] / "docs"


def main(picture: str) -> None:
    """Write docs/guard-page.png and docs/guard-phone.png."""
    port = free_port()
    policies = "policies=[drawings,kids]"
    command = [sys.executable, "-m", "curate", "serve", policies, f"serve.port={port}", "serve.own_policies=true"]
    service = subprocess.Popen([*command, "serve.log=false"])
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _ready(url), "the service is not ready", alive=service)
        with tempfile.TemporaryDirectory() as profile, browsers.chromium(Path(profile)) as browser:
            _take(browser, url, picture, (1100, 1300), second=True, name="guard-page.png")
            _take(browser, url, picture, (500, 1250), second=False, name="guard-phone.png")
    finally:
        service.terminate()
        service.wait()


def _take(browser: browsers.Browser, url: str, picture: str, size: tuple[int, int], *, second: bool, name: str) -> None:
    browser.open(url, size)
    browser.type("#file", str(Path(picture).resolve()))
    browser.wait_for(".rating", r"\w")
    if second:
        browser.click("#second")
        browser.wait_for(".side:nth-of-type(2) .rating", r"\w")
    browser.wait_for("#status", "Done")
    browser.screenshot(DOCS / name)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    main(sys.argv[1])
