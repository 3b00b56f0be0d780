"""What every benchmark reports, and the data that several use."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import webdataset
from PIL import Image

REPEATS = 5


@dataclass(kw_only=True)
class Result:
    """Rates of each contender over the same work, and the check that the work was the same.

    Attributes:
        name: of the benchmark.
        unit: of the rates.
        checked: what was compared to show that every contender did the same work.
        rates: by contender, one for each repetition.
        notes: floor, ratios and whatever else a reader needs.
    """

    name: str
    unit: str
    checked: str
    rates: dict[str, list[float]] = field(default_factory=dict)
    notes: dict[str, float | str] = field(default_factory=dict)

    def median(self, contender: str) -> float:
        """The median rate of a contender."""
        return statistics.median(self.rates[contender])


def alternate(
    contenders: dict[str, Callable[[], object]], amount: float, result: Result, repeats: int = REPEATS
) -> None:
    """Time all contenders in turn, `repeats` times, so that a drifting machine meets all of them alike."""
    for number in range(repeats + 1):
        for name, work in contenders.items():
            started = time.perf_counter()
            work()
            if number:  # the first round warms caches
                result.rates.setdefault(name, []).append(amount / (time.perf_counter() - started))


def photograph(seed: int, width: int = 640, height: int = 480) -> bytes:
    """A JPEG with the detail of a photograph: smooth noise of several scales."""
    rng = np.random.default_rng(seed)
    layers = []
    for scale in (4, 16, 64):
        noise = Image.fromarray(rng.integers(0, 255, (scale, scale, 3), dtype=np.uint8))
        layers.append(np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32))
    out = io.BytesIO()
    Image.fromarray(np.mean(layers, axis=0).astype(np.uint8)).save(out, "JPEG", quality=90)
    return out.getvalue()


def photograph_tars(folder: Path, shards: int, each: int) -> list[Path]:
    """Tars of different photographs with captions, as webdataset writes them."""
    paths = [folder / f"{n:05d}.tar" for n in range(shards)]
    for number, path in enumerate(paths):
        with webdataset.TarWriter(str(path), mtime=0) as writer:
            for seed in range(number * each, number * each + each):
                writer.write({"__key__": f"{seed:09d}", "jpg": photograph(seed), "txt": f"photograph {seed}"})
    return paths
