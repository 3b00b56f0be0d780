"""How commands that go by a run's folder reach its data: what was moved, and secrets that no folder keeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from curate.cli.hydra_config import compose_access
from curate.cli.overrides import key_of
from curate.runs.run_folder import Run, load_run

_KEYS = ("dataset.moved", "dataset.shards", "dataset.storage_options", "dataset.options")


def split_access(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those of `arguments` that say how data are reached, and the others."""
    ours = [one for one in arguments if any(key_of(one) == key or key_of(one).startswith(f"{key}.") for key in _KEYS)]
    return ours, [one for one in arguments if one not in ours]


def reached(folder: str | Path, access: Sequence[str]) -> Run:
    """The run in `folder`, with its data reached as `access` says.

    Raises:
        InputError: there is no run, or `access` cannot be read.
    """
    return load_run(folder, lambda recorded: compose_access(access, recorded))
