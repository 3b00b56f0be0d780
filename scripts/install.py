"""Install a lock file into an environment of its own: `python3.11 scripts/install.py requirements/cpu.txt .venv`.

Says first what it will take, stops with one line where this machine does not suffice, and shows that something goes on.
uv does the work, itself installed by pip from requirements/uv.txt into .cache/uv; where uv cannot be had or fails, pip
does the same, in some five times as long. Needs the standard library only; any Python from 3.7 on can read it.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = ROOT / ".cache" / "uv"
PYTHON = (3, 11)
GLIBC = (2, 28)

# Of the packages of a lock file: GB to fetch, GB on disk, minutes with uv and with pip on two cores at 100 MB/s.
COSTS = {"cpu": (3.4, 7.3, "1 to 2", "3 to 6"), "cuda": (4.4, 10.1, "2 to 4", "5 to 10")}
SMALL = (0.2, 1.0, "1", "1 to 2")
SPARE = 0.5
"""GB that are left to the system."""


class Unsuitable(Exception):
    """The machine cannot take the installation; one line that says what is missing and what to do."""


def main() -> int:
    """Install; exit code 2 with one line where that cannot work."""
    arguments = parsed()
    try:
        return install(arguments)
    except Unsuitable as error:
        print(f"curate: {error}", file=sys.stderr)
        return 2


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("requirements", type=Path, help="a lock file")
    parser.add_argument("environment", type=Path, help="folder of the virtual environment; made where there is none")
    parser.add_argument("--editable", action="store_true", help="install this checkout into it as well")
    return parser.parse_args()


def install(arguments: argparse.Namespace) -> int:
    """Check, announce, install with uv or else with pip, and say how long it took."""
    backend = arguments.requirements.stem
    fetch, size, fast, slow = COSTS.get(backend, SMALL)
    check_python(sys.version_info)
    check_platform(platform.system(), platform.machine(), platform.libc_ver())
    if backend == "cpu":
        check_cpu(cpu_flags())
    folder = arguments.environment.absolute()
    check_disk(folder, size)
    started = time.monotonic()
    uv = bootstrapped_uv()
    minutes = fast if uv else slow
    print(
        f"installing {arguments.requirements} into {arguments.environment}: {fetch} GB to fetch, {size} GB on disk, "
        f"usually {minutes} min{'' if uv else ' (without uv)'}",
        flush=True,
    )
    if not (folder / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    with Growth(folder):
        put(arguments, folder, uv)
    print(f"installed in {time.monotonic() - started:.0f} s", flush=True)
    return 0


def put(arguments: argparse.Namespace, folder: Path, uv: Path | None) -> None:
    """Install the lock file and nothing else, and the checkout where that is asked for; with pip where uv fails."""
    lock = str(arguments.requirements)
    hashes = ["--require-hashes"] if "--hash=" in arguments.requirements.read_text(encoding="utf-8") else []
    editable = ["install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    with_uv = [["sync", *hashes, lock], editable]
    with_pip = [["install", "--no-deps", *hashes, "-r", lock], editable]
    for step in range(1 + arguments.editable):
        if uv and not installed_by_uv(uv, folder, with_uv[step]):
            uv = None
        if not uv:
            pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-q", "-q"]
            if subprocess.run([*pip, *with_pip[step]], check=False).returncode:
                raise Unsuitable(f"pip could not install {lock}; what it said stands above")


def installed_by_uv(uv: Path, folder: Path, step: Sequence[str]) -> bool:
    """Whether uv could do it; says why not."""
    command, *options = step
    python = ["--python", str(folder / "bin" / "python"), "--compile-bytecode"]
    whole = [str(uv), "pip", command, "--quiet", *python, *cache_options(folder), *options]
    done = subprocess.run(whole, check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        print(f"uv failed, pip goes on: {last_line(done.stderr)}", file=sys.stderr, flush=True)
    return done.returncode == 0


def bootstrapped_uv() -> Path | None:
    """The pinned uv, fetched where it is not there yet; None where it cannot be had, or where CURATE_PIP is set."""
    if os.environ.get("CURATE_PIP"):
        return None
    program = UV / "bin" / "uv"
    requirements = ROOT / "requirements" / "uv.txt"
    stamp = UV / "installed.txt"
    if program.exists() and stamp.exists() and stamp.read_bytes() == requirements.read_bytes():
        return program
    shutil.rmtree(str(UV), ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "-q", "install"]
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", str(UV), "-r", str(requirements)]
    done = subprocess.run(pip + options, check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode or not program.exists():
        print(f"uv cannot be had, pip installs: {last_line(done.stderr)}", file=sys.stderr, flush=True)
        return None
    stamp.write_bytes(requirements.read_bytes())
    return program


def cache_options(folder: Path) -> list[str]:
    """Where uv keeps packages: by its own rule, unless that is another file system, to which it could not link."""
    if os.environ.get("UV_CACHE_DIR"):
        return []
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv"
    if device_of(usual) == device_of(folder):
        return []
    return ["--cache-dir", str(UV / "packages")]


def device_of(path: Path) -> int:
    """The number of the file system that `path` is on, or will be."""
    return existing(path).stat().st_dev


def existing(path: Path) -> Path:
    """The nearest folder above `path` that is there."""
    while not path.exists():
        path = path.parent
    return path


def check_python(version: Sequence[int]) -> None:
    """The lock files name wheels of one version of Python."""
    if tuple(version[:2]) != PYTHON:
        raise Unsuitable(
            f"this is Python {version[0]}.{version[1]}, and the lock files are for {PYTHON[0]}.{PYTHON[1]}; "
            "install that, or name it: make PYTHON=/path/to/python3.11"
        )


def check_platform(system: str, machine: str, libc: tuple[str, str]) -> None:
    """The lock files name wheels for Linux on x86-64 with a C library of 2018 or later."""
    if (system, machine) != ("Linux", "x86_64"):
        raise Unsuitable(
            f"this is {system} on {machine}, and the lock files are for Linux on x86_64; "
            "docs/installation.md says what works elsewhere"
        )
    name, version = libc
    if name != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < GLIBC:
        raise Unsuitable(
            f"the C library is {name or 'not glibc'} {version}, and the packages need glibc "
            f"{GLIBC[0]}.{GLIBC[1]} or later; a container of a newer system works"
        )


def check_cpu(flags: set[str]) -> None:
    """The CPU build of vLLM has kernels for AVX2 and for AVX-512."""
    if "avx2" not in flags:
        raise Unsuitable("this CPU has no AVX2, which vLLM's CPU build needs; take one of the last ten years, or a GPU")


def cpu_flags() -> set[str]:
    """The instruction sets of this CPU."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()


