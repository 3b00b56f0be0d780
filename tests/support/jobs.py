"""Small data sets and whole runs of the command line, for tests of the job as a user starts it."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from tests.support.waiting import HANG_SECONDS


def script(name: str) -> ModuleType:
    """The file scripts/`name`.py as a module."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[2] / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def picture(seed: int, *, size: tuple[int, int] = (48, 32), kind: str = "JPEG") -> bytes:
    """A picture that no other seed has."""
    noise = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize(size).save(out, kind)
    return out.getvalue()


def write_tar(path: Path, seeds: range | list[int], *, broken: dict[int, bytes] | None = None) -> Path:
    """A shard as webdataset's own writer makes it: jpg, txt and json for each seed, `broken` bytes for some."""
    import webdataset  # brings PyTorch, which the processes that tests start with a class of theirs have no use for

    with webdataset.TarWriter(str(path), mtime=0) as writer:
        for seed in seeds:
            image = (broken or {}).get(seed, picture(seed))
            caption = f"picture {seed}"
            fields = {"url": f"http://example.org/{seed}", "punsafe": seed % 10 / 10}
            writer.write({"__key__": f"{seed:09d}", "jpg": image, "txt": caption, "json": json.dumps(fields).encode()})
    return path


def write_shards(folder: Path, count: int, each: int) -> str:
    """`count` tars of `each` samples, one of them without bytes, and the brace range that names them."""
    for number in range(count):
        first = number * each
        write_tar(folder / f"{number:05d}.tar", range(first, first + each), broken={first + 5: b""})
    return f"{folder}/{{00000..{count - 1:05d}}}.tar"


def command(*arguments: str) -> list[str]:
    """The command line of `python -m curate`."""
    return [sys.executable, "-m", "curate", *arguments]


def environment(**extra: str) -> dict[str, str]:
    """This process's environment, for a child that should not use many threads."""
    return os.environ | {"OMP_NUM_THREADS": "1"} | extra


def curate(*arguments: str, code: int = 0, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and check its exit code."""
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, cwd=cwd, env=environment(), timeout=HANG_SECONDS
    )
    assert done.returncode == code, f"exit code {done.returncode}, not {code}:\n{done.stdout}\n{done.stderr}"
    return done


def fake_run(shards: str, folder: Path, *more: str) -> list[str]:
    """Arguments of a run with the fake engine in this process's own threads."""
    engine = [] if any(m.startswith("engine=") for m in more) else ["engine=fake", "engine.workers=0"]
    return ["run", "+dataset=laion_subset", f"dataset.shards={shards}", f"output.dir={folder}", *engine, *more]


def judged(folder: Path) -> dict[str, int]:
    """Rows that each worker produced itself, as its last heartbeat has it, by worker."""
    beats = {path.stem: json.loads(path.read_bytes()) for path in folder.glob("work/workers/*.json")}
    return {worker: beat["progress"].get("rows", 0) for worker, beat in beats.items()}


def annotation_files(folder: Path) -> dict[str, bytes]:
    """Every annotation file of a run, by its place in the folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.glob("annotations/*/*.parquet"))}


def rows(folder: Path, policy: str = "drawings") -> list[dict[str, object]]:
    """All annotation rows under `policy`, in the order of shard and index."""
    tables = [pq.read_table(path).to_pylist() for path in sorted(folder.glob(f"annotations/{policy}/*.parquet"))]
    return [row for table in tables for row in table]


def split_rows(folder: Path, split: str) -> list[dict[str, object]]:
    """All rows of a Parquet split."""
    return [row for path in sorted(folder.glob(f"splits/{split}/*.parquet")) for row in pq.read_table(path).to_pylist()]
