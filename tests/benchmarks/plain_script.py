"""What is written first: pictures of a folder to `LLM.generate`, 1,000 at a time, and one JSON file for each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from curate.settings.run import Settings
from tests.benchmarks.generating import Asked, Generator
from tests.benchmarks.judging import Judged

BATCH = 1000


@dataclass(frozen=True)
class Script:
    """Picture files, and the folder for the answers."""

    paths: tuple[Path, ...]
    output: Path


class PlainScript:
    """Handler for `resident`: verdicts by the files' stems."""

    def __init__(self, settings: Settings) -> None:
        self._generator = Generator(settings)

    def __call__(self, script: Script) -> dict[str, Judged]:
        script.output.mkdir(exist_ok=True)
        found: dict[str, Judged] = {}
        for start in range(0, len(script.paths), BATCH):
            found |= self._batch(script.paths[start : start + BATCH], script.output)
        return found

    def close(self) -> None:
        self._generator.close()

    def _batch(self, paths: Sequence[Path], output: Path) -> dict[str, Judged]:
        judged = self._generator(Asked({path.stem: Image.open(path).convert("RGB") for path in paths}))
        for key, verdict in judged.items():
            (output / f"{key}.json").write_text(json.dumps(asdict(verdict)), encoding="utf-8")
        return judged
