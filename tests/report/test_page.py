"""The report in a real browser: data in it do nothing, everybody can read it, and what is unsafe is not in it."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser

import pytest
from PIL import Image

from curate.cli.program import main
from curate.report.page import content_policy, style
from curate.report.pictures import MOSAIC
from tests.support import browser as browsers
from tests.support.jobs import fake_run, rows, write_shards
from tests.support.verification_cases import edit_rows

needs_browser = pytest.mark.skipif(browsers.missing() is not None, reason=str(browsers.missing()))

ACTS = "document.title='acted';window.acted=1"
PAYLOADS = (
    f"<script>{ACTS}</script>",
    f'"><img src=x onerror="{ACTS}">',
    f"'><svg onload=\"{ACTS}\"><animate onbegin=\"{ACTS}\">",
    f"</title></style></script><script>{ACTS}</script>",
    f"javascript:{ACTS}",
    f'<a href="javascript:{ACTS}">x</a><iframe src="javascript:{ACTS}"></iframe>',
    f"<iframe srcdoc=\"<script>parent.{ACTS}</script>\"></iframe>",
    '<link rel=stylesheet href="https://example.org/a.css"><img src="https://example.org/a.png">',
    '<meta http-equiv="refresh" content="0;url=https://example.org/"><base href="https://example.org/">',
    "</style><style>body{display:none}*{background:url(https://example.org/b)}</style>",
    "x;}</style>*{background:red url(https://example.org/c)}",
    f"</text></svg><script>{ACTS}</script><svg><text>",
    f"]]><script>{ACTS}</script><![CDATA[",
    "<!--", "-->", "{{ 7*7 }}{% raw %}", "{{ ''.__class__.__mro__ }}",
    f"<form action=https://example.org/><input autofocus onfocus=\"{ACTS}\"><button>",
    f"<details open ontoggle=\"{ACTS}\"><math><mtext><table><mglyph><style><img src=x onerror=\"{ACTS}\">",
    "\x00\x01\x0b\x1b[2J\x7f\x9b31m",
    "\ufffe\uffff\U0010ffff\ufdd0",
    "\u202eevil\u202c \u2066x\u2069 \u200b\u200f\u2028\u2029",
    "Z" + "\u0301" * 500,
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 1 > 2 <",
    "&lt;script&gt;&#x3c;script&#x3e;",
    "A" * 300_000,
    "a b " * 50_000,
    "\n\r\t" * 2000 + "end",
)  # fmt: skip


def hostile(number):
    payload = PAYLOADS[number % len(PAYLOADS)]
    return payload, payload.replace("acted", f"acted{number}")


def spoilt(row, number):
    """Every text of a row that data or a model decide."""
    payload, other = hostile(number)
    meta = {"caption": payload, "url": f"https://{other}/x", "topic": other[:3000], "odd": "\ud800"}
    row = row | {"key": payload[:5000], "meta": json.dumps(meta)}
    if row["status"] != "labelled":
        return row | {"detail": payload}
    unsafe = number % 2 == 1
    rating = {"rating": "Unsafe" if unsafe else "Safe", "p_unsafe": number % 89 / 89}
    kind = {"category": other[:200] if unsafe else "NA", "category_name": payload[:2000] if unsafe else "None applying"}
    return row | rating | kind | {"rationale": payload[:100_000]}


POLICY = "policy.categories.O1.can=[{}]"


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A run of the fake engine with a policy of hostile words, whose rows are spoilt; its folder."""
    data = tmp_path_factory.mktemp("data")
    shards, place = write_shards(data, 3, 40), data / "run"
    policy = data / "hostile.yaml"
    words = [payload for payload in PAYLOADS if payload.isprintable() and len(payload) < 300]
    category = {"name": words[0], "should_not": words}
    policy.write_text(
        json.dumps({"name": "hostile", "categories": {"O1": category, "O2": category | {"name": words[1]}}})
    )
    name = f"dataset.name={words[1]}"
    assert main(fake_run(shards, place, f"policy={policy}", name, "dataset.label=topic", "filter.write=index")) == 0
    numbers = iter(range(10_000))
    for path in sorted(place.glob("annotations/*/*.parquet")):
        edit_rows(path, lambda read: [spoilt(row, next(numbers)) for row in read])
    assert main(["filter", f"output.dir={place}", "filter.thresholds.unsafe=0.6"]) == 0
    assert main(["report", f"output.dir={place}"]) == 0
    return place


