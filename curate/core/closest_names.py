"""What somebody meant who wrote a name that is not there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name of `known` that `name` was probably meant to be; None where none is near."""
    return next(iter(get_close_matches(name, sorted(known), n=1)), None)


def nearest_settings(path: str, known: Iterable[str]) -> list[str]:
    """The settings that `path` was probably meant to be, the likeliest alone where one is likelier than all others.

    Looked for in this order: the same letters in other places (output_dir), the same last name in the group, a slip,
    the same last name anywhere, a slip in the last name.
    """
    names = list(known)
    plain = [name for name in names if ".KEY" not in name]
    group = [name for name in names if name.partition(".")[0] == path.partition(".")[0]]
    for found in (
        [name for name in names if _squashed(name) == _squashed(path)],
        _same_end(path, [name for name in group if name in plain]) or _same_end(path, group),
        get_close_matches(path, group or names, n=1, cutoff=0.75),
        _same_end(path, plain) or _same_end(path, names),
        _near_end(path, group) or _near_end(path, plain),
    ):
        if found:
            return found[:3]
    return []


def did_you_mean(candidates: Iterable[str | None]) -> str:
    """`candidates` as a question that follows a complaint; nothing where there are none."""
    names = [name for name in candidates if name]
    return f"; did you mean {' or '.join(names)}?" if names else ""


def _squashed(path: str) -> str:
    return path.lower().replace(".", "").replace("_", "").replace("-", "")


def _end(path: str) -> str:
    return path.rpartition(".")[2].lower().replace("-", "_")


def _same_end(path: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if _end(name) == _end(path)]


def _near_end(path: str, names: Sequence[str]) -> list[str]:
    near = nearest(_end(path), {_end(name) for name in names})
    return [name for name in names if _end(name) == near]
