"""Write the SLURM scripts of a run into its folder, and submit them: an array of workers and a finishing job.

`job.tasks`, `job.gpus_per_task`, `job.time`, `job.partition`, `job.account` ... are passed on to sbatch.
Submit again at any time to add workers, or to go on after a cancelled array: finished shards stay finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from curate.cli.hydra_config import compose_settings
from curate.cli.overrides import key_of
from curate.console.output import say
from curate.core.errors import ExitCode, InputError
from curate.core.secrets import without_secrets
from curate.launch.slurm import submit, write_scripts
from curate.pipeline.annotating import reopen_for_retry, unfinished
from curate.pipeline.opening import open_settings
from curate.settings.job import JobSettings
from curate.settings.run import Settings
from curate.storage.factory import is_url

SUMMARY = "judge a data set as a SLURM array"
EXAMPLE = "submit +dataset=laion_subset job=slurm job.tasks=64 job.gpus_per_task=1"
SETTINGS = "all"


def main(argv: list[str]) -> ExitCode:
    """Plan, write scripts, submit.

    Raises:
        InputError: job is not slurm, there is no SLURM here, or it refuses; credentials among the arguments.
    """
    settings = compose_settings(argv)
    if settings.job.name != "slurm":
        raise InputError("job: `submit` is for clusters; add job=slurm, or use `run` here")
    _refuse_secrets(argv, settings.job)
    run = open_settings(settings)
    reopen_for_retry(run)
    place, folder = _places(settings)
    arguments = [a for a in argv if not a.startswith(("output.dir=", "retry=", "extend="))]
    scripts = write_scripts(folder / "jobs", settings.dataset.name, settings.job, arguments, place)
    done = submit(*scripts)
    say(
        f"{unfinished(run)} of {len(run.plan.shards)} shards to judge by {settings.job.tasks} tasks",
        f"array {done.array} and finishing job {done.finish} submitted; scripts and logs in {done.folder}",
        f"follow them: squeue -j {done.array},{done.finish}; python -m curate status output.dir={place}",
        f"more workers, or on after an end: sbatch {scripts[0]}",
    )
    return ExitCode.DONE


def _refuse_secrets(arguments: Sequence[str], job: JobSettings) -> None:
    """Everybody who can read a script would read them there."""
    texts = {**{one: key_of(one) for one in arguments}, **dict.fromkeys(job.setup, "job.setup")}
    found = next((name for text, name in {**texts, **dict.fromkeys(job.options, "job.options")}.items()
                  if without_secrets(text) != text), None)  # fmt: skip
    if found:
        raise InputError(
            f"{found}: holds a secret, which would stand in the job scripts; set it in the environment instead, which "
            f"SLURM passes on to the tasks (AWS_SECRET_ACCESS_KEY and the like, or MY_SECRET with "
            f"{found}='${{oc.env:MY_SECRET}}')"
        )


def _places(settings: Settings) -> tuple[str, Path]:
    """Where the run is, as every task finds it, and the folder of this machine for scripts and logs."""
    place = settings.output.dir
    if is_url(place):
        return place, Path("runs", *place.partition("://")[2].split("/")).absolute()
    folder = Path(place).absolute()
    return str(folder), folder
