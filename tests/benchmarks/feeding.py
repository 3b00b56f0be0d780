"""Does a stand-in engine of 100 images a second ever wait? From 640 x 480 JPEGs in tars to committed Parquet.

The floor is what one core does with these pictures when nothing else happens: read, hash, decode, render for the
stand-in (whose rendering costs nothing). An engine of 100 images a second is kept busy by a job of that rate.
The job's figures hold all of it: planning, start of the worker processes, checkpoints, commits.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from curate.asking import questions_of
from curate.config import compose_settings
from curate.preparing import Limits, prepare
from curate.running import annotate, open_settings
from curate.sources import source_for
from curate.testing.fake_engine import FakeEngine
from tests.benchmarks.measuring import Result, alternate, photograph_tars
from tests.jobs import rows

SHARDS, EACH, ENGINE_RATE = 4, 300, 100


def run(folder: Path) -> Result:
    """The job with one and with two preparing processes, unbounded and at the engine's rate, against the floor."""
    photograph_tars(folder, SHARDS, EACH)
    numbers = itertools.count()

    def job(*more: str) -> Path:
        output = folder / f"run-{next(numbers)}"
        shards = f"dataset.shards={folder}/*.tar"
        overrides = ["+dataset=laion_subset", shards, "engine=fake", f"output.dir={output}", *more]
        annotate(open_settings(compose_settings(overrides)))
        return output

    def floor() -> int:
        settings = compose_settings(["+dataset=laion_subset", f"dataset.shards={folder}/*.tar", "engine=fake"])
        renderer = FakeEngine(settings.model, settings.engine).renderer_factory()()
        limits = Limits(max_bytes=settings.dataset.max_bytes, max_pixels=settings.dataset.max_pixels)
        source = source_for("webdataset")
        shards = source.shards([str(p) for p in sorted(folder.glob("*.tar"))], settings.dataset)
        samples = (s for shard in shards for s in source.samples(shard, settings.dataset))
        return sum(len(prepare(s, questions_of(settings), renderer, limits).payloads) for s in samples)

    labels = [[(r["key"], r["rating"]) for r in rows(job(f"engine.workers={n}"))] for n in (1, 2)]
    assert labels[0] == labels[1]
    assert len(labels[0]) == floor() == SHARDS * EACH
    result = Result(name="feeding", unit="images/s", checked=f"{len(labels[0])} equal labels with one and two workers")
    contenders = {
        "floor: one core, read + decode alone": floor,
        "job, 1 worker": lambda: job("engine.workers=1"),
        "job, 2 workers": lambda: job("engine.workers=2"),
        "job, 1 worker, engine of 100/s": lambda: job("engine.workers=1", f"engine.args.rate={ENGINE_RATE}"),
    }
    alternate(contenders, SHARDS * EACH, result, repeats=3)
    result.notes["one worker to the floor"] = result.median("job, 1 worker") / result.median(next(iter(contenders)))
    result.notes["share of an engine of 100/s kept busy"] = (
        result.median("job, 1 worker, engine of 100/s") / ENGINE_RATE
    )
    return result
