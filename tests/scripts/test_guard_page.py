"""docs/guard.md: every command and program in it that is marked is run, against the fake engine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.services import free_port, png, until_ready
from tests.support.waiting import HANG_SECONDS

pytest.importorskip("diffusers", reason="diffusers is a dependency of development")

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guard.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"<!-- run: (\w+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
FAKE = " engine=fake engine.workers=0 serve.log=false serve.port="

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("page")
    (path / "picture.png").write_bytes(png(1))
    return path


@pytest.fixture(scope="module", autouse=True)
def service(port):
    (command,) = [body.strip() for kind, body in BLOCKS if kind == "service"]
    given = (command + FAKE + str(port)).replace("python ", f"{sys.executable} ", 1)
    process = subprocess.Popen(given.split(), cwd=ROOT, stdout=subprocess.DEVNULL)

    until_ready(process, f"http://127.0.0.1:{port}")
    yield
    process.terminate()
    assert process.wait(HANG_SECONDS) == 0


def test_commands(port, folder):
    (lines,) = [body for kind, body in BLOCKS if kind == "shell"]
    commands = lines.replace("8100", str(port)).strip().splitlines()
    assert len(commands) == 2
    for command in commands:
        done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=True)
        assert '"status":"labelled"' in done.stdout


@pytest.mark.filterwarnings("ignore::curate.guard.GuardWarning")
@pytest.mark.parametrize("number", range(sum(kind == "python" for kind, _ in BLOCKS)))
def test_programs(number, port, folder, monkeypatch, capsys):
    from tests.support.tiny_pipelines import tiny_ddpm, tiny_stable_diffusion

    monkeypatch.chdir(folder)
    program = [body for kind, body in BLOCKS if kind == "python"][number].replace("8100", str(port))
    exec(program, {"pipe": tiny_ddpm(), "stable_diffusion": tiny_stable_diffusion()})
    assert capsys.readouterr().out.strip()


def test_the_demo_judges_three_pictures():
    done = subprocess.run(
        [sys.executable, "scripts/guard_demo.py", "engine=fake", "engine.workers=0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count('"status":"labelled"') == 3


def test_the_settings_it_names_are_there():
    from curate.settings.catalogue import lookup

    named = set(re.findall(r"\bserve\.[a-z_]+", PAGE))
    assert named
    assert {name for name in named if lookup(name) is None} == set()