@pytest.fixture(scope="module")
def html(reported):
    return (reported / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if browsers.missing():
        pytest.skip(str(browsers.missing()))
    with browsers.chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


def test_a_browser_is_told_to_run_and_load_nothing():
    policy = content_policy()
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "url(" not in style()
    assert "@import" not in style()


def tags_of(html):
    """Every tag of the file with its attributes, as a parser sees them that runs nothing."""
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.append((tag, attributes))
    parser.feed(html)
    return found


@pytest.mark.slow
def test_the_file_holds_no_script_no_address_and_one_style(html):
    assert html.index("Content-Security-Policy") < 200
    tags = tags_of(html)
    assert not {"script", "iframe", "object", "embed", "form", "base", "audio", "video"} & {tag for tag, _ in tags}
    assert [tag for tag, _ in tags].count("style") == 1
    attributes = [(name, value) for _, of in tags for name, value in of]
    assert not [name for name, _ in attributes if name.startswith("on") or name in ("style", "srcset", "action")]
    assert all(value.startswith(("#", "data:,")) for name, value in attributes if name.endswith("href"))
    assert all(value.startswith("data:image/webp;base64,") for name, value in attributes if name == "src")
    assert len(html.encode()) < 3_000_000
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]", html)


@pytest.mark.slow
def test_hostile_texts_do_nothing_in_a_browser(browser, reported):
    for scheme, width in (("light", 1280), ("dark", 390)):
        browser.look_as(scheme, width)
        browser.open(f"file://{reported}/report.html")
        assert browser.run("return document.title").endswith(", curated")
        assert browser.run("return [document.scripts.length, window.acted ?? null]") == [0, None]
        loaded = browser.run("return performance.getEntriesByType('resource').map((one) => one.name.slice(0, 5))")
        assert set(loaded) <= {"data:"}
        foreign = (
            "script,iframe,object,embed,form,base,audio,video,math,animate,meta[http-equiv=refresh],a:not([href^='#'])"
        )
        assert browser.all(foreign) == []
        acting = "return [...document.querySelectorAll('*')].flatMap((one) => [...one.attributes])"
        names = set(browser.run(f"{acting}.map((one) => one.name)"))
        assert not {name for name in names if name.startswith("on") or name == "style"}
        assert browser.run("return getComputedStyle(document.body).display") in ("block", "grid")
        assert browser.run("return document.documentElement.scrollWidth") <= width
        assert browser.log() == []
    assert any(payload in browser.run("return document.body.innerText") for payload in (PAYLOADS[0], PAYLOADS[1]))


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)])
def test_axe_finds_nothing(browser, reported, scheme, width):
    browser.look_as(scheme, width)
    browser.open(f"file://{reported}/report.html")
    assert browser.violations() == []


@pytest.mark.slow
def test_each_chart_has_a_table_beside_it_and_one_width_of_it_is_seen(browser, reported):
    for width in (1280, 390):
        browser.look_as("light", width)
        browser.open(f"file://{reported}/report.html")
        figures = browser.run(
            "return [...document.querySelectorAll('figure')].map((one) => {"
            "const charts = [...one.querySelectorAll('.chart')];"
            "const seen = charts.filter((chart) => chart.checkVisibility()).length;"
            "const named = charts.every((chart) => chart.ariaLabel);"
            "return [seen, charts.length, one.querySelectorAll('table tbody tr').length, named]})"
        )
        assert any(charts for _, charts, _, _ in figures)
        for seen, charts, of_table, named in figures:
            assert (seen, charts) in ((0, 0), (1, 2))
            assert of_table
            assert named


