"""Which shards a worker may take: any, where the storage decides between workers; a fixed share, where it cannot."""

from __future__ import annotations

import os
from collections.abc import Sequence

from curate.console.output import complain
from curate.core.errors import InputError
from curate.core.types import ShardRef
from curate.runs.run_folder import Run
from curate.settings.job import JobSettings


def own_shards(run: Run) -> Sequence[ShardRef]:
    """The shards for this worker; one that gets a fixed share is told so in a line.

    Raises:
        InputError: there are several tasks, and nothing tells which one this is.
    """
    if run.store.arbitrates():
        return run.plan.shards
    tasks, task = run.settings.job.tasks, _task(run.settings.job)
    complain(
        f"output.dir={run.store.uri('')}: this storage cannot decide between workers (no create-if-absent): this is "
        f"worker {task} of job.tasks={tasks} with a fixed share of the shards; do not start it twice at once"
    )
    return run.plan.shards[task::tasks]


def _task(job: JobSettings) -> int:
    """The index of this worker: as given, or that of the SLURM array task, or 0 where there is only one."""
    given = os.environ.get("SLURM_ARRAY_TASK_ID") if job.task is None else job.task
    if given is None and job.tasks > 1:
        raise InputError(f"job.task: not given, and job.tasks is {job.tasks}; number the workers job.task=0, 1, ...")
    task = int(given or 0)
    if task >= job.tasks:
        raise InputError(f"job.task={task}: there are workers 0 to {job.tasks - 1}; raise job.tasks={job.tasks}")
    return task
