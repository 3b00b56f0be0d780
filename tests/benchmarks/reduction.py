"""JPEGs decoded at a reduced scale (`dataset.reduced_decoding`): what it brings, and whether labels stay the same.

Real pictures, those of the packaged sample, scaled to the sizes that data sets have. Every picture is in the stream
twice under keys of its own, with a byte behind its end that differs, so that it is judged twice: how far two judgements
of the same pixels in one run lie apart is the measure for how far reduction moves them.
"""

from __future__ import annotations

import io
import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from tests.benchmarks.judging import Verdicts, curate_job, differences, unlike
from tests.benchmarks.measuring import Ratio, Result, alternate_timed
from tests.benchmarks.pictures import Picture, sample_pictures, write_tars

SIZES = {"2000 x 1500": (2000, 1500), "1023 x 683": (1023, 683), "640 x 480": (640, 480)}
PICTURES, REPEATS, QUALITY = 96, 1, 90
WAYS = {"all pixels": "false", "reduced": "true"}
TWICE = "-again"


def run(folder: Path) -> Result:
    """Each size with all pixels and reduced, ratings alone."""
    result = Result(name="reduction", unit="images/s", checked="")
    verdicts: dict[str, Verdicts] = {}
    contenders: dict[str, Callable[[], float]] = {}
    for size, (width, height) in SIZES.items():
        shards = write_tars(folder / size.replace(" ", ""), list(_twice(width, height)))
        for way, reduced in WAYS.items():
            name = f"{way}, {size}"
            contenders[name] = partial(_judge, folder / "run", shards, reduced, name, verdicts)
    alternate_timed(contenders, 2 * PICTURES, result, repeats=REPEATS, warm_up=False)
    for size in SIZES:
        whole, reduced = (verdicts[f"{way}, {size}"] for way in WAYS)
        result.notes[f"{size}, reduced to whole"] = f"{differences(whole, reduced)}; {_moved(whole, reduced)}"
        again = {key: whole[f"{key}{TWICE}"] for key in whole if not key.endswith(TWICE)}
        result.notes[f"{size}, whole judged twice"] = _moved({key: whole[key] for key in again}, again)
        result.ratios[f"ratings that reduction changes, {size}"] = Ratio(value=unlike(whole, reduced), at_most=0.0)
    result.checked = f"{2 * PICTURES} ratings of each size compared with those of all pixels"
    return result


def _judge(run_folder: Path, shards: str, reduced: str, name: str, verdicts: dict[str, Verdicts]) -> float:
    options = ("model.rationale=none", f"dataset.reduced_decoding={reduced}")
    times, verdicts[name] = curate_job(run_folder, shards, *options)
    return times.judging


def _twice(width: int, height: int) -> Iterator[Picture]:
    for picture in sample_pictures(PICTURES):
        out = io.BytesIO()
        picture.image.resize((width, height), Image.Resampling.LANCZOS).save(out, "JPEG", quality=QUALITY)
        for key, tail in ((picture.key, b""), (f"{picture.key}{TWICE}", b"\0")):
            yield Picture(key=key, data=out.getvalue() + tail, image=picture.image)


def _moved(one: Verdicts, other: Verdicts) -> str:
    moves: Sequence[float] = [abs((one[key].p_unsafe or 0.0) - (other[key].p_unsafe or 0.0)) for key in one]
    return f"p_unsafe moves by {statistics.mean(moves):.4f} on average, by {max(moves):.3f} at most"
