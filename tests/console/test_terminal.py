"""What is said while one waits: once and plainly in a pipe, in one line that is written over on a terminal."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest

from curate.console import phases
from curate.console.output import complain, say
from curate.console.phases import current, phase
from curate.console.untrusted_text import harmless, one_line
from curate.core.types import Annotation, Status
from curate.settings.run import Budget
from curate.telemetry.failure_budget import Tally
from curate.telemetry.progress import Awaited, Counted, Progress
from tests.support.jobs import command, curate, environment, fake_run, write_shards
from tests.support.terminals import plain, shown

WAITING = """
import time
from curate.console import phases
phases.UNSAID_SECONDS = phases.TOLD_SECONDS = phases.SHOW_SECONDS = 0.05
with phases.phase("loading the model", 12.0) as one:
    time.sleep(0.4)
    one.note = "1.2 of 14.5 GB"
    time.sleep(0.4)
print("loaded")
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("data"), 3, 20)


@pytest.fixture
def at_once(monkeypatch):
    """Nothing passes unsaid for being short."""
    monkeypatch.setattr(phases, "UNSAID_SECONDS", 0.0)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a cat", "a cat"),
        ("Katze, кошка, 猫, گربه, 👨‍👩‍👧", "Katze, кошка, 猫, گربه, 👨‍👩‍👧"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("over\rwritten\x08", r"over\rwritten\x08"),
        ("cat\u202egpj.exe", r"cat\u202egpj.exe"),
        ("hid\u200bden\ufeff", r"hid\u200bden\ufeff"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("half \ud83d", r"half \ud83d"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
    ],
)
def test_text_of_others_cannot_act(text, shown):
    assert harmless(text) == shown


def test_one_line_is_one_line():
    assert one_line("a\nb\r\nc\u2028d\x85e \x1b") == r"a b c d e \x1b"


def test_whatever_is_said_is_harmless(capsys):
    say("\x1b[31mred", "two\nlines")
    complain("\x1b[2Jgone\nfor good")
    assert capsys.readouterr() == ("\\x1b[31mred\ntwo\nlines\n", "curate: \\x1b[2Jgone for good\n")


def test_an_encoding_without_the_letters_ends_nothing():
    said = "from curate.console.output import say; say('кошка \\u2026')"
    done = subprocess.run(
        [sys.executable, "-c", said], env=environment(PYTHONIOENCODING="ascii"), capture_output=True, check=True
    )
    assert done.stdout == rb"\u043a\u043e\u0448\u043a\u0430 \u2026" + b"\n"


@pytest.mark.slow
def test_in_a_pipe_a_phase_is_one_plain_line_at_its_beginning():
    done = subprocess.run([sys.executable, "-c", WAITING], capture_output=True, text=True, check=True)
    assert done.stderr == "loading the model, usually 12 s\n"
    assert done.stdout == "loaded\n"


@pytest.mark.slow
def test_in_a_pipe_a_long_phase_is_told_again_ever_more_rarely(at_once, monkeypatch, capsys):
    monkeypatch.setattr(phases, "AGAIN_SECONDS", 0.1)
    with phase("loading the model", 12):
        time.sleep(1.0)
    first, *again = capsys.readouterr().err.splitlines()
    assert first == "loading the model, usually 12 s"
    assert 1 <= len(again) <= 8
    assert all(re.fullmatch(r"loading the model, usually 12 s, \d+ s so far", line) for line in again)


@pytest.mark.slow
def test_on_a_terminal_it_is_one_line_that_is_written_over():
    text = shown([sys.executable, "-c", WAITING])
    assert "loading the model, usually 12 s ... 0 s" in text
    assert "loading the model, 1.2 of 14.5 GB, usually 12 s ... " in text
    assert re.fullmatch(r"loading the model took \d+ s\nloaded\n", plain(text))


@pytest.mark.slow
def test_a_terminal_that_cannot_write_over_gets_what_a_pipe_gets():
    assert shown([sys.executable, "-c", WAITING], TERM="dumb") == "loading the model, usually 12 s\nloaded\n"


@pytest.mark.slow
def test_the_line_never_reaches_the_edge_of_a_narrow_terminal():
    text = shown([sys.executable, "-c", WAITING], columns=20)
    assert "\r\x1b[Kloading the ... 0 s\r" in text


def test_what_is_over_soon_passes_unsaid(capsys):
    with phase("importing"):
        pass
    assert capsys.readouterr() == ("", "")


def test_the_innermost_phase_is_the_current_one(at_once, capsys):
    assert current() is None
    with phase("splitting"):
        time.sleep(0.1)
        with phase("writing the card"):
            assert current() == "writing the card"
            time.sleep(0.1)
        assert current() == "splitting"
    assert current() is None
    assert capsys.readouterr().err == "splitting\nwriting the card\n"


@pytest.mark.slow
def test_a_phase_that_fails_leaves_no_line_behind():
    failing = WAITING.replace('one.note = "1.2 of 14.5 GB"', "raise SystemExit(0)")
    assert plain(shown([sys.executable, "-c", failing])).strip() == ""


@pytest.mark.slow
def test_lines_that_are_printed_meanwhile_stand_by_themselves():
    speaking = WAITING.replace('one.note = "1.2 of 14.5 GB"', "from curate.console.output import say; say('hear me')")
    assert plain(shown([sys.executable, "-c", speaking])).splitlines()[0] == "hear me"


@pytest.mark.slow
def test_a_child_process_says_nothing():
    child = (
        "from multiprocessing import get_context\nfrom tests.console.test_terminal import wait\n"
        "if __name__ == '__main__':\n    p = get_context('spawn').Process(target=wait)\n    p.start()\n    p.join()"
    )
    assert subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True).stderr == ""