@pytest.mark.slow
def test_by_the_keyboard_alone(browser, reported):
    browser.look_as("light", 1280)
    browser.open(f"file://{reported}/report.html")
    browser.press(browsers.TAB)
    assert browser.run("return document.activeElement.className") == "skip"
    browser.press(browsers.TAB, browsers.ENTER)
    assert browser.run("return location.hash") == "#what-decides"
    reached = set()
    for _ in range(40):
        browser.press(browsers.TAB)
        reached.add(browser.run("return document.activeElement.className || document.activeElement.tagName"))
    assert {"scroll", "SUMMARY"} <= reached
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") != "none"


def pictures(html, cls):
    found = re.findall(rf'<img class="{cls}"[^>]*base64,([^"]+)"', html)
    return [Image.open(io.BytesIO(base64.b64decode(one))) for one in found]


@pytest.mark.slow
def test_what_may_be_unsafe_is_a_mosaic_and_no_more_of_it_is_in_the_file(html):
    cards = re.findall(r'<li class="card .*?</li>', html, re.DOTALL)
    plain = [card for card in cards if 'class="plain"' in card]
    mosaics = [card for card in cards if 'class="mosaic"' in card]
    assert plain
    assert mosaics
    for card in plain:
        assert "in clean" in card
        assert float(re.search(r"p_unsafe ([0-9.]+)", card)[1]) < 0.1
    assert all(max(image.size) <= MOSAIC for image in pictures(html, "mosaic"))
    assert all(max(image.size) > MOSAIC for image in pictures(html, "plain"))


@pytest.mark.slow
def test_real_pictures_are_in_a_file_of_another_name_and_blurred_until_asked_for(browser, reported, html):
    assert main(["report", f"output.dir={reported}", "report.images=true"]) == 0
    assert (reported / "report.html").read_text(encoding="utf-8") == html
    other = (reported / "report-with-images.html").read_text(encoding="utf-8")
    assert pictures(other, "mosaic") == []
    browser.look_as("light", 1280)
    browser.open(f"file://{reported}/report-with-images.html")
    shown = "const i = document.querySelector('.veil img'); i.scrollIntoView(); return getComputedStyle(i).filter"
    assert "blur" in browser.run(shown)
    browser.run("document.querySelector('.reveal').focus()")
    browser.press(browsers.SPACE)
    assert browser.run(shown) == "none"
    assert browser.violations() == []
    assert browser.log() == []


@pytest.mark.slow
def test_where_sources_are_gone_the_report_says_so_in_place_of_pictures(reported, tmp_path):
    there = tmp_path / "run"
    shutil.copytree(reported, there)
    moved = reported.parent / "00000.tar"
    away = moved.rename(tmp_path / "away.tar")
    try:
        assert main(["report", f"output.dir={there}"]) == 0
    finally:
        away.rename(moved)
    said = (there / "report.html").read_text(encoding="utf-8")
    assert "its source cannot be read" in said
    assert pictures(said, "mosaic")


@pytest.mark.slow
def test_a_picture_that_is_another_now_is_not_shown(reported, tmp_path):
    there = tmp_path / "run"
    shutil.copytree(reported, there)
    for path in there.glob("annotations/*/*.parquet"):
        edit_rows(path, lambda read: [row | {"sha256": row["sha256"] and "0" * 64} for row in read])
    assert main(["report", f"output.dir={there}"]) == 0
    said = (there / "report.html").read_text(encoding="utf-8")
    assert "its source holds another picture now" in said
    assert "<img" not in said


@pytest.mark.slow
def test_of_what_is_blocked_nothing_but_the_number_is_told(reported, tmp_path):
    there = tmp_path / "run"
    shutil.copytree(reported, there)

    def block(read):
        for row in read[:8]:
            row |= {
                "status": "blocked",
                "rating": None,
                "category": None,
                "p_unsafe": None,
            }
            row["key"] = f"blocked-{row['index']}"
        return read

    for path in there.glob("annotations/*/*.parquet"):
        edit_rows(path, block)
    assert main(["filter", f"output.dir={there}", "filter.thresholds.unsafe=0.5"]) == 0
    assert main(["report", f"output.dir={there}", "report.images=true"]) == 0
    said = (there / "report-with-images.html").read_text(encoding="utf-8")
    assert "on a list; nothing of it is shown" in said
    assert "blocked-" not in said
    assert len(rows(there, "hostile")) == 120
