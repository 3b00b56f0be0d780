"""JPEGs decoded at a reduced scale (`dataset.reduced_decoding`): what it brings, and whether labels stay the same.

Real pictures, those of the packaged sample, scaled to the sizes that data sets have. A rating counts as changed unless
p_unsafe is so near to one half that the composition of a batch may change it, too.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.benchmarks.judging import Verdicts, curate_job, differences, unlike
from tests.benchmarks.measuring import Ratio, Result, alternate_timed
from tests.benchmarks.pictures import scaled_pictures, write_tars

SIZES = {"2000 x 1500": (2000, 1500), "1023 x 683": (1023, 683), "640 x 480": (640, 480)}
PICTURES, REPEATS = 192, 1
WAYS = {"all pixels": "false", "reduced": "true"}


def run(folder: Path) -> Result:
    """Each size with all pixels and reduced, ratings alone."""
    result = Result(name="reduction", unit="images/s", checked="")
    verdicts: dict[str, Verdicts] = {}
    contenders: dict[str, Callable[[], float]] = {}
    for size, (width, height) in SIZES.items():
        shards = write_tars(folder / size.replace(" ", ""), scaled_pictures(PICTURES, width, height))
        for way, reduced in WAYS.items():
            name = f"{way}, {size}"
            contenders[name] = partial(_judge, folder / "run", shards, reduced, name, verdicts)
    alternate_timed(contenders, PICTURES, result, repeats=REPEATS, warm_up=False)
    for size in SIZES:
        whole, reduced = (verdicts[f"{way}, {size}"] for way in WAYS)
        result.notes[f"{size}, reduced to whole"] = f"{differences(whole, reduced)}; {_moved(whole, reduced)}"
        result.ratios[f"ratings that reduction changes, {size}"] = Ratio(value=unlike(whole, reduced), at_most=0.0)
    result.checked = f"{PICTURES} ratings of each size compared with those of all pixels"
    return result


def _judge(run_folder: Path, shards: str, reduced: str, name: str, verdicts: dict[str, Verdicts]) -> float:
    options = ("model.rationale=none", f"dataset.reduced_decoding={reduced}")
    times, verdicts[name] = curate_job(run_folder, shards, *options)
    return times.judging


def _moved(one: Verdicts, other: Verdicts) -> str:
    moves = [abs((one[key].p_unsafe or 0.0) - (other[key].p_unsafe or 0.0)) for key in one]
    return f"p_unsafe moves by {statistics.mean(moves):.4f} on average, by {max(moves):.3f} at most"