def wait():
    """A phase in a child process that lasts."""
    phases.UNSAID_SECONDS = 0.0
    with phase("loading the model"):
        time.sleep(0.2)


def counted(rows):
    """A tally of so many rows."""
    tally = Tally(Budget())
    for number in range(rows):
        tally.add(Annotation(key=f"{number}", shard="s", index=number, policy="p", status=Status.LABELLED))
    return tally


def test_a_pipe_hears_of_images_once_there_are_any(monkeypatch, capsys):
    monkeypatch.setattr("curate.telemetry.progress.LINE_SECONDS", 0.0)
    tally = counted(0)
    with Progress(tally, 10) as progress:
        progress.refresh()
        assert capsys.readouterr().err == ""
        tally.gather([counted(3)])
        progress.refresh()
        assert capsys.readouterr().err.startswith("3/10 images, ")


def test_a_display_that_is_awaited_begins_once_it_is_ready(at_once, monkeypatch, capsys):
    monkeypatch.setattr("curate.telemetry.progress.LINE_SECONDS", 0.0)
    ready = False
    with Awaited(Progress(counted(3), 10), "loading the model in 2 processes", 5.0, lambda: ready) as display:
        display.refresh()
        time.sleep(0.1)
        assert current() == "loading the model in 2 processes"
        assert capsys.readouterr().err == "loading the model in 2 processes, usually 5 s\n"
        ready = True
        display.refresh()
        assert current() is None
        assert capsys.readouterr().err.startswith("3/10 images, ")


def test_a_counted_phase_says_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr("curate.telemetry.progress.LINE_SECONDS", 0.0)
    with phase("splitting") as splitting:
        progress = Counted(splitting)
        progress.begin(10)
        progress.add(0)
        progress.add(4)
        progress.close()
    assert capsys.readouterr().err == "splitting: 4/10 images\n"


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("engine.processes=2",)], ids=["one engine", "two"])
def test_a_run_in_a_pipe_says_what_it_waits_for_and_nothing_else(shards, tmp_path, more):
    done = curate(*fake_run(shards, tmp_path / "run", "engine.args.load=1.5", *more))
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert sum(line.startswith("loading the model") for line in lines) == 1
    assert not any(re.search(r"\d images|took", line) for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("engine.processes=2",)], ids=["one engine", "two"])
def test_a_run_on_a_terminal_loads_its_model_and_then_draws_a_bar(shards, tmp_path, more):
    text = shown(command(*fake_run(shards, tmp_path / "run", "engine.args.load=4", "engine.args.rate=30", *more)))
    loading, loaded = text.index("loading the model"), re.search(r"loading the model[^\r]* took", text).start()
    assert loading < loaded < text.index("60img [")
    assert "\r0img" not in text
    assert "0 images" not in text


@pytest.mark.slow
def test_each_stream_is_what_it_is(shards, tmp_path):
    err = tmp_path / "err.txt"
    out = shown(command(*fake_run(shards, tmp_path / "run", "engine.args.load=1.5")), err=err)
    assert "\x1b[" in out, "the summary is in colour on a terminal"
    assert "loading the model" not in out
    assert "\x1b" not in err.read_text()
    assert "\r" not in err.read_text()
    assert err.read_text().count("loading the model") == 1


@pytest.mark.slow
def test_how_long_a_model_took_is_said_the_next_time(shards, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = curate(*fake_run(shards, tmp_path / "one", "engine.args.load=2"))
    after = curate(*fake_run(shards, tmp_path / "two", "engine.args.load=2"))
    assert "usually" not in before.stderr, "no figure is made up"
    assert re.search(r"^loading the model, usually \d+ s$", after.stderr, re.MULTILINE)
    (kept,) = tmp_path.glob("curate/loading/*.json")
    kept.write_text("what is this")
    damaged = curate(*fake_run(shards, tmp_path / "three", "engine.args.load=2"))
    assert "usually" not in damaged.stderr
