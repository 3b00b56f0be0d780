"""The page on which people look at a sample, in a real browser, and what its program refuses."""

from __future__ import annotations

import csv
import json
import re
import threading
from pathlib import Path

import pytest
import uvicorn
from PIL import Image
from starlette.testclient import TestClient

from curate.core.content_policy import HEADER
from curate.core.errors import InputError
from curate.core.types import Rating
from curate.review.exporting import COLUMNS
from curate.review.local_page import Desk, make_app, page
from curate.review.verdicts import read_verdicts
from tests.support import browser as browsers
from tests.support.jobs import command
from tests.support.on_a_terminal import on_a_terminal
from tests.support.services import free_port
from tests.support.waiting import wait_until

needs_browser = pytest.mark.skipif(browsers.missing() is not None, reason=str(browsers.missing()))
TASKS = 5


@pytest.fixture
def folder(tmp_path) -> Path:
    """As `review export` writes it; what the policy says tries to be a page's own."""
    (tmp_path / "images").mkdir()
    with (tmp_path / "tasks.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, restval="")
        table.writeheader()
        for n in range(TASKS):
            names = [f"t-{n}.webp"] if n else ["t-0-0.webp", "t-0-1.webp"]
            table.writerow({"task": f"t-{n}", "images": " ".join(names), "stratum": "s01"})
            for name in names:
                Image.new("RGB", (320, 200), (40 * n, 90, 200)).save(tmp_path / "images" / name)
    (tmp_path / "policy.txt").write_text("<script>document.title = 'hacked'</script>Nothing sharp.")
    categories = {"O1": "<img src=x onerror=\"document.title='hacked'\">", "O2": "Knives"}
    (tmp_path / "categories.json").write_text(json.dumps(categories))
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path


def client(folder, host="127.0.0.1:8200"):
    return TestClient(make_app(Desk(folder, blur=True)), base_url=f"http://{host}", raise_server_exceptions=False)


def rated(task="t-1", rating="Safe", **more):
    return {"task": task, "rating": rating, "category": "", "reason": "", "reviewer": "ann", **more}


def test_verdicts_are_kept_one_by_one_and_review_import_reads_them(folder):
    asked = client(folder)
    assert asked.post("/verdicts", json=rated(reason='a, "b"\nc')).status_code == 200
    assert asked.post("/verdicts", json=rated("t-2", "Unsafe", category="O2")).status_code == 200
    assert asked.post("/verdicts", json=rated("t-2", "Safe")).status_code == 200, "a second word on it"
    assert asked.post("/verdicts", json=rated("t-2", "Unsafe", reviewer="bob")).status_code == 200
    ann = read_verdicts(folder / "verdicts-ann.csv")
    assert [(one.task, one.rating, one.reviewer) for one in ann] == [
        ("t-1", Rating.SAFE, "ann"), ("t-2", Rating.SAFE, "ann")
    ]  # fmt: skip
    assert ann[0].time.startswith("20")
    assert [one.rating for one in read_verdicts(folder / "verdicts-bob.csv")] == [Rating.UNSAFE]
    again = client(folder).get("/tasks", params={"reviewer": "ann"}).json()["tasks"]
    assert [one["rating"] for one in again] == ["", "Safe", "Safe", "", ""], "goes on where it stopped"


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (rated("t-99"), "no such task"),
        (rated(rating="unsafe"), "a rating is Safe or Unsafe"),
        (rated(category="O9"), "no such category"),
        (rated(reviewer=""), "give your name"),
        (rated(reviewer="../../ann"), "give your name"),
        (rated(reviewer=".."), "give your name"),
        ([], "a JSON object"),
    ],
)
def test_what_is_no_verdict_is_refused_and_nothing_is_written(folder, verdict, said):
    before = sorted(folder.rglob("*"))
    response = client(folder).post("/verdicts", json=verdict)
    assert response.status_code == 400
    assert said in response.json()["error"]
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("host", ["evil.example:8200", "127.0.0.1.evil.example", "192.168.0.7:8200"])
def test_a_name_that_was_made_to_lead_here_is_refused(folder, host):
    asked = client(folder, host)
    for path in ("/", "/tasks?reviewer=ann", "/images/t-1.webp"):
        assert asked.get(path).status_code == 400


def test_a_form_of_another_page_is_refused(folder):
    asked = client(folder)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json;charset=x"):
        given = {"content": json.dumps(rated()), "headers": {"content-type": kind}}
        assert asked.post("/verdicts", **given).status_code == 415
    assert asked.options("/verdicts").status_code == 405, "no other page is let in"


