"""What this CPU multiplies a second in each number format, how much of that judging makes use of, and what labels do.

The floor of a format is the time that the products of the model's linear layers take alone, with all cores and in the
sizes that the layers have: image encoder, projector, language model and output layer, for the tokens that the job
computed. Attention, norms, sampling, reading and rendering come on top. The job is `curate run` in each format.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from curate.engines.dtype import BFLOAT16, FLOAT32
from curate.judges.checkpoints import resolve_model_path
from tests.benchmarks.judging import Verdicts, curate_job, differences, judge_settings, mean_of, unlike
from tests.benchmarks.measuring import Ratio, Result, alternate_timed, stopwatch
from tests.benchmarks.pictures import sample_pictures, write_tars

REPEATS = 3
MEASURED_SECONDS = 1.0
BATCH = 8
"""Pictures in the encoder at once, where the products are measured; vLLM's scheduler lets in as many and more."""


@dataclass(frozen=True)
class Product:
    """One linear layer's matrix, and how many rows a picture multiplies with it."""

    inputs: int
    outputs: int
    rows: float

    @property
    def gflop(self) -> float:
        """Of one picture."""
        return 2e-9 * self.inputs * self.outputs * self.rows


def run(folder: Path) -> Result:
    """Jobs in both formats, in turn, and their floors."""
    pictures = sample_pictures()
    shards = write_tars(folder / "tars", pictures)
    result = Result(name="formats", unit="images/s", checked="")
    verdicts: dict[str, Verdicts] = {}

    def judge(dtype: str) -> float:
        times, verdicts[dtype] = curate_job(folder / "run", shards, f"model.dtype={dtype}")
        return times.judging

    formats = (FLOAT32, BFLOAT16)
    jobs = {f"curate, {dtype}": partial(judge, dtype) for dtype in formats}
    alternate_timed(jobs, len(pictures), result, repeats=REPEATS, warm_up=False)
    products = list(_products(verdicts[FLOAT32]))
    gflop = sum(product.gflop for product in products)
    for dtype in formats:
        _add_floor(result, products, gflop, dtype)
    _compare(result, verdicts)
    result.notes["chosen on this machine"] = judge_settings().model.dtype
    result.notes["GFLOP a picture"] = gflop
    return result


def _add_floor(result: Result, products: list[Product], gflop: float, dtype: str) -> None:
    cores = len(os.sched_getaffinity(0))
    seconds = {threads: sum(_seconds(p, dtype, threads) for p in products) for threads in {1, cores}}
    name = f"floor: its products alone, {dtype}"
    result.rates[name] = [1 / seconds[cores]]
    result.notes[f"GFLOP/s of one core, {dtype}"] = gflop / seconds[1]
    result.notes[f"GFLOP/s of {cores} cores, {dtype}"] = gflop / seconds[cores]
    share = result.median(f"curate, {dtype}") / result.median(name)
    result.ratios[f"{dtype}: share of its floor"] = Ratio(value=share)


def _compare(result: Result, verdicts: dict[str, Verdicts]) -> None:
    one, other = verdicts[FLOAT32], verdicts[BFLOAT16]
    result.ratios["float32 to bfloat16"] = Ratio(value=result.ratio(f"curate, {FLOAT32}", f"curate, {BFLOAT16}"))
    result.ratios["ratings that bfloat16 changes"] = Ratio(value=unlike(one, other), at_most=0.0)
    moved = [abs(one[key].p_unsafe - other[key].p_unsafe) for key in one if one[key].p_unsafe is not None]
    result.notes["p_unsafe moves by"] = f"{sum(moved) / len(moved):.4f} on average, by {max(moved):.3f} at most"
    result.checked = f"labels in both formats: {differences(one, other)}"


def _products(verdicts: Verdicts) -> Iterator[Product]:
    """Every linear layer of the model, with the rows that a picture of the job took in it on average."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    path = str(resolve_model_path(judge_settings().model))
    config = AutoConfig.from_pretrained(path)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    patches = (config.vision_config.image_size // config.vision_config.patch_size) ** 2
    tiles = 1 + len(config.image_grid_pinpoints)  # the whole picture, and one tile: both grids are of one
    generated = mean_of(verdicts, "output_tokens")
    computed = mean_of(verdicts, "prompt_tokens") - mean_of(verdicts, "cached_tokens") + generated
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            seen = "vision_tower" in name or "projector" in name
            rows = tiles * patches if seen else generated if "lm_head" in name else computed
            yield Product(module.in_features, module.out_features, rows)


def _seconds(product: Product, dtype: str, threads: int) -> float:
    """Of one picture's rows through one layer, as part of a batch; layers of one size are measured once."""
    return product.rows * _seconds_a_row(product.inputs, product.outputs, dtype, threads)


@cache
def _seconds_a_row(inputs: int, outputs: int, dtype: str, threads: int) -> float:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    rows = BATCH * 128
    x, w = (torch.randn(size, inputs).to(getattr(torch, dtype)) for size in (rows, outputs))
    times = []
    end = time.perf_counter() + MEASURED_SECONDS
    while time.perf_counter() < end:
        times.append(stopwatch(lambda: torch.nn.functional.linear(x, w)))
    torch.set_num_threads(before)
    return statistics.median(times) / rows