def check_disk(folder: Path, size: float) -> None:
    """Room for what is not there yet."""
    wanted = SPARE if (folder / "bin" / "python").exists() else size + SPARE
    free = shutil.disk_usage(str(existing(folder))).free / 1e9
    if free < wanted:
        raise Unsuitable(f"{folder}: {free:.1f} GB free, {wanted:.1f} needed; free some space, or take another disk")


def last_line(text: str) -> str:
    """What a program said last."""
    return ([line.strip() for line in text.splitlines() if line.strip()] or ["it said nothing"])[-1]


class Growth:
    """Shows how much the disk has filled since: rewritten every second on a terminal, a line now and then elsewhere."""

    def __init__(self, folder: Path) -> None:
        self._folder = existing(folder)
        self._before = self._free()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _free(self) -> int:
        return shutil.disk_usage(str(self._folder)).free

    def _show(self) -> None:
        terminal = sys.stdout.isatty()
        started = time.monotonic()
        while not self._ended.wait(1 if terminal else 20):
            grown = max(0.0, (self._before - self._free()) / 1e9)
            line = f"  {time.monotonic() - started:.0f} s, {grown:.1f} GB so far"
            print(f"\r{line}" if terminal else line, end="" if terminal else "\n", flush=True)
        if terminal:
            print(f"\r{' ' * 40}\r", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
