"""The page to try a policy on, in a real browser: by mouse and by keyboard, on a desk and on a phone."""

from __future__ import annotations

import re

import pytest

from curate.serving.page import PAGE_HEADERS, page
from tests.serving.test_judge_endpoint import TEXT
from tests.support import browser as browsers
from tests.support.services import gif, png, serving

needs_browser = pytest.mark.skipif(browsers.missing() is not None, reason=str(browsers.missing()))
TOKEN = "a-token-for-the-page"


def test_it_loads_nothing_from_anywhere_and_a_browser_holds_it_to_that():
    assert re.findall(r"(?:src|href)=\"([^\"]*)\"", page()) == ["data:,", "openapi.json"]
    assert "http://" not in page()
    assert "https://" not in page()
    assert "innerHTML" not in page()
    policy = PAGE_HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert policy.count("'sha256-") == 2


def test_it_is_served_with_its_policy_of_content():
    with serving("policy=llavaguard") as service:
        response = service.client.get("/")
    assert response.text == page()
    assert response.headers["content-security-policy"] == PAGE_HEADERS["Content-Security-Policy"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browsers.chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def service():
    with serving("policies=[llavaguard,kids]", own_policies=True) as running:
        yield running


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(png(4))
    return path


@needs_browser
@pytest.mark.slow
def test_a_picture_is_judged_when_it_is_chosen(browser, service, picture):
    browser.open(service.url)
    row = service.judge(png(4), policy="llavaguard", rationale=True).json()
    browser.type("#file", str(picture))
    assert browser.wait_for(".rating", r"\w").startswith(row["rating"])
    shown = browser.text(".side")
    assert f"{row['category']}: {row['category_name']}" in shown
    assert row["rationale"] in shown
    assert row["decided_by"] in shown
    assert f"{row['p_unsafe']:.2f}" in shown
    assert len(browser.all(".side meter")) == 10
    values = browser.run("return [...document.querySelectorAll('.side meter')].map((one) => one.value)")
    assert values[0] == pytest.approx(row["p_unsafe"])
    assert browser.log() == []


@needs_browser
@pytest.mark.slow
def test_two_policies_side_by_side_and_one_that_is_edited(browser, service, picture):
    browser.open(service.url)
    browser.type("#file", str(picture))
    browser.wait_for(".rating", r"\w")
    browser.click("#second")
    browser.wait_for(".side:nth-of-type(2) .rating", r"\w")
    for number, policy in ((1, "llavaguard"), (2, "kids")):
        row = service.judge(png(4), policy=policy, rationale=True).json()
        assert browser.wait_for(f".side:nth-of-type({number}) .rating", r"\w").startswith(row["rating"])
        assert row["rationale"] in browser.text(f".side:nth-of-type({number})")
    boxes = browser.run("return [...document.querySelectorAll('.side')].map((one) => one.getBoundingClientRect().top)")
    assert boxes[0] == boxes[1]
    browser.click(".side:nth-of-type(2) .edit")
    browser.run("document.querySelectorAll('textarea')[1].value = arguments[0]", TEXT)
    browser.click("#judge")
    row = service.judge(png(4), policy=TEXT, rationale=True).json()
    browser.wait_for(".side:nth-of-type(2) .rationale", re.escape(row["rationale"]))
    browser.run("document.querySelectorAll('textarea')[1].value = 'nothing\\nof a policy'")
    browser.click("#judge")
    browser.wait_for(".side:nth-of-type(2) .rating", "Not judged")
    assert browser.text(".side:nth-of-type(1) .rating").startswith(("Safe", "Unsafe"))


@needs_browser
@pytest.mark.slow
def test_what_cannot_be_judged_does_not_read_as_passed(browser, service, tmp_path):
    path = tmp_path / "moving.gif"
    path.write_bytes(gif())
    browser.open(service.url)
    browser.type("#file", str(path))
    browser.wait_for(".rating", "Not judged")
    assert "2 of 5 frames not judged" in browser.text(".side")
    assert not browser.all(".passes")


@needs_browser
@pytest.mark.slow
def test_by_the_keyboard_alone(browser, service, picture):
    browser.open(service.url)
    browser.type("#file", str(picture))  # what a dialog of the system gives
    browser.wait_for(".rating", r"\w")
    browser.run("document.activeElement.blur(); window.getSelection().removeAllRanges()")
    reached = []
    for _ in range(8):
        browser.press(browsers.TAB)
        reached.append(
            browser.run("const at = document.activeElement; return at.id || at.className || at.tagName.toLowerCase()")
        )
        if reached[-1] == "second":
            browser.press(browsers.SPACE)
    assert reached[:4] == ["file", "judge", "rationale", "second"]
    assert "select" in reached
    assert "edit" in reached
    browser.wait_for(".side:nth-of-type(2) .rating", r"\w")
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") != "none"


@needs_browser
@pytest.mark.slow
def test_on_a_phone_nothing_is_cut_off(browser, service, picture):
    browser.open(service.url, (500, 900))
    browser.run("document.documentElement.style.width = '360px'")
    browser.type("#file", str(picture))
    browser.click("#second")
    browser.wait_for(".side:nth-of-type(2) .rating", r"\w")
    wide = browser.run(
        "return [...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > 361)"
        ".map((one) => one.tagName)"
    )
    assert wide == []
    tops = browser.run("return [...document.querySelectorAll('.side')].map((one) => one.getBoundingClientRect().top)")
    assert tops[1] > tops[0]


@needs_browser
@pytest.mark.slow
def test_where_a_token_is_needed_it_is_asked_for(browser, tmp_path, picture):
    tokens = tmp_path / "tokens"
    tokens.write_text(f"me {TOKEN}\n")
    with serving("policies=[llavaguard,kids]", tokens=str(tokens)) as guarded:
        browser.open(guarded.url)
        browser.wait_for("#model", "token")
        browser.type("#token", TOKEN)
        browser.press(browsers.TAB)
        browser.wait_for("#model", "Judged by")
        browser.type("#file", str(picture))
        browser.wait_for(".rating", r"^(Safe|Unsafe)")
        assert not browser.run("return [...document.querySelectorAll('.editrow')].some((one) => !one.hidden)")
