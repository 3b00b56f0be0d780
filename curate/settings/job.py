"""Settings of where workers run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from curate.settings.group import Group


class JobSettings(Group):
    """Where workers run: in this process, or as tasks of a SLURM array. What is null is left to the cluster."""

    name: Literal["local", "slurm"] = "local"
    """Here, or by `submit` on a cluster."""
    tasks: Annotated[int, Field(gt=0)] = 1
    """Number of array tasks; fewer, more or restarted ones than planned are all fine."""
    task: Annotated[int, Field(ge=0)] | None = None
    """Which of them this is, from 0; asked for only where the storage cannot decide between workers. null takes the
    index in the SLURM array."""
    gpus_per_task: Annotated[int, Field(ge=0)] = 0
    """GPUs of a task (`sbatch --gpus-per-node`)."""
    cpus_per_task: Annotated[int, Field(gt=0)] | None = None
    """Cores of a task (`sbatch --cpus-per-task`)."""
    memory: str | None = None
    """Memory of a task (`sbatch --mem`)."""
    time: str | None = None
    """Time limit of a task: minutes or D-HH:MM:SS, as `sbatch` takes it."""
    partition: str | None = None
    """Partition (`sbatch --partition`)."""
    account: str | None = None
    """Account (`sbatch --account`)."""
    qos: str | None = None
    """Quality of service (`sbatch --qos`)."""
    constraint: str | None = None
    """Features that nodes must have (`sbatch --constraint`)."""
    container: str | None = None
    """Image for `srun --container-image` (pyxis)."""
    lease: Annotated[float, Field(gt=0)] = 60.0
    """Seconds of silence after which other workers take over a worker's shards."""
    drain_seconds: Annotated[int, Field(gt=0)] = 120
    """How long before the time limit a task is told to drain."""
    requeues: Annotated[int, Field(ge=0)] = 20
    """How often a task that drained puts itself back into the queue."""
    setup: list[str] = []
    """Shell lines before the command (module load, environment variables)."""
    options: list[str] = []
    """Further `sbatch` options, as written, e.g. ["--exclude=node7"]."""
    python: str | None = None
    """The interpreter of the tasks; null takes the one that submits."""
