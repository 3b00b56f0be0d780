"""How long a model usually takes to load here: what earlier runs on machines like this one measured.

One small file for each model, engine and kind of machine in the user's cache folder (XDG_CACHE_HOME/curate/loading);
whoever deletes it loses nothing but the figure. A model that was never loaded here has none, and none is made up.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from curate.console.phases import UNSAID_SECONDS, phase
from curate.engines.gpus import built_for_cpu
from curate.judges.checkpoints import BUILTIN
from curate.settings.engine import EngineSettings
from curate.settings.model import ModelSettings

LOADING = "loading the model"
BUILTIN_SECONDS = 12.0
"""Of the built-in safeguard on two cores of a server, before any run here measured it: rough, but of the right size."""
KEPT = 5

_MODEL = ("path", "revision", "adapter", "dtype", "quantization", "max_model_len")
_ENGINE = ("name", "tensor_parallel")


@contextmanager
def loading(model: ModelSettings, engine: EngineSettings) -> Iterator[None]:
    """The phase in which a model is loaded; how long it took is kept for the next time."""
    began = time.monotonic()
    with phase(LOADING, usual_seconds(model, engine)):
        yield
    note_seconds(model, engine, time.monotonic() - began)


def usual_seconds(model: ModelSettings, engine: EngineSettings) -> float | None:
    """The middle one of the last `KEPT` times; None where it was never loaded here."""
    measured = _read(_file(model, engine))
    if measured:
        return statistics.median(measured)
    rough = engine.name == "vllm" and model.path == BUILTIN and built_for_cpu()
    return BUILTIN_SECONDS if rough else None


def note_seconds(model: ModelSettings, engine: EngineSettings, seconds: float) -> None:
    """Keep a measured time; what cannot be written is no matter."""
    if seconds < UNSAID_SECONDS:
        return
    file = _file(model, engine)
    record = _of(model, engine) | {"seconds": [*_read(file), round(seconds, 1)][-KEPT:]}
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        # Several engine processes end their loading at once: whole files only, of whichever comes last.
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as scratch:
            json.dump(record, scratch, indent=1)
        Path(scratch.name).replace(file)


def _read(file: Path) -> list[float]:
    try:
        return [float(seconds) for seconds in json.loads(file.read_text(encoding="utf-8"))["seconds"]]
    except (OSError, ValueError, TypeError, KeyError):  # none yet, or whatever became of it
        return []


def _file(model: ModelSettings, engine: EngineSettings) -> Path:
    digest = hashlib.sha256(json.dumps(_of(model, engine), sort_keys=True).encode()).hexdigest()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    # Unlike that of `Path`, this one knows no user without a home.
    return Path(os.path.expanduser(cache), "curate", "loading", f"{digest[:16]}.json")  # noqa: PTH111


def _of(model: ModelSettings, engine: EngineSettings) -> dict[str, object]:
    """What the time depends on, as far as it can be told at once."""
    return {
        "model": {name: getattr(model, name) for name in _MODEL},
        "engine": {name: getattr(engine, name) for name in _ENGINE},
        "machine": [platform.machine(), len(os.sched_getaffinity(0)), *_gpus()],
    }


def _gpus() -> list[str]:
    """Kinds of the GPUs of this machine, as their driver lists them."""
    told = [path.read_text(errors="replace") for path in Path("/proc/driver/nvidia/gpus").glob("*/information")]
    return sorted({line.partition(":")[2].strip() for text in told for line in text.splitlines() if "Model:" in line})
