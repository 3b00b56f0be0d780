"""What `run` ends with: what came out, where it lies, and the line that loads it."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

import polars as pl

from curate.compaction.files import AnnotationFiles
from curate.engines.dtype import AUTO
from curate.failures import read_failures
from curate.ledger import read_commits
from curate.open_store import is_url
from curate.pace import pace
from curate.policy import BY_ROW
from curate.recording import read_metrics
from curate.row_policies import FOLDER as POLICIES
from curate.row_policies import codes_of, read_policies
from curate.run_folder import Run
from curate.types import Rating

WIDTH = 110
EXAMPLES = 3


def summary(run: Run, splits: Mapping[str, int]) -> Iterator[str]:
    """Lines for a person: counts under each policy, examples, splits, failures, how to load.

    Args:
        run: a finished run.
        splits: number of samples by split.
    """
    if run.settings.model.warning:
        yield from ("", *textwrap.wrap(f"Mind: {run.settings.model.warning}", WIDTH))
    for policy in run.settings.passes:
        yield ""
        yield from _counts(run, policy)
    yield from ("", f"{EXAMPLES} examples")
    yield from _examples(run)
    yield from ("", "splits      " + "   ".join(f"{name} {count}" for name, count in splits.items()))
    yield from pace(read_metrics(run.store))
    yield from _failures(run)
    yield from _where(run, splits)


def _counts(run: Run, policy: str) -> Iterator[str]:
    statuses: Counter[str] = Counter()
    ratings: Counter[str] = Counter()
    categories: Counter[str] = Counter()
    reused = 0
    for commit in read_commits(run.store, policy):
        statuses.update(commit.statuses)
        ratings.update(commit.ratings)
        categories.update(commit.categories)
        reused += commit.reused
    dtype = run.fingerprints[policy].parts.get("model.dtype", AUTO)
    form = "" if dtype == AUTO else f" in {dtype}"
    yield f"{_under(run, policy)}: {statuses.total()} samples judged by {run.settings.model.name}{form}"
    yield f"  rating    {_listed(ratings)}"
    names = _category_names(run, policy)
    for code, count in sorted(categories.items()):
        yield f"  {count:>9} Unsafe as {code}: {names.get(code, '')}"
    failed = {status: count for status, count in statuses.items() if status != "labelled"}
    if failed:
        yield f"  no label  {_listed(failed)}"
    if reused:
        yield f"  reused    {reused} of these labels, from identical pictures or earlier runs"


def _under(run: Run, policy: str) -> str:
    if policy != BY_ROW:
        return f"policy {policy}"
    return f"each row under its own policy, {len(run.store.names(POLICIES))} of them"


def _category_names(run: Run, policy: str) -> Mapping[str, str]:
    if policy != BY_ROW:
        return codes_of([run.settings.policies[policy]])
    return codes_of(read_policies(run.store))


def _examples(run: Run) -> Iterator[str]:
    """The first rows of each rating, so that both are seen where both are there."""
    policy = run.settings.passes[0]
    firsts = [_first_rows(run, policy, rating) for rating in Rating]
    for row in [row for rank in zip_longest(*firsts) for row in rank if row][:EXAMPLES]:
        probability = "" if row["p_unsafe"] is None else f"  p_unsafe {row['p_unsafe']:.2f}"
        yield f"  {row['key']}: {row['rating']}, {row['category']}{probability}"
        if row["rationale"]:
            yield from textwrap.wrap(
                row["rationale"],
                WIDTH,
                initial_indent="    ",
                subsequent_indent="    ",
                max_lines=2,
                placeholder=" ...",
            )


def _first_rows(run: Run, policy: str, rating: Rating) -> list[dict[str, Any]]:
    """The first `EXAMPLES` rows with `rating`; opens no more shards than hold them."""
    found: list[dict[str, Any]] = []
    files = AnnotationFiles(run.store)
    for commit in read_commits(run.store, policy):
        if len(found) < EXAMPLES and commit.ratings.get(rating):
            with files.local(commit) as path:
                rated = pl.scan_parquet(path).filter(pl.col("rating") == rating.value)
                found += rated.head(EXAMPLES - len(found)).collect().to_dicts()
    return found


def _failures(run: Run) -> Iterator[str]:
    for failure in read_failures(run.store):
        yield f"shard {failure.shard} ({failure.url}): {failure.reason}"


def _where(run: Run, splits: Mapping[str, int]) -> Iterator[str]:
    folder = run.settings.output.dir.rstrip("/")
    yield f"folder      {folder}"
    yield f"card        {folder}/README.md"
    first = next((name for name in ("clean", *splits) if splits.get(name)), None)
    yield f"load it     {_load_line(run, folder, first)}"


def _load_line(run: Run, folder: str, split: str | None) -> str:
    """The line of Python that loads `split`, or the annotations where splits are lists of keys or empty."""
    form = run.settings.filter.write
    if is_url(folder):
        # `datasets` reads cards from folders and from the hub only.
        files = f"splits/{split}/*.parquet" if split and form == "parquet" else "annotations/**/*.parquet"
        return f'datasets.load_dataset("parquet", data_files={f"{folder}/{files}"!r}, split="train")'
    if split and form == "parquet":
        return f'datasets.load_dataset({folder!r}, "{split}", split="train")'
    if split and form == "webdataset":
        # `datasets` reads tars only where all samples have the same members, which crawls do not.
        return f"webdataset.WebDataset(sorted(glob.glob({f'{folder}/splits/{split}/*.tar'!r})))"
    return f'datasets.load_dataset({folder!r}, "annotations", split="train")'


def _listed(counts: Mapping[str, int]) -> str:
    return "   ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
