"""The Python face, for notebooks and scripts: what a run came to as tables, and verdicts on a few pictures.

Everything else is done by commands: a run outlives the process that started it, and a notebook does not.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from curate.cli.hydra_config import compose_settings
from curate.cli.remarks import remarks
from curate.core.errors import InputError
from curate.core.types import Annotation
from curate.filtering.manifest import read_manifests
from curate.images.encoding import Picture, encoded
from curate.launch.judge_in_subprocess import judged_apart
from curate.pipeline.opening import settle_dtype
from curate.runs.annotation_table import scanned
from curate.runs.commits import read_commits
from curate.runs.compaction.reading import AnnotationFiles
from curate.runs.run_folder import load_run as open_run
from curate.settings.run import Settings
from curate.storage.factory import is_url

if TYPE_CHECKING:
    import datasets


class ModelWarning(UserWarning):
    """What whoever uses the labels has to know of the model."""


class LoadedRun:
    """A run's folder, to be looked at. Nothing is written.

    Args:
        folder: `output.dir` of the run; or its URL.

    Attributes:
        settings: what it was run with.
    """

    def __init__(self, folder: str | Path) -> None:
        run = open_run(folder)
        self.settings: Settings = run.settings
        self._folder = folder
        self._store = run.store

    def annotations(self, policy: str | None = None, columns: Collection[str] | None = None) -> pl.DataFrame:
        """The rows of all finished shards, by shard and index; columns as docs/annotations.md lists them.

        Args:
            policy: whose rows; those of all policies where it is left out.
            columns: all of them where they are left out; a large run's `meta` and `rationale` take memory.

        Raises:
            InputError: the run has no such policy, or nothing is finished under it.
        """
        passes = self.settings.passes
        if policy is not None and policy not in passes:
            raise InputError(f"policy={policy}: the run has judged under {', '.join(passes)}")
        files = AnnotationFiles(self._store)
        commits = [c for name in passes if policy in (None, name) for c in read_commits(self._store, name)]
        if not commits:
            raise InputError(f"{self._folder}: no shard is finished yet; `python -m curate run` goes on")
        tables = []
        for commit in commits:
            with files.local(commit) as path:
                tables.append(scanned(path).select(pl.all() if columns is None else list(columns)).collect())
        return pl.concat(tables)

    @property
    def splits(self) -> dict[str, int]:
        """How many samples each split holds; empty where nothing was filtered yet."""
        finished = [manifest.result for manifest in read_manifests(self._store) if manifest.result is not None]
        return dict(finished[0]["splits"]) if finished else {}

    def split(self, name: str) -> datasets.Dataset | datasets.DatasetDict:
        """A split with its images, as `datasets` loads it; by subdivision where `clean` has any.

        Raises:
            InputError: there is no such split, it is empty, or it lies where `datasets` cannot load it from.
        """
        import datasets  # takes a second, and annotations do without it

        if not self.splits.get(name):
            known = ", ".join(f"{split} ({count})" for split, count in self.splits.items()) or "none yet"
            raise InputError(f"{self._folder}: no samples in a split {name!r}; there are {known}")
        if is_url(self._folder):
            raise InputError(f"{self._folder}: `datasets` loads splits from a folder; copy the run's folder first")
        folder, config = Path(self._folder), name
        if (folder / "splits" / name / "README.md").exists():  # tars have a card of their own
            folder, config = folder / "splits" / name, "default"
        loaded: Any = datasets.load_dataset(str(folder), config)
        return loaded["train"] if list(loaded) == ["train"] else loaded


def load_run(folder: str | Path) -> LoadedRun:
    """What a run came to, from its folder.

    >>> run = curate.load_run("runs/laion_subset")
    >>> run.annotations().filter(pl.col("rating") == "Unsafe")
    >>> run.split("clean")

    Raises:
        InputError: there is no run.
    """
    return LoadedRun(folder)


def judge(
    pictures: Sequence[Picture], policy: str | None = None, *, model: str | None = None, overrides: Sequence[str] = ()
) -> list[Annotation]:
    """The verdict on each picture, as the row that a run would write of it. Loads the model in a process of its own.

    >>> for row in curate.judge([image], policy="kids"):
    ...     print(row.rating, row.category, row.p_unsafe, row.rationale)

    A picture that cannot be judged has a row too: its `status` says why, and its `rating` is None. What is to be known
    of the model is warned of (`ModelWarning`).

    Args:
        pictures: images of PIL, encoded images, or paths. Those of PIL are encoded without loss first.
        policy: a name or a file, as `policy=` takes it.
        model: a name, as `model=` takes it.
        overrides: further settings, as `judge` on the command line takes them: ["model.path=/models/mine"].

    Raises:
        InputError: a setting is wrong, or a file cannot be read.
        EngineDead: the model cannot be kept alive.
    """
    given = [f"{key}={value}" for key, value in (("policy", policy), ("model", model)) if value is not None]
    settings = settle_dtype(compose_settings(["+dataset=folder", "dataset.shards=.", *given, *overrides]), None)
    if len(settings.policies) != 1:
        raise InputError("policies: `judge` takes one policy; call it for each")
    for line in (settings.shown_model.warning, *remarks(settings)):
        if line:
            warnings.warn(line, ModelWarning, stacklevel=2)
    return judged_apart(settings, [encoded(picture) for picture in pictures])
