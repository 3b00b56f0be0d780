"""docs/audit.md: every command in it is run, with a tiny pipeline, a stub of an images API, and the fake engine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.support.images_api import MODEL, images_api
from tests.support.jobs import environment, picture
from tests.support.waiting import HANG_SECONDS

pytest.importorskip("diffusers", reason="diffusers is a dependency of development")
pytest.importorskip("openai", reason="openai is a dependency of development")

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"<!-- run: shell -->\n```bash\n(.*?)```", PAGE, re.DOTALL)
FILES = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from tests.support.tiny_pipelines import tiny_stable_diffusion

    path = tmp_path_factory.mktemp("page")
    for name, content in FILES:
        (path / name).write_text(content, encoding="utf-8")
    tiny_stable_diffusion().save_pretrained(path / "models" / "sd")
    (path / "pictures").mkdir()
    for number, name in enumerate("ab"):
        (path / "pictures" / f"{name}.png").write_bytes(picture(number, kind="PNG"))
    return path


def test_its_commands_work_as_they_stand_there(folder):
    assert len(COMMANDS) == 4
    with images_api() as api:
        for command in COMMANDS:
            command = command.replace("http://127.0.0.1:8000/v1", api.url).replace("=NAME", f"={MODEL}").rstrip()
            command = command.replace("python -m curate", f"{sys.executable} -m curate")
            small = " generator.steps=2" if "generator=diffusers" in command else ""
            fake = "" if "compare" in command else f" engine=fake engine.workers=0{small}"
            done = subprocess.run(
                command + fake,
                shell=True,
                cwd=folder,
                env=environment(),
                capture_output=True,
                text=True,
                timeout=HANG_SECONDS,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    counted = {name: whole(folder / "audits" / name) for name in ("sd", "api", "theirs")}
    assert counted == {"sd": (30, 0, 30), "api": (30, 0, 30), "theirs": (3, 1, 2)}
    assert "30 pairs of pictures" in done.stdout
    assert (folder / "audits" / "api" / "against-sd.md").is_file()


def whole(folder):
    row = pl.read_parquet(folder / "table.parquet").row(0, named=True)
    return row["requested"], row["refused"], row["judged"]


def test_it_names_every_file_of_the_folder(folder):
    rows = set(re.findall(r"^\| ([\w.]+/?) \|", PAGE, re.MULTILINE))
    there = {f"{one.name}/" if one.is_dir() else one.name for one in (folder / "audits" / "sd").iterdir()}
    assert there - {"work/"} <= rows


def test_what_it_says_of_prompts_and_generators_is_what_there_is():
    from curate.audit.factory import FOLDER, GENERATORS
    from curate.audit.prompts import _COLUMNS
    from curate.settings.config_groups import group_names

    assert re.findall(r"^\| `(\w+)` \| ", PAGE, re.MULTILINE)[: len(_COLUMNS)] == list(_COLUMNS)
    assert sorted([*GENERATORS, FOLDER]) == group_names("generator")
    assert all(f"| `{name}` |" in PAGE for name in group_names("generator"))
