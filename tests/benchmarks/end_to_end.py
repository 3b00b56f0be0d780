"""From tars on disk to committed Parquet, against vLLM's own `LLM.generate` over pictures decoded in memory.

A fair contender gives the same outputs: rating, category, rationale for every picture and p_unsafe. It is asked in one
pass, all of them in one call, so that vLLM batches at will; that is less work than curate's two passes, and cannot tell
the probability mass of the ratings. In two passes it tells all that curate does. It has the same engine arguments, the
same prompt and the same grammar, is loaded and warm (its caches are emptied between repetitions), reads and decodes
nothing and writes nothing.

Threads: the same for both, one for the model, vLLM's processes as it starts them by default, so that rendering on the
caller's thread runs beside the model as it does in curate. With the model in the caller's process and two threads it
gets both cores in another way. Every repetition of curate is a new process, timed from the loaded engine to the last
commit: what `LLM.generate` was spared by its warm-up is in curate's time.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.benchmarks.generating import Asked, Generator
from tests.benchmarks.judging import Verdicts, curate_job, differences, engine_environment, judge_settings, unlike
from tests.benchmarks.measuring import Ratio, Result, alternate_timed, fitting
from tests.benchmarks.pictures import Picture, sample_pictures, write_tars
from tests.benchmarks.resident import Ask, resident

REPEATS = 3
SECONDS = 20.0
"""About what one contender's repetition should take; the number of pictures follows."""
PROBE, FEWEST, MOST = 16, 32, 288

OURS = "curate, tar to Parquet"
ONE_PASS = "LLM.generate, decoded, one pass"
TWO_PASSES = "LLM.generate, decoded, two passes"
TWO_THREADS = "LLM.generate, decoded, one pass, one process, two threads"


def run(folder: Path) -> Result:
    """Three contenders with one thread for the model, one with two."""
    settings = judge_settings()
    with ExitStack() as stack:
        build = partial(Generator, settings)
        default = stack.enter_context(resident(build, engine_environment(VLLM_ENABLE_V1_MULTIPROCESSING="1")))
        threads = stack.enter_context(resident(build, engine_environment(OMP_NUM_THREADS="2")))
        pictures = _fitting(default)
        threads(Asked({p.key: p.image for p in pictures[:PROBE]}))
        shards = write_tars(folder / "tars", pictures)
        images = {p.key: p.image for p in pictures}
        verdicts: dict[str, Verdicts] = {}

        def ours() -> float:
            times, verdicts[OURS] = curate_job(folder / "run", shards)
            return times.judging

        def generate(name: str, ask: Ask, passes: int) -> float:
            answered = ask(Asked(images, passes))
            verdicts[name] = answered.answer
            return answered.seconds

        result = Result(name="end_to_end", unit="images/s", checked="")
        contenders = {
            OURS: ours,
            ONE_PASS: partial(generate, ONE_PASS, default, 1),
            TWO_PASSES: partial(generate, TWO_PASSES, default, 2),
            TWO_THREADS: partial(generate, TWO_THREADS, threads, 1),
        }
        alternate_timed(contenders, len(pictures), result, repeats=REPEATS, warm_up=False)
    return _compared(result, verdicts)


def _fitting(ask: Ask) -> list[Picture]:
    """As many pictures of the sample as are judged in `SECONDS`; warms the contender up, too."""
    probe = Asked({p.key: p.image for p in sample_pictures(PROBE)})
    ask(probe)
    pace = PROBE / ask(probe).seconds
    return sample_pictures(fitting(pace, SECONDS, fewest=FEWEST, most=MOST))


def _compared(result: Result, verdicts: dict[str, Verdicts]) -> Result:
    others = [name for name in verdicts if name != OURS]
    for name in others:
        result.ratios[f"ratings that are not curate's, {name}"] = Ratio(
            value=unlike(verdicts[OURS], verdicts[name]), at_most=0.0
        )
        result.notes[f"outputs, {name}"] = differences(verdicts[OURS], verdicts[name])
        result.ratios[f"curate to {name}"] = Ratio(value=result.ratio(OURS, name), at_least=1.0)
    result.checked = f"verdicts on {len(verdicts[OURS])} pictures compared with each contender's"
    for name, judged in verdicts.items():
        result.notes[f"output tokens an image, {name}"] = sum(j.output_tokens for j in judged.values()) / len(judged)
        result.notes[f"prompt tokens an image, {name}"] = sum(j.prompt_tokens for j in judged.values()) / len(judged)
    # The model alone, as far as anything shows it.
    result.floor = max(others, key=result.median)
    return result
