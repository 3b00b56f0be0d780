"""How commands that go by a run's folder reach its data: what was moved, and secrets that no folder keeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from curate.cli.hydra_config import compose_access
from curate.cli.overrides import key_of
from curate.core.secrets import is_secret_name
from curate.runs.run_folder import Run, load_run

_KEYS = ("dataset.moved", "dataset.shards", "dataset.storage_options")
_OPTIONS = "dataset.options."


def split_access(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those of `arguments` that say how data are reached, and the others."""
    ours = [one for one in arguments if _is_access(key_of(one))]
    return ours, [one for one in arguments if one not in ours]


def reached(folder: str | Path, access: Sequence[str]) -> Run:
    """The run in `folder`, with its data reached as `access` says.

    Raises:
        InputError: there is no run, or `access` cannot be read.
    """
    return load_run(folder, lambda recorded: compose_access(access, recorded))


def _is_access(key: str) -> bool:
    """Whether a setting changes how data are reached, and not which they are."""
    if key.startswith(_OPTIONS):
        return is_secret_name(key.removeprefix(_OPTIONS))
    return any(key == one or key.startswith(f"{one}.") for one in _KEYS)
