"""Work that is not done, or not done twice: what each way of saving it brings.

One stream of pictures, of which the model rates 2 % Unsafe, is judged as `curate run` does by default and in other
ways, in turn; each repetition is a new process, timed from the loaded engine to the last commit. Another stream of as
many samples repeats 30 % of them. Labels under the other layout are compared on the gold pictures, too, and with gold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from tests.benchmarks.judging import Verdicts, curate_job, differences
from tests.benchmarks.measuring import Ratio, Result, alternate_timed, fitting
from tests.benchmarks.pictures import Picture, sample_pictures, write_tars
from tests.benchmarks.timed_job import Times

REPEATS, SECONDS = 3, 12.0
PROBE, FEWEST, MOST = 24, 50, 250
UNSAFE, REPEATED = 0.02, 0.3
GOLD = Path(__file__).parents[2] / "scripts/safeguard/gold/gold.parquet"

BASE = "as by default: image first, rationale for all, one policy"
RATIONALE = "rationale for unsafe ones"
POLICY_FIRST = "policy first"
POLICIES = "three policies"
REPEATING = f"{REPEATED:.0%} of the samples repeated"


def run(folder: Path) -> Result:
    """One job as by default, and four that save something."""
    stream = _stream(folder)
    shards = write_tars(folder / "stream", stream)
    repeating = write_tars(folder / "repeating", _repeating(stream), shards=1)
    jobs: dict[str, tuple[str, list[str]]] = {
        BASE: (shards, []),
        RATIONALE: (shards, ["model.rationale=unsafe"]),
        POLICY_FIRST: (shards, ["model.layout=policy_first"]),
        POLICIES: (shards, ["policies=[llavaguard,kids,medical]"]),
        REPEATING: (repeating, []),
    }
    verdicts: dict[str, Verdicts] = {}
    times: dict[str, Times] = {}

    def judge(name: str) -> float:
        times[name], verdicts[name] = curate_job(folder / "run", jobs[name][0], *jobs[name][1])
        return times[name].judging

    contenders: dict[str, Callable[[], float]] = {name: partial(judge, name) for name in jobs}
    result = Result(name="savings", unit="images/s", checked="")
    alternate_timed(contenders, len(stream), result, repeats=REPEATS, warm_up=False)
    result.checked = f"{RATIONALE}: {differences(verdicts[BASE], verdicts[RATIONALE])}"
    _compare(result, verdicts, times)
    _compare_layouts(result, folder)
    return result


def _stream(folder: Path) -> list[Picture]:
    """Pictures of which 2 % are Unsafe to the model, as many as it judges in `SECONDS` if the sample has them."""
    probe = write_tars(folder / "probe", sample_pictures(PROBE))
    pace = PROBE / curate_job(folder / "run", probe)[0].judging
    pictures = sample_pictures()
    _, verdicts = curate_job(folder / "run", write_tars(folder / "all", pictures), "model.rationale=none")
    # The most certain ones first, so that no rating hangs on the composition of a batch.
    ranked = sorted(pictures, key=lambda p: verdicts[p.key].p_unsafe or 0.0)
    safe = [p for p in ranked if verdicts[p.key].rating == "Safe"]
    unsafe = [p for p in reversed(ranked) if verdicts[p.key].rating == "Unsafe"]
    count = min(fitting(pace, SECONDS, fewest=FEWEST, most=MOST), int(len(safe) / (1 - UNSAFE)))
    wanted = max(1, round(count * UNSAFE))
    assert len(unsafe) >= wanted, "the model rates none of the sample's pictures Unsafe"
    return sorted([*safe[: count - wanted], *unsafe[:wanted]], key=lambda p: p.key)


def _repeating(stream: Sequence[Picture]) -> list[Picture]:
    """As many samples, the last 30 % with the pictures of the first, under keys of their own."""
    distinct = len(stream) - round(len(stream) * REPEATED)
    return [replace(stream[number % distinct], key=picture.key) for number, picture in enumerate(stream)]


def _compare(result: Result, verdicts: dict[str, Verdicts], times: dict[str, Times]) -> None:
    def tokens(name: str) -> int:
        return sum(judged.output_tokens for judged in verdicts[name].values())

    ratios = result.ratios
    ratios["generated tokens, all to unsafe"] = Ratio(value=tokens(BASE) / tokens(RATIONALE), at_least=3.0)
    ratios["images/s, rationale for unsafe ones"] = Ratio(value=result.ratio(RATIONALE, BASE))
    ratios["images/s, policy first"] = Ratio(value=result.ratio(POLICY_FIRST, BASE))
    ratios["cost of three policies to one"] = Ratio(value=result.ratio(BASE, POLICIES), at_most=1.6)
    ratios[f"cost with {REPEATING}"] = Ratio(value=result.ratio(BASE, REPEATING), at_most=0.75)
    for name, judged in verdicts.items():
        unsafe = sum(j.rating == "Unsafe" for j in judged.values())
        result.notes[f"{name}: Unsafe"] = f"{unsafe} of {len(judged)}"
        counters = times[name].metrics
        result.notes[f"{name}: generated tokens"] = f"{counters.get('generation_tokens', 0):.0f}"
        queries = counters.get("prefix_cache_queries", 0)
        result.notes[f"{name}: share of prompt tokens cached"] = counters.get("prefix_cache_hits", 0) / (queries or 1)
    result.notes["labels, policy first on the stream"] = differences(verdicts[BASE], verdicts[POLICY_FIRST])


def _compare_layouts(result: Result, folder: Path) -> None:
    """Labels do not depend on the rationale behind them, so that none is written here."""
    if not GOLD.is_file():
        result.skipped["layouts on the gold pictures"] = "only a checkout has them"
        return
    gold = {row["key"]: row["rating"] for row in pq.read_table(GOLD, columns=["key", "rating"]).to_pylist()}
    found: dict[str, Verdicts] = {}
    for layout in ("image_first", "policy_first"):
        options = [f"model.layout={layout}", "model.rationale=none", "dataset.key=key"]
        _, found[layout] = curate_job(folder / "run", str(GOLD), *options, dataset="parquet")
        right = sum(judged.rating == gold[key] for key, judged in found[layout].items())
        result.notes[f"gold pictures, {layout}"] = f"{right} of {len(gold)} ratings as in gold"
    result.notes["gold pictures, labels changed"] = differences(found["image_first"], found["policy_first"])
