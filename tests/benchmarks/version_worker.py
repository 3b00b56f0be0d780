"""One version at work for `versions`: reads names of works from stdin, answers with processor time per sample in µs.

Run by path, with the version's checkout in PYTHONPATH and the folder of the data as its argument; it uses nothing that
another version may not have.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from curate.annotation.preprocess_pool import Limits, prepare
from curate.cli.hydra_config import compose_settings
from curate.engines.factory import make_engine
from curate.judges.questions import questions_of
from curate.settings.dataset import DatasetSettings
from curate.sources.registry import source_for


def reading(form: str, paths: list[Path]) -> Callable[[], int]:
    """Reads all samples; says how many."""
    dataset = DatasetSettings(name="bench", shards=[str(path) for path in paths])
    source = source_for(form)
    shards = source.shards(dataset.shards, dataset)
    return lambda: sum(1 for shard in shards for _ in source.samples(shard, dataset))


def preparing(tar: Path) -> Callable[[], int]:
    """Decodes and renders pictures as for an engine; says how many."""
    settings = compose_settings(["+dataset=laion_subset", f"dataset.shards={tar}", "engine=fake", "output.dir=none"])
    limits, questions = Limits.of(settings.dataset), tuple(questions_of(settings))
    renderer = make_engine(settings.model, settings.engine).renderer_factory()()
    source = source_for("webdataset")
    shards = source.shards([str(tar)], settings.dataset)
    samples = [sample for shard in shards for sample in source.samples(shard, settings.dataset)]
    return lambda: sum(len(prepare(sample, questions, renderer, limits).payloads) for sample in samples)


def main(folder: Path) -> None:
    """Work until stdin ends."""
    tars = sorted(folder.glob("*.tar"))
    works = {
        "reading tars": reading("webdataset", tars),
        "reading Parquet": reading("parquet", sorted(folder.glob("*.parquet"))),
        "reading a folder": reading("folder", [folder / "files"]),
        "decoding and rendering": preparing(tars[0]),
    }
    for line in sys.stdin:
        started = time.process_time()
        count = works[line.strip()]()
        print((time.process_time() - started) / count * 1e6, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
