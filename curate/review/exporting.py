"""A sample of a run on its way to reviewers: what they see in a folder, what they must not see in the run.

FOLDER/tasks.csv             a row for each task, to be filled in; tasks-second.csv: those for a second reviewer
FOLDER/images/               pictures, drawn anew
FOLDER/policy.txt            what they are to be judged under
FOLDER/label_studio.json     the same tasks for Label Studio, and label_studio.xml, its labelling interface
RUN/reviews/NAME/sample.parquet   which sample each task is, and what the safeguard said of it
RUN/reviews/NAME/strata.parquet   what it was drawn from
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from curate.core.errors import InputError
from curate.filtering.overrides import REVIEWS
from curate.filtering.stage import deciding_passes
from curate.filtering.table_files import to_parquet
from curate.judges.prompts import render_policy
from curate.policies.policy import BY_ROW, Policy
from curate.review import label_studio
from curate.review.drawing import Drawn, Purpose, draw, finished_stage
from curate.review.pictures import write_pictures
from curate.runs.run_folder import Run

COLUMNS = ("task", "images", "stratum", "inclusion_probability", "rating", "category", "reviewer", "time", "reason")
"""Of tasks.csv; reviewers fill in the last five."""
BETWEEN = " "
"""Between names of images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was drawn.

    Attributes:
        name: of the sample, below reviews/ in the run's folder; every task's name begins with it.
        tasks: how many.
        second: of them for a second reviewer, too.
    """

    name: str
    tasks: int
    second: int
    drawn: Drawn


def export(run: Run, folder: Path, *, purpose: Purpose, reviews: int, overlap: float, seed: int) -> Exported:
    """Draw a sample and write it for reviewers. Doing so again gives the same.

    Args:
        run: finished, its data reachable.
        folder: of this machine; new or empty, or that of the same sample.
        purpose: audit or triage.
        reviews: how many samples to draw.
        overlap: share of them that a second reviewer sees, too; of an audit.
        seed: of the draw.

    Raises:
        InputError: nothing is split, rows bring their own policies, or a source changed.
    """
    if BY_ROW in run.settings.passes:
        raise InputError("review: rows that bring their own policies cannot be drawn for review")
    stage = finished_stage(run)
    drawn = draw(stage, purpose, reviews, seed)
    given = json.dumps([drawn.digest, purpose, reviews, overlap, seed])
    name = f"{purpose}-{hashlib.sha256(given.encode()).hexdigest()[:8]}"
    _check_empty(folder, name)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = _named(drawn.rows, name, seed)
    images = write_pictures(rows, run.plan.shards, run.settings.dataset, folder / "images")
    rows = [row | {"images": images[row["task"]]} for row in rows]
    shown = sorted(rows, key=lambda row: str(row["task"]))
    second = shown[: round(len(shown) * overlap)] if purpose == "audit" else []
    deciding = deciding_passes(stage.settings, run.settings.passes)
    policies = {name: run.settings.policies[name] for name in deciding}
    (folder / "policy.txt").write_text(_text(policies), encoding="utf-8")
    (folder / "tasks.csv").write_text(_csv(shown, drawn), encoding="utf-8")
    (folder / "tasks-second.csv").write_text(_csv(second, drawn), encoding="utf-8")
    categories = {code: c.name for policy in policies.values() for code, c in policy.categories.items()}
    (folder / "categories.json").write_text(json.dumps(categories, ensure_ascii=False, indent=1), encoding="utf-8")
    (folder / "label_studio.xml").write_text(label_studio.config(categories), encoding="utf-8")
    model = None if purpose == "audit" else run.settings.shown_model.name
    tasks = label_studio.tasks(shown, f"{folder.name}/images", model)
    (folder / "label_studio.json").write_text(tasks, encoding="utf-8")
    _keep(run, name, rows, drawn)
    return Exported(name=name, tasks=len(rows), second=len(second), drawn=drawn)


def _check_empty(folder: Path, name: str) -> None:
    """A reviewer's work is never written over."""
    tasks = folder / "tasks.csv"
    if not tasks.exists():
        return
    with tasks.open(encoding="utf-8", newline="") as file:
        there = list(csv.DictReader(file))
    mine = all((row.get("task") or "").startswith(f"{name}-") for row in there)
    if not mine or any(row.get("rating") for row in there):
        raise InputError(f"{folder}: holds another sample, or verdicts; name a new folder with to=DIR")


def _named(rows: pl.DataFrame, name: str, seed: int) -> list[dict[str, Any]]:
    """Rows in the order of the plan, with tasks numbered in an order that tells nothing."""
    numbers = list(range(len(rows)))
    random.Random(seed).shuffle(numbers)
    width = len(str(len(rows)))
    return [
        {"task": f"{name}-{number:0{width}d}", **row}
        for number, row in zip(numbers, rows.iter_rows(named=True), strict=True)
    ]


def _csv(rows: Sequence[Mapping[str, Any]], drawn: Drawn) -> str:
    """Strata by number: their names would say what the safeguard thinks."""
    numbers = {kind.name: f"s{number:02d}" for number, kind in enumerate(drawn.kinds, 1)}
    out = io.StringIO()
    table = csv.DictWriter(out, COLUMNS, lineterminator="\n", extrasaction="ignore", restval="")
    table.writeheader()
    for row in rows:
        probability = row["inclusion_probability"]
        table.writerow(
            {
                "task": row["task"],
                "images": BETWEEN.join(row["images"]),
                "stratum": numbers.get(row["stratum"], ""),
                "inclusion_probability": "" if probability is None else f"{probability:.6g}",
            }
        )
    return out.getvalue()


def _text(policies: Mapping[str, Policy]) -> str:
    return "\n\n\n".join(f"# {name}\n\n{render_policy(policy)}" for name, policy in policies.items()) + "\n"


def _keep(run: Run, name: str, rows: Sequence[Mapping[str, Any]], drawn: Drawn) -> None:
    """In the run, which reviewers do not get."""
    sample = pl.DataFrame(rows, infer_schema_length=None).with_columns(
        digest=pl.lit(drawn.digest), fingerprint=pl.col("policy").replace_strict(_fingerprints(run), default=None)
    )
    strata = pl.DataFrame([asdict(kind) for kind in drawn.kinds], schema=_STRATA)
    for what, table in (("strata", strata), ("sample", sample)):
        run.store.create(f"{REVIEWS}/{name}/{what}.parquet", to_parquet(table))


_STRATA = {"name": pl.String, "split": pl.String, "population": pl.Int64, "p_unsafe": pl.Float64}


def _fingerprints(run: Run) -> dict[str, str]:
    return {name: fingerprint.digest for name, fingerprint in run.fingerprints.items()}
