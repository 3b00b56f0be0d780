"""How fast does each core feed the engine, and does one of 100 images a second wait? From 640 x 480 JPEGs in tars.

The floor is what one core does with these pictures when nothing else happens: decode them and render them for vLLM.
The job's rate counts from the engine's first answer to its last, through reading, worker processes, journal and commits
as in every run. An engine of 100 images a second can wait for nothing only where the cores feed that many.
"""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from curate.annotation.preprocess_pool import Limits, prepare
from curate.cli.hydra_config import compose_settings
from curate.judges.questions import questions_of
from curate.pipeline.annotating import annotate
from curate.pipeline.opening import open_settings
from curate.sources.registry import source_for
from tests.benchmarks.measuring import Ratio, Result, alternate_timed, photograph_tars, stopwatch
from tests.benchmarks.stand_in import NAME, StandIn, built
from tests.support.jobs import rows

SHARDS, EACH, ENGINE_RATE, REPEATS = 3, 300, 100, 3
FLOOR = "floor: one core, decode and pre-processing alone"


def run(folder: Path) -> Result:
    """The job with one and with two preparing processes, unbounded and at the engine's rate, against the floor."""
    photograph_tars(folder, SHARDS, EACH)
    numbers = itertools.count()
    idle: dict[str, list[float]] = defaultdict(list)
    labels: list[list[tuple[object, object]]] = []

    def job(engines: list[StandIn], name: str, *more: str) -> float:
        output = folder / f"run-{next(numbers)}"
        overrides = [*_base(folder), f"engine.name={NAME}", f"output.dir={output}", *more]
        annotate(open_settings(compose_settings(overrides)))
        labels.append([(r["key"], r["rating"]) for r in rows(output)])
        idle[name].append(engines[-1].idle_share)
        return engines[-1].seconds_an_answer * SHARDS * EACH

    result = Result(name="feeding", unit="images/s", checked="", floor=FLOOR)
    with built() as engines:
        contenders = {FLOOR: _floor(folder)}
        for workers in (1, 2):
            for name, more in _variants(workers):
                contenders[name] = lambda name=name, more=more: job(engines, name, *more)
        alternate_timed(contenders, SHARDS * EACH, result, repeats=REPEATS, warm_up=False)
    assert all(found == labels[0] for found in labels)
    assert len(labels[0]) == SHARDS * EACH
    result.checked = f"{len(labels[0])} equal labels in each of {len(labels)} jobs"
    for workers in (1, 2):
        (unbounded, _), (bounded, _) = _variants(workers)
        result.ratios[f"rate of each core with {workers} worker(s) to the floor"] = Ratio(
            value=result.ratio(unbounded, FLOOR) / workers, at_least=0.9 if workers == 1 else None
        )
        result.notes[f"idle share, {bounded}"] = statistics.median(idle[bounded])
    result.notes["cores that an engine of 100 images/s takes"] = ENGINE_RATE / result.median(_variants(1)[0][0])
    return result


def _variants(workers: int) -> list[tuple[str, list[str]]]:
    """The job with so many workers: the engine unbounded, and at its rate."""
    chosen = f"engine.workers={workers}"
    name = f"job, {workers} worker(s)"
    return [(name, [chosen]), (f"{name}, engine of {ENGINE_RATE}/s", [chosen, f"engine.args.rate={ENGINE_RATE}"])]


def _base(folder: Path) -> list[str]:
    return ["+dataset=laion_subset", f"dataset.shards={folder}/*.tar"]


def _floor(folder: Path) -> Callable[[], float]:
    settings = compose_settings(_base(folder))
    (question,) = questions_of(settings)
    limits = Limits.of(settings.dataset)
    renderer = StandIn(settings.model, settings.engine).renderer_factory()()
    source = source_for("webdataset")
    shards = source.shards([str(p) for p in sorted(folder.glob("*.tar"))], settings.dataset)
    samples = [s for shard in shards for s in source.samples(shard, settings.dataset)]

    def work() -> None:
        for sample in samples:
            assert prepare(sample, (question,), renderer, limits).payloads

    return lambda: stopwatch(work)
