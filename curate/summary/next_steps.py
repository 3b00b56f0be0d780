"""The commands that make sense after a run, as they are typed."""

from __future__ import annotations

import glob
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from curate.console.terminal import invocation, python
from curate.filtering.rules import CLEAN
from curate.runs.run_folder import Run
from curate.storage.factory import is_url

MOST = 3
THRESHOLD, OTHER_THRESHOLD = 0.3, 0.5


def next_steps(
    run: Run,
    splits: Mapping[str, int],
    arguments: Sequence[str],
    *,
    retry: Sequence[str],
    broken: int,
    scored: bool,
) -> dict[str, str]:
    """At most `MOST` commands, by what they do.

    Args:
        run: a finished run.
        splits: number of samples by split.
        arguments: of the command that ran it; none where that is not known.
        retry: statuses that may go better another time.
        broken: shards that could not be read, or not to their end.
        scored: whether labels have probabilities.
    """
    return dict(islice(_steps(run, splits, arguments, retry, broken, scored), MOST))


def _steps(
    run: Run, splits: Mapping[str, int], arguments: Sequence[str], retry: Sequence[str], broken: int, scored: bool
) -> Iterator[tuple[str, str]]:
    again = ["run", *(a for a in arguments if not a.startswith("retry="))]
    folder = f"output.dir={run.settings.output.dir}"
    if retry and arguments:
        yield "judge again what the engine failed at", _curate(*again, f"retry=[{','.join(retry)}]")
    if broken and arguments:
        yield "go on once the shards are mended", _curate(*again)
    if scored:
        current = run.settings.filter.thresholds.unsafe
        threshold = OTHER_THRESHOLD if current == THRESHOLD else THRESHOLD
        yield "split by another threshold", _curate("filter", folder, f"filter.thresholds.unsafe={threshold}")
    if any(splits.values()):
        yield "load it", load_command(run, splits)
    yield "audit it", _curate("verify", folder)


def load_command(run: Run, splits: Mapping[str, int]) -> str:
    """Loads the clean split, another that holds something, or the annotations where splits are lists of keys."""
    split = next((name for name in (CLEAN, *splits) if splits.get(name)), None)
    module, expression = _loading(run, run.settings.output.dir.rstrip("/"), split)
    return f"{python()} -c {shlex.quote(f'import {module}; print({expression})')}"


def _loading(run: Run, folder: str, split: str | None) -> tuple[str, str]:
    """What to import, and an expression that loads `split` of a run in `folder`."""
    form = run.settings.filter.write
    parts = "*/" if split == CLEAN and run.settings.filter.subdivide else ""
    if is_url(folder) or (glob.has_magic(folder) and form != "webdataset"):
        # `datasets` reads cards from folders and from the hub only, and takes the names of folders for patterns.
        files = f"splits/{split}/{parts}*.parquet" if split and form == "parquet" else "annotations/**/*.parquet"
        place = folder if is_url(folder) else glob.escape(folder)
        arguments = f'"parquet", data_files={_quoted(f"{place}/{files}")}'
        return "datasets", f'datasets.load_dataset({arguments}, split="train")'
    if split and form == "webdataset":
        # `datasets` reads tars only where all samples have the same members, which crawls do not.
        tars = f"sorted(glob.glob({_quoted(f'{glob.escape(folder)}/splits/{split}/{parts}*.tar')}))"
        return "glob, webdataset", f"list(next(iter(webdataset.WebDataset({tars}, shardshuffle=False))))"
    config = split if split and form == "parquet" else "annotations"
    # The subsets of a split that has some are what `datasets` calls its splits.
    chosen = "" if parts and config == split else ', split="train"'
    return "datasets", f"datasets.load_dataset({_quoted(folder)}, {_quoted(config)}{chosen})"


def _curate(*arguments: str) -> str:
    return f"{invocation()} {shlex.join(arguments)}"


def _quoted(text: str) -> str:
    """As a literal of Python in double quotes, which a shell's single quotes can hold."""
    return json.dumps(text, ensure_ascii=False)
