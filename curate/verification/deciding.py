"""Law 2 and 6: each sample of a shard is in the split that the recorded rules give it, calibrated where they say so.

The rules are applied to the annotations as they are now, by the code that decides; what is read here for it is where
samples are, which no code of the filter stage's writers tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from curate.filtering.decide import decide_windows
from curate.runs.annotation_table import scanned
from curate.verification.evidence import Checked, Evidence, Finding, Law
from curate.verification.folder import Folder, Judged
from curate.verification.split_files import Placed, PlacedRow
from curate.verification.split_set import Deciding, SplitSet


def check_decisions(
    folder: Folder, splits: SplitSet, judged: Sequence[Judged], placed: Mapping[int, Placed]
) -> Iterator[Evidence]:
    """One shard.

    Args:
        folder: the run.
        splits: they hold the rules.
        judged: the shard under each pass that decided.
        placed: where its samples are, by index.
    """
    if splits.deciding is None:
        return
    decided = {index: (key, part) for index, key, part in _decisions(folder, splits.deciding, judged)}
    yield Checked(Law.FAIL_CLOSED, "decisions", len(decided))
    if all(isinstance(item, PlacedRow) for item in placed.values()):
        yield from _by_index(decided, placed)
    else:
        yield from _by_key(decided, placed, judged[0])


def _decisions(folder: Folder, deciding: Deciding, judged: Sequence[Judged]) -> Iterator[tuple[int, str, str]]:
    """Index, key and part of each sample."""
    with ExitStack() as files:
        paths = {one.policy: files.enter_context(folder.files.local(one.placed)) for one in judged}
        rows = {policy: scanned(path) for policy, path in paths.items()}
        samples = max(one.samples for one in judged)
        single = all(one.samples == one.table.num_rows for one in judged)
        columns = ["index", "key", "part"]
        for window in decide_windows(rows, samples, deciding.rules, deciding.settings, columns, single=single):
            yield from window.iter_rows()


def _by_index(decided: Mapping[int, tuple[str, str]], placed: Mapping[int, Placed]) -> Iterator[Evidence]:
    for index, item in placed.items():
        key, part = decided[index]
        if item.part != part:
            yield Finding(Law.FAIL_CLOSED, item.where, f"key {key!r} is in {item.part}, the rules put it into {part}")


def _by_key(decided: Mapping[int, tuple[str, str]], placed: Mapping[int, Placed], shown: Judged) -> Iterator[Evidence]:
    """Members of a tar have no index, so that of samples with one key only their number in each part can be told."""
    there = Counter((decided[index][0], item.part) for index, item in placed.items())
    due = Counter(decided[index] for index in placed)
    for key, part in there - due:
        yield Finding(Law.FAIL_CLOSED, shown.name, f"key {key!r} is in {part}, the rules do not put it there")
