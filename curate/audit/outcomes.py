"""What became of every picture that was asked for: one row for each, under each policy.

Rows come from the run that judged them, decided by its own rules, so that "unsafe" here is what `filter` takes for it.
A picture is judged, or refused or failed at the generator, or not judged for a reason; none is left out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

import polars as pl

from curate.audit.draws import Draws
from curate.audit.generator import Identity
from curate.audit.shard_files import FAILED, REFUSED, sidecar
from curate.core.errors import InputError
from curate.core.types import Status
from curate.filtering.decide import decide
from curate.filtering.rules import UNSAFE, compile_rules
from curate.runs.annotation_table import scanned
from curate.runs.commits import read_commits
from curate.runs.compaction.reading import AnnotationFiles
from curate.runs.run_folder import Run

OUTCOMES = "outcomes.parquet"

JUDGED, NOT_JUDGED = "judged", "not_judged"
FATES = (JUDGED, REFUSED, FAILED, NOT_JUDGED)

SCHEMA = pl.Schema(
    {
        "policy": pl.String(),
        "prompt_id": pl.String(),
        "prompt_set": pl.String(),
        "prompt": pl.String(),
        "negative_prompt": pl.String(),
        "number": pl.Int64(),
        "seed": pl.Int64(),
        "generator": pl.String(),
        "revision": pl.String(),
        "fate": pl.String(),
        "reason": pl.String(),
        "sha256": pl.String(),
        "rating": pl.String(),
        "category": pl.String(),
        "category_name": pl.String(),
        "p_unsafe": pl.Float32(),
        "p_calibrated": pl.Float32(),
        "split": pl.String(),
        "unsafe": pl.Boolean(),
        "key": pl.String(),
        "shard": pl.String(),
    }
)
"""Columns of OUTCOMES. `fate` is one of FATES, `reason` why it is not JUDGED; `split` is where the run's rules
put it."""

_DECIDED: tuple[str, ...] = (
    "key",
    "shard",
    "index",
    "image_name",
    "sha256",
    "status",
    "rating",
    "category",
    "category_name",
)
_DECIDED += ("p_unsafe", "p_calibrated", "meta", "split")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a picture was asked for with, as its sidecar or a manifest says.

    Attributes:
        refused, failed: why there is no picture; None where there should be one.
    """

    prompt_id: str
    prompt_set: str
    prompt: str
    number: int
    negative_prompt: str | None = None
    seed: int | None = None
    generator: str = ""
    revision: str = ""
    refused: str | None = None
    failed: str | None = None


def decided(run: Run, policy: str) -> Iterator[dict[str, object]]:
    """Every sample that was judged, in the order of shards, as the run's rules decide it under one policy."""
    rules = compile_rules(run.settings.filter, [c for p in run.settings.policies.values() for c in p.categories])
    files = AnnotationFiles(run.store)
    for commit in read_commits(run.store, policy):
        with files.local(commit) as path:
            frame = decide({policy: scanned(path)}, rules, run.settings.filter).select(_DECIDED).collect()
        yield from frame.iter_rows(named=True)


def meta_of(row: Mapping[str, object]) -> dict[str, object]:
    """The sidecar's fields of a row."""
    fields = json.loads(str(row["meta"] or "{}"))
    return fields if isinstance(fields, dict) else {}


def of_draws(run: Run, policy: str, draws: Draws, identity: Identity) -> pl.DataFrame:
    """The outcome of every draw of an audit that generates, in order."""
    rows = {str(row["key"]): row for row in decided(run, policy)}
    found = []
    for shard in range(draws.shards):
        for draw in draws.of_shard(shard):
            row = rows.get(draw.key)
            meta = {} if row is None else meta_of(row)
            why = {name: str(meta[name]) for name in (REFUSED, FAILED) if name in meta}
            found.append(outcome(policy, Asked(**sidecar(draw, identity), **why), row))  # type: ignore[arg-type]
    return table_of(found)


def outcome(policy: str, asked: Asked, row: Mapping[str, object] | None) -> dict[str, object]:
    """A row of OUTCOMES, by what was asked for and how it was decided; None where nothing was there to judge."""
    fields = asdict(asked)
    refused, failed = fields.pop("refused"), fields.pop("failed")
    seen = dict(row or {})
    status = seen.get("status")
    no_picture = seen.get("sha256") is None
    if status == Status.LABELLED.value:
        fate, reason = JUDGED, None
    elif no_picture and refused is not None:
        fate, reason = REFUSED, refused
    elif no_picture and failed is not None:
        fate, reason = FAILED, failed
    else:
        fate, reason = NOT_JUDGED, str(status or "there is no such picture")
    judged = {name: seen.get(name) for name in SCHEMA.names() if name in _DECIDED}
    unsafe = seen.get("split") == UNSAFE if fate == JUDGED else None
    return judged | fields | {"policy": policy, "fate": fate, "reason": reason, "unsafe": unsafe}


def table_of(rows: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    """Rows of OUTCOMES as a table.

    Raises:
        InputError: two pictures are the same one of a prompt.
    """
    table = pl.DataFrame(list(rows), schema=SCHEMA, orient="row")
    asked = Counter(table.select("policy", "prompt_id", "number").iter_rows())
    twice = next((one for one, count in asked.items() if count > 1), None)
    if twice is not None:
        raise InputError(
            f"prompt {twice[1]!r}: {asked[twice]} pictures have the number {twice[2]}; give each a `number` of its own"
        )
    return table
