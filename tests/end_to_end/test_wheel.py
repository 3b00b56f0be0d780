"""The package from a wheel, outside the checkout: configuration, sample and safeguard travel with it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from configparser import ConfigParser
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tests.support.jobs import curate, environment, rows

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with what the wheel installs."""
    built = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", built, CHECKOUT],
        check=True,
        capture_output=True,
    )
    folder = tmp_path_factory.mktemp("installed")
    (wheel,) = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def test_the_wheel_runs_the_same_command_from_any_folder(installed, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(installed))
    where = subprocess.run(
        [sys.executable, "-c", "import curate; print(curate.__file__)"], cwd=tmp_path, capture_output=True, text=True
    )
    assert where.stdout.startswith(str(installed)), "it is the wheel's package that runs, not the checkout's"
    curate("run", "+dataset=laion_subset", "engine=fake", "engine.workers=0", cwd=tmp_path)
    assert len(rows(tmp_path / "runs/laion_subset")) == 300


def test_the_wheel_installs_a_command(installed, tmp_path):
    (listed,) = installed.glob("*.dist-info/entry_points.txt")
    scripts = ConfigParser()
    scripts.read(listed)
    entry = EntryPoint("curate", scripts["console_scripts"]["curate"], "console_scripts")
    code = f"import sys; from {entry.module} import {entry.attr}; sys.argv = ['curate', '--version']"
    shown = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit({entry.attr}())"],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(installed)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.startswith("curate ")


def test_the_wheel_holds_what_the_package_reads(installed):
    for path in (
        "conf/config.yaml",
        "conf/policy/llavaguard.yaml",
        "jobs/annotate.sh",
        "data/safeguard/config.json",
        "cli/completions/curate.bash",
        "cards/templates/card.md.j2",
    ):
        assert (installed / "curate" / path).is_file(), path
