"""What every benchmark reports, and the data that several use."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import webdataset
from PIL import Image

REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Something we promise: its value, and the bound it has to keep; None where it is only reported."""

    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def kept(self) -> bool:
        """Whether the value is within its bound."""
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )


@dataclass(kw_only=True)
class Result:
    """Rates of each contender over the same work, and the check that the work was the same.

    Attributes:
        name: of the benchmark.
        unit: of the rates.
        checked: what was compared to show that every contender did the same work.
        rates: by contender, one for each repetition.
        ratios: by what they compare.
        notes: whatever else a reader needs.
        skipped: contenders that did not run here, with the reason.
        floor: the contender that does no more than has to be done.
        distance: by contender, its median as a share of the floor's.
    """

    name: str
    unit: str
    checked: str
    rates: dict[str, list[float]] = field(default_factory=dict)
    ratios: dict[str, Ratio] = field(default_factory=dict)
    notes: dict[str, float | str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    floor: str | None = None

    def median(self, contender: str) -> float:
        """The median rate of a contender."""
        return statistics.median(self.rates[contender])

    @property
    def distance(self) -> dict[str, float]:
        """See the class; empty where there is no floor."""
        if self.floor is None:
            return {}
        return {name: self.median(name) / self.median(self.floor) for name in self.rates if name != self.floor}

    def to_record(self) -> dict[str, object]:
        """As plain JSON, with what follows from the rates."""
        spread = {name: {"median": self.median(name), "min": min(r), "max": max(r)} for name, r in self.rates.items()}
        kept = {what: asdict(ratio) | {"kept": ratio.kept} for what, ratio in self.ratios.items()}
        return asdict(self) | {"ratios": kept, "summary": spread, "to floor": self.distance}

    def ratio(self, one: str, other: str) -> float:
        """How many times as fast `one` is as `other`: the median over repetitions, each with its neighbour in time."""
        return statistics.median(a / b for a, b in zip(self.rates[one], self.rates[other], strict=True))


def alternate(
    contenders: dict[str, Callable[[], object]], amount: float, result: Result, repeats: int = REPEATS
) -> None:
    """Time all contenders in turn, `repeats` times, so that a drifting machine meets all of them alike."""
    seconds = {name: partial(stopwatch, work) for name, work in contenders.items()}
    alternate_timed(seconds, amount, result, repeats=repeats)


def alternate_timed(
    contenders: Mapping[str, Callable[[], float]], amount: float, result: Result, *, repeats: int, warm_up: bool = True
) -> None:
    """As `alternate`, for contenders that say themselves how many seconds of theirs count.

    A first round that does not count fills caches, unless its contenders start afresh each time.
    """
    for number in range(not warm_up, repeats + 1):
        for name, work in contenders.items():
            rate = amount / work()
            print(f"  {result.name}, {f'round {number}' if number else 'warm-up'}: {name} {rate:.2f} {result.unit}")
            if number:
                result.rates.setdefault(name, []).append(rate)


def stopwatch(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def fitting(pace: float, seconds: float, *, fewest: int, most: int) -> int:
    """How many can be done in `seconds` at `pace` a second, within bounds."""
    return min(most, max(fewest, int(pace * seconds)))


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