@pytest.mark.parametrize("name", ["../secret.txt", "..%2Fsecret.txt", "%2e%2e/secret.txt", "t-99.webp", "", "/etc/x"])
def test_only_pictures_of_tasks_are_shown(folder, name):
    response = client(folder).get(f"/images/{name}")
    assert response.status_code in (404, 307)
    assert "secret" not in response.text


def test_a_folder_that_is_none_is_named(tmp_path):
    with pytest.raises(InputError, match="is no folder that `review export` wrote"):
        Desk(tmp_path, blur=True)


def test_the_page_loads_nothing_from_anywhere(folder):
    response = client(folder).get("/")
    assert re.findall(r"(?:src|href)=\"([^\"]*)\"", page()) == ["data:,"]
    assert not re.search(r"https?://|innerHTML", page())
    assert "default-src 'none'" in response.headers[HEADER]
    assert "unsafe-" not in response.headers[HEADER]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browsers.chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def url(folder):
    port = free_port()
    config = uvicorn.Config(make_app(Desk(folder, blur=True)), port=port, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, "the page's program did not start")
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()


@needs_browser
@pytest.mark.slow
def test_a_sample_is_reviewed_by_keyboard_alone(browser, url, folder):
    browser.open(url)
    browser.run("document.getElementById('reviewer').focus()")
    browser.press(*"ann", browsers.ENTER)
    browser.wait_for("#status", "^Task 1 of 5, 0 reviewed$")
    assert len(browser.all("#pictures img")) == 2
    blurred = "return getComputedStyle(document.querySelector('#pictures img')).filter"
    assert "blur" in browser.run(blurred)
    browser.press(" ")
    assert browser.run(blurred) == "none"
    browser.press("2")
    browser.wait_for("#status", "^Task 2 of 5, 1 reviewed$")
    assert "blur" in browser.run(blurred), "the next one is blurred again"
    browser.press("w", *"why 1 2", browsers.ENTER, "1")
    browser.wait_for("#status", "^Task 3 of 5, 2 reviewed$")
    browser.press("3")
    browser.wait_for("#status", "^Task 4 of 5, 2 reviewed$")
    browser.press("u", "u")
    browser.wait_for("#status", "^Task 2 of 5, 2 reviewed; this one is Safe$")
    browser.press("2")
    browser.wait_for("#status", "^Task 3 of 5, 2 reviewed$")
    said = {one.task: one for one in read_verdicts(folder / "verdicts-ann.csv")}
    assert {task: one.rating for task, one in said.items()} == {"t-0": Rating.UNSAFE, "t-1": Rating.UNSAFE}
    assert said["t-1"].reason == "why 1 2"
    assert browser.run("return document.title") == "curate: review"
    assert browser.log() == []


@needs_browser
@pytest.mark.slow
def test_a_reviewer_goes_on_and_another_begins_anew(browser, url, folder):
    asked = client(folder)
    for n in range(TASKS - 1):
        assert asked.post("/verdicts", json=rated(f"t-{n}")).status_code == 200
    browser.open(url)
    browser.type("#reviewer", "ann")
    browser.click("#begin")
    browser.wait_for("#status", "^Task 5 of 5, 4 reviewed$")
    browser.click("#safe")
    browser.wait_for("#status", "^All 5 tasks were shown, 5 are reviewed.$")
    browser.open(url)
    browser.type("#reviewer", "bob")
    browser.click("#begin")
    browser.wait_for("#status", "^Task 1 of 5, 0 reviewed$")


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("size", [(1100, 900), (390, 800)])
def test_it_fits_a_desk_and_a_phone(browser, url, size):
    browser.open(url, size)
    browser.type("#reviewer", "ann")
    browser.click("#begin")
    browser.wait_for("#status", "Task 1")
    assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth")
    for button in ("#safe", "#unsafe", "#skip", "#undo", "#show"):
        box = f"document.querySelector('{button}').getBoundingClientRect()"
        top, bottom, height = browser.run(f"return [{box}.top, {box}.bottom, window.innerHeight]")
        assert 0 <= top < bottom <= height, f"{button} is in sight"


@pytest.mark.slow
def test_ctrl_c_ends_it_and_nothing_is_lost(folder, tmp_path):
    port = free_port()
    arguments = command("review", "serve", f"to={folder}", f"port={port}")
    with on_a_terminal(arguments, tmp_path / "scratch") as terminal:
        terminal.wait_for(f"review at http://127.0.0.1:{port}/")
        terminal.press_ctrl_c()
        assert terminal.wait() == 75, terminal.text
        assert "Traceback" not in terminal.text
