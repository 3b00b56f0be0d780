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

from tests.benchmarks.judging import Verdicts, curate_job, differences, judge_settings, write_variants
from tests.benchmarks.measuring import Ratio, Result, alternate_timed, fitting
from tests.benchmarks.pictures import Picture, sample_pictures, write_tars
from tests.benchmarks.timed_job import Times

REPEATS, SECONDS = 3, 12.0
PROBE, FEWEST, MOST = 24, 50, 250
UNSAFE, REPEATED = 0.02, 0.3
GOLD = Path(__file__).parents[2] / "scripts/safeguard/gold/gold.parquet"

LAYOUTS = {"image_first": "image first", "policy_first": "policy first"}
RATIONALE = "rationale for unsafe ones"
POLICIES = "three policies, image first"
FEWER_WORDS = "image first, rationale for unsafe ones"
POLICIES_FEWER_WORDS = "three policies, image first, rationale for unsafe ones"
REPEATING = f"{REPEATED:.0%} of the samples repeated"


def run(folder: Path) -> Result:
    """One job with all defaults, in the model's own layout, and others that save work."""
    settings = judge_settings()
    own = settings.model.layout
    (policy,) = settings.policies.values()
    stream = _stream(folder)
    shards = write_tars(folder / "stream", stream, shards=1)
    repeating = write_tars(folder / "repeating", _repeating(stream), shards=1)
    three = f"policies=[{','.join(write_variants(folder, policy))}]"
    jobs: dict[str, tuple[str, list[str]]] = {
        **{name: (shards, [f"model.layout={layout}"]) for layout, name in LAYOUTS.items()},
        RATIONALE: (shards, ["model.rationale=unsafe"]),
        POLICIES: (shards, ["model.layout=image_first", three]),
        FEWER_WORDS: (shards, ["model.layout=image_first", "model.rationale=unsafe"]),
        POLICIES_FEWER_WORDS: (shards, ["model.layout=image_first", "model.rationale=unsafe", three]),
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
    result.checked = f"{RATIONALE}: {differences(verdicts[LAYOUTS[own]], verdicts[RATIONALE])}"
    _compare(result, LAYOUTS[own], verdicts)
    _note_counters(result, verdicts, times)
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


def _compare(result: Result, own: str, verdicts: dict[str, Verdicts]) -> None:
    """Each way of saving against the job that differs in nothing else; `own` is that of the model's own layout."""
    image_first, policy_first = LAYOUTS.values()
    written, needed = (sum(j.output_tokens for j in verdicts[name].values()) for name in (own, RATIONALE))
    ratios = result.ratios
    ratios[f"generated tokens, rationale for all to {RATIONALE}"] = Ratio(value=written / needed, at_least=3.0)
    ratios[f"images/s, {RATIONALE} to all"] = Ratio(value=result.ratio(RATIONALE, own))
    ratios["images/s, policy first to image first"] = Ratio(value=result.ratio(policy_first, image_first))
    ratios["cost of three policies to one, image first"] = Ratio(value=result.ratio(image_first, POLICIES), at_most=1.6)
    ratios["cost of three policies to one, image first, rationale for unsafe ones"] = Ratio(
        value=result.ratio(FEWER_WORDS, POLICIES_FEWER_WORDS), at_most=1.6
    )
    ratios[f"cost with {REPEATING} to none"] = Ratio(value=result.ratio(own, REPEATING), at_most=0.75)
    result.notes["labels on the stream, policy first to image first"] = differences(
        verdicts[image_first], verdicts[policy_first]
    )


def _note_counters(result: Result, verdicts: dict[str, Verdicts], times: dict[str, Times]) -> None:
    for name, judged in verdicts.items():
        unsafe = sum(j.rating == "Unsafe" for j in judged.values())
        counters = times[name].metrics
        cached = counters.get("prefix_cache_hits", 0) / (counters.get("prefix_cache_queries", 0) or 1)
        result.notes[name] = (
            f"{unsafe} of {len(judged)} Unsafe, {counters.get('generation_tokens', 0):.0f} tokens generated, "
            f"{cached:.0%} of the prompts' tokens cached"
        )


def _compare_layouts(result: Result, folder: Path) -> None:
    """Labels do not depend on the rationale behind them, so that none is written here."""
    if not GOLD.is_file():
        result.skipped["layouts on the gold pictures"] = "only a checkout has them"
        return
    gold = {row["key"]: row["rating"] for row in pq.read_table(GOLD, columns=["key", "rating"]).to_pylist()}
    found: dict[str, Verdicts] = {}
    for layout in LAYOUTS:
        options = [f"model.layout={layout}", "model.rationale=none", "dataset.key=key"]
        _, found[layout] = curate_job(folder / "run", str(GOLD), *options, dataset="parquet")
        right = sum(judged.rating == gold[key] for key, judged in found[layout].items())
        result.notes[f"gold pictures, {layout}"] = f"{right} of {len(gold)} ratings as in gold"
    result.notes["gold pictures, labels changed"] = differences(found["image_first"], found["policy_first"])
