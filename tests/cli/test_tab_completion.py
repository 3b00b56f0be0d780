"""What TAB completes, asked of the shells themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curate.cli.command_names import NAMES
from curate.cli.tab_completion import SHELLS, replies
from curate.settings.config_groups import group_names

WORDS = [
    (["ru"], ["run"]),
    (["help", "comp"], ["compact", "completion"]),
    (["run", "model=lla"], [f"model={name}" for name in group_names("model") if name.startswith("lla")]),
    (["run", "model", "=", "qwenguard_3"], ["qwenguard_3b"]),
    (["run", "model="], [f"model={name}" for name in group_names("model")]),
    (["run", "model.dt"], ["model.dtype="]),
    (["run", "mod"], ["model.", "model="]),
    (["run", "+model.dt"], ["+model.dtype="]),
    (["run", "+da"], ["+dataset.", "+dataset="]),
    (["run", "+dataset=w"], ["+dataset=webdataset"]),
    (["run", "+dataset", "=", "w"], ["webdataset"]),
    (["run", "policy.categories.O6.e"], ["policy.categories.O6.enforced="]),
    (["run", "filter.thresholds."], ["filter.thresholds.review=", "filter.thresholds.unsafe="]),
    (["run", "filter.write=w"], ["filter.write=webdataset"]),
    (["run", "extend", "="], ["false", "true"]),
    (["plan", "pro"], ["probe="]),
    (["run", "pro"], []),
    (["run", "output.dir=x"], []),
    (["run", "dataset.shards", "=", "s3", ":"], []),
    (["status", "exact=t"], ["exact=true"]),
    (["status", "model"], []),
    (["filter", "filter=s"], ["filter=strict"]),
    (["filter", "mod"], []),
    (["tune", "tune=l"], ["tune=llavaguard_0.5b", "tune=llavaguard_7b", "tune=lora"]),
    (["policy", "s"], ["show"]),
    (["settings", "bud"], ["budget"]),
    (["settings", "budget.e"], ["budget.engine"]),
    (["completion", "z"], ["zsh"]),
    (["run", "--c"], ["--cfg"]),
    (["run", "--cfg", ""], ["job"]),
    (["nothing", "mod"], []),
]


@pytest.mark.parametrize(("words", "expected"), WORDS)
def test_what_completes(words, expected):
    assert replies(words) == sorted(expected)


def test_all_commands_complete():
    assert replies([""]) == sorted([*NAMES, "help"])


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with `curate` and `python` on the path as a user has them, and a folder to complete."""
    folder = tmp_path_factory.mktemp("shell")
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(sys.executable)
    runner = folder / "bin/curate"
    runner.write_text(f'#!/bin/sh\nexec {sys.executable} -m curate "$@"\n')
    runner.chmod(0o755)
    (folder / "catalogued").mkdir()
    return folder


def ask(folder: Path, shell: str, *arguments: str) -> str:
    path = f"{folder}/bin:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(folder)}
    command = [shell, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder, env=environment).stdout


BASH = """
eval "$(python -m curate completion bash)"
eval "$(python -m curate completion bash)"   # twice is once
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _curate
printf '%s\\n' "${COMPREPLY[@]}"
complete -p curate python >&2
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["curate", "ru"], ["run"]),
        (["python", "-m", "curate", "run", "model", "=", "qwenguard_3"], ["qwenguard_3b"]),
        (["bin/python", "-m", "curate", "run", "model.dt"], ["model.dtype="]),
        (["curate", "run", "+dataset", "=", "we"], ["webdataset"]),
        (["curate", "run", "output.dir", "=", "cat"], [""]),
        (["python", "-m", "cura"], [""]),
        (["python", "script.py", "mod"], [""]),
    ],
)
def test_bash(here, words, expected):
    assert ask(here, "bash", "-c", BASH, "bash", *words).splitlines() == expected


def test_bash_leaves_pythons_own_completion_to_python(here):
    theirs = "_python() { COMPREPLY=(theirs); }; complete -F _python python"
    said = ask(here, "bash", "-c", f"{theirs}\n{BASH}", "bash", "python", "-x")
    assert said.splitlines() == ["theirs"]


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells(here, shell, request):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    asked = {
        "curate ru": ["run"],
        "python -m curate run model.dt": ["model.dtype="],
        "curate run model=qwenguard_3": ["model=qwenguard_3b"],
    }
    for line, expected in asked.items():
        assert request.getfixturevalue(f"in_{shell}")(line) == expected


@pytest.fixture
def in_fish(here):
    def complete(line: str) -> list[str]:
        said = ask(here, "fish", "-c", f"python -m curate completion fish | source; complete -C '{line}'")
        return [reply.partition("\t")[0] for reply in said.splitlines()]

    return complete


@pytest.fixture
def in_zsh(here):
    def complete(line: str) -> list[str]:
        words = " ".join(f"'{word}'" for word in line.split(" "))
        script = (
            'compdef() { :; }; compadd() { [[ $1 == -S ]] && shift 2; print -l -- "${(@P)2}"; }; '
            f'eval "$(python -m curate completion zsh)"; words=({words}); CURRENT=$#words; _curate'
        )
        return [reply for reply in ask(here, "zsh", "-f", "-c", script).splitlines() if reply]

    return complete


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_are_read_without_complaint(here, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = ask(here, "python", "-m", "curate", "completion", shell)
    (here / f"script.{shell}").write_text(script)
    subprocess.run([shell, "-n", str(here / f"script.{shell}")], check=True)


def test_an_answer_needs_nothing_heavy():
    heavy = ["hydra", "omegaconf", "polars", "pyarrow", "numpy", "torch", "PIL"]
    look = f"import sys; sys.stderr.write(' '.join(m for m in {heavy} if m in sys.modules))"
    code = f"from curate.cli.program import main; main(['completion', 'words', 'run', 'model.dt']); {look}"
    started = time.monotonic()
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (said.stdout, said.stderr) == ("model.dtype=\n", "")
    assert time.monotonic() - started < 30, "a second where nothing else runs"
