import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = """
[importlinter]
root_package = house
contract_types =
    faces: scripts.import_contracts.Faces

[importlinter:contract:faces]
name = faces
type = faces
root = house
"""


@pytest.fixture
def house(tmp_path):
    """Two rooms, of which the upper one enters the lower one as it should."""
    for room, face, files in (("low", '("door",)', {"door": "", "cellar": ""}), ("high", "()", {"roof": ""})):
        folder = tmp_path / "house" / room
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(f"__all__ = {face}\n")
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
    (tmp_path / "house" / "__init__.py").touch()
    (tmp_path / ".importlinter").write_text(CONFIG)
    (tmp_path / "house/high/roof.py").write_text("from house.low import door\n")
    return tmp_path


def linted(house):
    """Exit code and output of import-linter there."""
    code = "import sys; from importlinter.cli import lint_imports_command as run; sys.exit(run())"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = ['.', {str(ROOT)!r}]; {code}", "--no-cache"],
        cwd=house,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, " ".join(done.stdout.split())  # it wraps its lines


def test_a_room_is_entered_through_its_face(house):
    assert linted(house)[0] == 0


def test_a_module_that_the_face_does_not_name_is_its_own(house):
    (house / "house/high/roof.py").write_text("from house.low import cellar, door\n")
    code, said = linted(house)
    assert code == 1
    assert "house.high.roof imports house.low.cellar, which the face of house.low does not name" in said


def test_what_nobody_uses_is_not_named(house):
    (house / "house/high/roof.py").write_text("")
    code, said = linted(house)
    assert code == 1
    assert "the face of house.low names door, which no other room imports" in said
