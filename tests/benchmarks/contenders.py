"""What users would run instead, over the same pictures on disk, with the same model, prompt and bound on tokens.

The model cards' loop, the plain script around `LLM.generate`, and pipelines that speak to `vllm serve`. All are loaded
and warm, with caches that do not know the pictures, and only their work is timed; curate starts anew each time and is
timed from its loaded engine to the last commit. vLLM has the threads that curate gives it; transformers has all
cores. Only curate's outputs hold p_unsafe with the mass of the ratings, and only curate's are committed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from curate.settings.run import Settings
from tests.benchmarks.judging import Verdicts, curate_job, differences, engine_environment, judge_settings
from tests.benchmarks.measuring import Ratio, Result, alternate_timed, fitting
from tests.benchmarks.model_card import Loop, ModelCard
from tests.benchmarks.pictures import sample_pictures, write_files, write_tars
from tests.benchmarks.plain_script import PlainScript, Script
from tests.benchmarks.resident import Ask, resident
from tests.benchmarks.served import PYTHON, ScriptFailed, forget, run_script, served, task_for

REPEATS, SECONDS, PROBE, FEWEST, MOST = 3, 20.0, 16, 24, 200
OURS = "curate, tar to Parquet"
PLAIN = "plain script, LLM.generate and JSON files"
LOOPS = {"transformers loop, batch 1": 1, "transformers loop, batch 8": 8}
PEERS = {
    "Daft prompt, vllm serve": "daft_prompt",
    "datatrove InferenceRunner, vllm serve": "datatrove_runner",
    "Ray Data LLM over HTTP, vllm serve": "ray_data_llm",
}


def run(folder: Path) -> Result:
    """All that can run here, in turn."""
    settings = judge_settings()
    result = Result(name="contenders", unit="images/s", checked="")
    verdicts: dict[str, Verdicts] = {}
    with ExitStack() as stack:
        default = engine_environment(VLLM_ENABLE_V1_MULTIPROCESSING="1")
        every_core = engine_environment(OMP_NUM_THREADS=str(len(os.sched_getaffinity(0))))
        plain = stack.enter_context(resident(partial(PlainScript, settings), default))
        loop = stack.enter_context(resident(partial(ModelCard, settings), every_core))
        pictures = sample_pictures(_count(plain, folder))
        files, shards = tuple(write_files(folder / "files", pictures)), write_tars(folder / "tars", pictures)

        def ours() -> float:
            times, verdicts[OURS] = curate_job(folder / "run", shards)
            return times.judging

        def keep(name: str, ask: Ask, question: object) -> float:
            answered = ask(question)
            verdicts[name] = answered.answer
            return answered.seconds

        contenders: dict[str, Callable[[], float]] = {
            OURS: ours,
            PLAIN: partial(keep, PLAIN, plain, Script(files, folder / "answers")),
        }
        contenders |= {name: partial(keep, name, loop, Loop(files, batch)) for name, batch in LOOPS.items()}
        contenders |= _peers(stack, settings, folder, result, verdicts)
        alternate_timed(contenders, len(pictures), result, repeats=REPEATS, warm_up=False)
    return _compared(result, verdicts)


def _count(plain: Ask, folder: Path) -> int:
    """As many pictures as the plain script judges in `SECONDS`; warms it up, too."""
    script = Script(tuple(write_files(folder / "probe", sample_pictures(PROBE))), folder / "probed")
    plain(script)
    return fitting(PROBE / plain(script).seconds, SECONDS, fewest=FEWEST, most=MOST)


def _peers(
    stack: ExitStack, settings: Settings, folder: Path, result: Result, verdicts: dict[str, Verdicts]
) -> dict[str, Callable[[], float]]:
    """Other pipelines, those of them that run here; each is tried on all pictures first."""
    if not PYTHON.is_file():
        result.skipped |= dict.fromkeys(PEERS, "not installed; `make bench-contenders` does")
        return {}
    try:
        url = stack.enter_context(served(settings, folder))
    except ScriptFailed as error:
        result.skipped |= dict.fromkeys(PEERS, str(error))
        return {}

    def work(name: str) -> float:
        forget(url)
        seconds, verdicts[name] = run_script(PEERS[name], task_for(url, folder / "files", settings), folder, settings)
        return seconds

    found: dict[str, Callable[[], float]] = {}
    for name in PEERS:
        try:
            work(name)
        except ScriptFailed as error:
            result.skipped[name] = str(error)
        else:
            found[name] = partial(work, name)
    return found


def _compared(result: Result, verdicts: dict[str, Verdicts]) -> Result:
    for name in result.rates:
        if name != OURS:
            result.ratios[f"curate to {name}"] = Ratio(value=result.ratio(OURS, name), at_least=1.0)
            result.notes[f"outputs, {name}"] = differences(verdicts[OURS], verdicts[name])
            unread = sum(judged.rating is None for judged in verdicts[name].values())
            result.notes[f"answers that do not parse, {name}"] = f"{unread} of {len(verdicts[name])}"
    result.checked = f"verdicts on {len(verdicts[OURS])} pictures compared with each contender's: see the notes"
    return result
