"""An engine's folder: it goes with its owner, and never before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from curate.engines.engine_folder import PREFIX, SOCKETS_VARIABLE, EngineFolder

OWNER = """
import sys
from curate.engines.engine_folder import EngineFolder
folder = EngineFolder()
print(folder.log.parent, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files of this process and its children, with a name short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.delenv(SOCKETS_VARIABLE, raising=False)
        yield Path(folder)


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", OWNER], stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        process.kill()


def folder_of(owner: subprocess.Popen[str]) -> Path:
    assert owner.stdout is not None
    return Path(owner.stdout.readline().strip())


def test_a_folder_is_removed_by_its_owner(temporary: Path):
    folder = EngineFolder()
    assert folder.log.read_bytes() == b""
    folder.remove()
    folder.remove()
    assert list(temporary.iterdir()) == []


def test_the_folder_of_a_killed_owner_is_removed_by_the_next_engine_and_a_living_one_s_is_not(
    owner: subprocess.Popen[str], temporary: Path
):
    theirs = folder_of(owner)
    (theirs / "socket").touch()
    first = EngineFolder()
    assert theirs.exists()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    second = EngineFolder()
    assert sorted(temporary.iterdir()) == sorted([first.log.parent, second.log.parent])
    for folder in (first, second):
        folder.remove()


def test_a_folder_without_a_lock_is_left_alone(temporary: Path):
    """Its owner may be about to take it."""
    (temporary / f"{PREFIX}new").mkdir()
    EngineFolder().remove()
    assert (temporary / f"{PREFIX}new").exists()


def test_sockets_lie_in_the_folder(temporary: Path):
    folder = EngineFolder()
    with folder.holds_sockets():
        assert Path(os.environ[SOCKETS_VARIABLE]) == folder.log.parent
    assert SOCKETS_VARIABLE not in os.environ
    folder.remove()


def test_the_user_s_choice_of_a_place_for_sockets_stands(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(SOCKETS_VARIABLE, "/mine")
    folder = EngineFolder()
    with folder.holds_sockets():
        assert os.environ[SOCKETS_VARIABLE] == "/mine"
    assert os.environ[SOCKETS_VARIABLE] == "/mine"
    folder.remove()


def test_a_path_that_is_too_long_for_sockets_is_not_used_for_them(monkeypatch: pytest.MonkeyPatch, temporary: Path):
    deep = temporary / ("d" * 60)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    folder = EngineFolder()
    with folder.holds_sockets():
        assert SOCKETS_VARIABLE not in os.environ
    folder.remove()
