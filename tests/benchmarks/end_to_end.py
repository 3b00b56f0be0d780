"""From tars on disk to committed Parquet, against vLLM's own `LLM.generate` over pictures decoded in memory.

A fair contender gives the same outputs: rating, category, rationale for every picture and p_unsafe. It is asked in one
pass, all of them in one call, so that vLLM batches at will; that is less work than curate's two passes, and cannot tell
the probability mass of the ratings. In two passes it tells all that curate does. It has the same engine arguments, the
same prompt and the same grammar, is loaded and warm (its caches are emptied between repetitions), reads and decodes
nothing and writes nothing.

Threads: the same for both, as many for the model as curate gives it, and waiting in the same way. vLLM's processes are
as it starts them by default, so that rendering on the caller's thread runs beside the model as it does in curate. They
meet on few cores, so that one more contender has one thread for the model, and another the model in the caller's
process, where nothing competes with it and nothing runs beside it. Every repetition of curate is a new process, timed
from the loaded engine to the last commit: what `LLM.generate` was spared by its warm-up is in curate's time.

Two threads of one model wait for each other. A second job has an engine of one thread for each core
(`engine.processes`), each timed from its first request to its last answer, and so has the floor: an `LLM` in a process
of its own on each core, and half of the pictures.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.benchmarks.generating import Asked, Generator
from tests.benchmarks.judging import (
    Verdicts,
    curate_job,
    differences,
    engine_environment,
    judge_settings,
    judging_seconds,
    mean_of,
    unlike,
)
from tests.benchmarks.measuring import Ratio, Result, alternate_timed, fitting
from tests.benchmarks.pictures import Picture, sample_pictures, write_tars
from tests.benchmarks.resident import Ask, resident

REPEATS = 3
SECONDS = 25.0
"""About what one contender's repetition should take; the number of pictures follows."""
PROBE, FEWEST, MOST = 16, 32, 288

OURS = "curate, tar to Parquet"
ONE_PASS = "LLM.generate, decoded, one pass"
TWO_PASSES = "LLM.generate, decoded, two passes"
ONE_THREAD = "LLM.generate, decoded, one pass, one thread"
ONE_PROCESS = "LLM.generate, decoded, one pass, one process"
OURS_EACH_CORE = "curate, tar to Parquet, an engine for each core"
EACH_CORE = "LLM.generate, decoded, one pass, one process for each core"


def run(folder: Path) -> Result:
    """Curate and vLLM alone, each in several ways."""
    settings = judge_settings()
    cores = len(os.sched_getaffinity(0))
    with ExitStack() as stack:
        build = partial(Generator, settings)
        each = [stack.enter_context(resident(build, engine_environment(OMP_NUM_THREADS="1"))) for _ in range(cores)]
        default = stack.enter_context(resident(build, _default()))
        alone = stack.enter_context(resident(build, engine_environment()))
        thread = stack.enter_context(resident(build, _default(OMP_NUM_THREADS="1")))
        pictures = _fitting(default)
        for warm_up in (alone, thread, *each):
            warm_up(Asked({p.key: p.image for p in pictures[:PROBE]}))
        shards = write_tars(folder / "tars", pictures, shards=cores)
        images = {p.key: p.image for p in pictures}
        verdicts: dict[str, Verdicts] = {}

        def ours() -> float:
            times, verdicts[OURS] = curate_job(folder / "run", shards)
            return times.judging

        def ours_each_core() -> float:
            # A shard each, as the floor has: a job of hours has so many that it does not matter who gets the last.
            engines = (f"engine.processes={cores}", "engine.shards_in_flight=1")
            _, verdicts[OURS_EACH_CORE] = curate_job(folder / "run", shards, *engines)
            return judging_seconds(folder / "run")

        def each_core() -> float:
            parts = [dict(list(images.items())[number::cores]) for number in range(cores)]
            with ThreadPoolExecutor(cores) as pool:
                answered = list(pool.map(lambda ask, part: ask(Asked(part)), each, parts))
            found = {key: verdict for part in answered for key, verdict in part.answer.items()}
            verdicts[EACH_CORE] = {key: found[key] for key in images}
            return max(part.seconds for part in answered)

        def generate(name: str, ask: Ask, passes: int) -> float:
            answered = ask(Asked(images, passes))
            verdicts[name] = answered.answer
            return answered.seconds

        result = Result(name="end_to_end", unit="images/s", checked="")
        contenders = {
            OURS: ours,
            OURS_EACH_CORE: ours_each_core,
            ONE_PASS: partial(generate, ONE_PASS, default, 1),
            TWO_PASSES: partial(generate, TWO_PASSES, default, 2),
            ONE_THREAD: partial(generate, ONE_THREAD, thread, 1),
            ONE_PROCESS: partial(generate, ONE_PROCESS, alone, 1),
            EACH_CORE: each_core,
        }
        alternate_timed(contenders, len(pictures), result, repeats=REPEATS, warm_up=False)
    return _compared(result, verdicts)


def _default(**changes: str) -> dict[str, str]:
    """Environment in which vLLM starts the processes that it starts where nobody chooses."""
    return engine_environment(VLLM_ENABLE_V1_MULTIPROCESSING="1", **changes)


def _fitting(ask: Ask) -> list[Picture]:
    """As many pictures of the sample as are judged in `SECONDS`; warms the contender up, too."""
    probe = Asked({p.key: p.image for p in sample_pictures(PROBE)})
    ask(probe)
    pace = PROBE / ask(probe).seconds
    return sample_pictures(fitting(pace, SECONDS, fewest=FEWEST, most=MOST))


def _compared(result: Result, verdicts: dict[str, Verdicts]) -> Result:
    for name in verdicts:
        if name != OURS:
            result.ratios[f"ratings that are not curate's, {name}"] = Ratio(
                value=unlike(verdicts[OURS], verdicts[name]), at_most=0.0
            )
            result.notes[f"outputs, {name}"] = differences(verdicts[OURS], verdicts[name])
    for name in (ONE_PASS, TWO_PASSES, ONE_THREAD, ONE_PROCESS):
        result.ratios[f"curate to {name}"] = Ratio(value=result.ratio(OURS, name), at_least=1.0)
        result.ratios[f"curate with an engine for each core to {name}"] = Ratio(
            value=result.ratio(OURS_EACH_CORE, name), at_least=1.0
        )
    result.checked = f"verdicts on {len(verdicts[OURS])} pictures compared with each contender's"
    for name, judged in verdicts.items():
        for kind in ("output", "prompt"):
            result.notes[f"{kind} tokens an image, {name}"] = mean_of(judged, f"{kind}_tokens")
    result.floor = EACH_CORE  # the model alone, as far as anything shows it
    return result
