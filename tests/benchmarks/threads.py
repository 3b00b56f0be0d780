"""Threads of the model on this CPU, how they wait for each other, and how many sequences make a batch.

Each contender is `curate run` with the variables and settings of its name; all else is as curate chooses it. What it
chooses by itself is among them, so that the table shows whether the choice fits the machine.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from curate.engines.vllm_args import environment
from tests.benchmarks.judging import Verdicts, curate_job, unlike
from tests.benchmarks.measuring import Ratio, Result, alternate_timed
from tests.benchmarks.pictures import sample_pictures, write_tars

REPEATS = 3
OURS = "as curate chooses"
SPIN, SEQUENCES, STEP = "GOMP_SPINCOUNT", "engine.max_num_seqs", "+engine.args.max_num_batched_tokens"


def run(folder: Path) -> Result:
    """All ways, in turn."""
    pictures = sample_pictures()
    shards = write_tars(folder / "tars", pictures)
    result = Result(name="threads", unit="images/s", checked="")
    verdicts: dict[str, Verdicts] = {}

    def judge(name: str, variables: dict[str, str], overrides: list[str]) -> float:
        times, verdicts[name] = curate_job(folder / "run", shards, *overrides, environment=variables)
        return times.judging

    ways: dict[str, tuple[dict[str, str], list[str]]] = {
        OURS: ({}, []),
        "one thread": ({"OMP_NUM_THREADS": "1"}, []),
        "they sleep at once": ({"OMP_WAIT_POLICY": "passive", SPIN: "0"}, []),
        "they spin a thousand times": ({SPIN: "1000"}, []),
        "they spin a hundred thousand times": ({SPIN: "100000"}, []),
        "batches of 32": ({}, [f"{SEQUENCES}=32"]),
        "batches of 64": ({}, [f"{SEQUENCES}=64"]),
        "4,096 tokens a step": ({}, [f"{STEP}=4096"]),
        "keys and values in blocks of 128": ({}, ["+engine.args.block_size=128"]),
    }
    works = {name: partial(judge, name, *way) for name, way in ways.items()}
    alternate_timed(works, len(pictures), result, repeats=REPEATS, warm_up=False)
    for name in ways:
        if name != OURS:
            result.ratios[f"{name}, to ours"] = Ratio(value=result.ratio(name, OURS))
    most = max(unlike(verdicts[OURS], other) for other in verdicts.values())
    result.checked = (
        f"{most:.1%} of {len(pictures)} ratings at most are not ours, those within 0.02 of one half left out"
    )
    result.notes["threads that curate chooses here"] = environment(cpu=True)["OMP_NUM_THREADS"]
    return result
