"""A run as a SLURM array: readable scripts in the run's folder, and their submission."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curate.core.errors import InputError
from curate.core.package_files import jobs_dir
from curate.settings.job import JobSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What was submitted: SLURM's job ids, and where scripts and logs lie."""

    array: str
    finish: str
    folder: Path


def write_scripts(folder: Path, name: str, job: JobSettings, arguments: Sequence[str], place: str) -> tuple[Path, Path]:
    """Write annotate.sh and finish.sh with their `#SBATCH` lines into `folder`.

    Args:
        folder: for scripts and logs; created.
        name: of the jobs.
        job: resources.
        arguments: of `annotate`, as the user typed them, without output.dir.
        place: the run's folder or URL.
    """
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    logs = str(folder / "logs").replace("%", "%%")
    annotate = [*_array_options(job), _whole(f"--job-name={name}"), _whole(f"--output={logs}/%A_%a.out")]
    finish = [_whole(f"--job-name={name}-finish"), _whole(f"--output={logs}/%j-finish.out"), *_common_options(job)]
    output = f"output.dir={place}"
    # The run's folder keeps no credentials; here they are names of variables.
    access = [one for one in arguments if one.lstrip("+~").startswith("dataset.storage_options")]
    return (
        _write(folder / "annotate.sh", annotate, job, [*arguments, output]),
        _write(folder / "finish.sh", finish, job, [*access, output]),
    )


def submit(annotate: Path, finish: Path) -> Submission:
    """Submit the array, and the finishing job that waits for its end, however its tasks end.

    Raises:
        InputError: there is no `sbatch`, or it refuses; its own words.
    """
    array = _sbatch([str(annotate)])
    return Submission(
        array=array, finish=_sbatch([f"--dependency=afterany:{array}", str(finish)]), folder=annotate.parent
    )


def _array_options(job: JobSettings) -> list[str]:
    gpus = [f"--gpus-per-node={job.gpus_per_task}"] if job.gpus_per_task else []
    cpus = [f"--cpus-per-task={job.cpus_per_task}"] if job.cpus_per_task else []
    memory = [f"--mem={job.memory}"] if job.memory else []
    return [
        f"--array=0-{job.tasks - 1}",
        "--requeue",
        "--open-mode=append",
        f"--signal=B:USR1@{job.drain_seconds}",
        *gpus,
        *cpus,
        *memory,
        *_common_options(job),
    ]


def _common_options(job: JobSettings) -> list[str]:
    names = ("time", "partition", "account", "qos", "constraint")
    named = [f"--{name}={value}" for name in names if (value := getattr(job, name))]
    container = [f"--container-image={job.container}"] if job.container else []
    return [*named, *container, *job.options]


def _write(path: Path, options: Sequence[str], job: JobSettings, arguments: Sequence[str]) -> Path:
    """The template of the same name, with options and environment before its body and the arguments set."""
    shebang, _, body = (jobs_dir() / path.name).read_text(encoding="utf-8").partition("\n")
    lines = [
        shebang,
        *(f"#SBATCH {option}" for option in options),
        f"export CURATE_PYTHON={shlex.quote(job.python or sys.executable)} CURATE_REQUEUES={job.requeues}",
        *job.setup,
        f"set -- {shlex.join(arguments)}",
        body,
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    path.chmod(0o755)
    return path


def _whole(option: str) -> str:
    """An option as sbatch reads it back from a script: in quotes where a space or # would end it."""
    if re.fullmatch(r"[^\s#'\"\\\\]*", option):
        return option
    name, _, value = option.partition("=")
    escaped = re.sub(r'(["\\\\])', r"\\\1", value)
    return f'{name}="{escaped}"'


def _sbatch(arguments: Sequence[str]) -> str:
    if shutil.which("sbatch") is None:
        raise InputError("job=slurm: there is no sbatch here; submit on a login node, or use job=local")
    done = subprocess.run(["sbatch", "--parsable", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"sbatch refuses {arguments[-1]}: {done.stderr.strip()}; mend job.* and submit again")
    return done.stdout.strip().split(";")[0]
