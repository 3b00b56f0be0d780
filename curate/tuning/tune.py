"""A tuning from beginning to end: checks, model, loop, and what is left behind for the engine."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate.utils import set_seed

from curate.core.errors import InputError
from curate.settings.model import ModelSettings
from curate.settings.tune import TuneSettings
from curate.tuning.checkpoint import Checkpoint, load_checkpoint
from curate.tuning.dataset import CARD, load
from curate.tuning.encoding import Encoder
from curate.tuning.export import ADAPTER_ARCHITECTURES, SETTINGS, write_adapter, write_model, write_settings
from curate.tuning.loop import CHECKPOINTS, Loop
from curate.tuning.trained_parts import prepare

RECORD = "tune.yaml"
CACHE = "cache"


def tune(settings: TuneSettings, model: ModelSettings, data: Path, folder: Path) -> Path:
    """Tune `model` on `data`; the settings of what came out, for `model=`, which are written last.

    Raises:
        InputError: model, data or folder do not fit, e.g. the folder holds a tuning of other settings.
    """
    _open(folder, _record(settings, model, data))
    if (folder / SETTINGS).is_file():
        return folder / SETTINGS
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    set_seed(settings.seed)
    # A frozen base needs no more than it computes in; what is trained keeps small updates only in float32.
    half = settings.lora is not None and settings.precision == "bfloat16"
    checkpoint = load_checkpoint(model, torch.bfloat16 if half else torch.float32)
    _check_shared(settings, model, checkpoint)
    trained = prepare(checkpoint.model, settings)
    if settings.gradient_checkpointing:
        trained.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    encoder = Encoder(
        checkpoint.processor,
        checkpoint.architecture,
        model.layout,
        checkpoint.context,
        vary=settings.seed if settings.vary_images else None,
        share=settings.share_policy,
    )
    loop = Loop(trained, encoder, load(data, folder / CACHE), settings, folder)
    loop.run()
    return _export(loop, checkpoint, settings, model, folder)


def _export(loop: Loop, checkpoint: Checkpoint, settings: TuneSettings, model: ModelSettings, folder: Path) -> Path:
    weights = loop.weights()
    if not loop.accelerator.is_main_process:
        return folder / SETTINGS
    whole = settings.lora is None or checkpoint.architecture not in ADAPTER_ARCHITECTURES
    if settings.lora is not None:
        tuned: Any = loop.accelerator.unwrap_model(loop.model)
        write_adapter(tuned, weights, checkpoint, folder)
        weights = tuned.merge_and_unload().state_dict() if whole else {}
    if whole:
        write_model(weights, checkpoint, folder)
    written = write_settings(model, folder, whole=whole)
    for scrap in (CHECKPOINTS, CACHE):
        shutil.rmtree(folder / scrap, ignore_errors=True)
    return written


def _check_shared(settings: TuneSettings, model: ModelSettings, checkpoint: Checkpoint) -> None:
    if settings.share_policy and (model.layout != "policy_first" or checkpoint.architecture == "qwen2_5_vl"):
        raise InputError(
            "tune.share_policy: needs a LLaVA that reads the policy before the image; "
            "set model.layout=policy_first, or tune.share_policy=false"
        )


def _record(settings: TuneSettings, model: ModelSettings, data: Path) -> dict[str, Any]:
    card = data / CARD
    if not card.is_file():
        raise InputError(f"data={data}: holds no finished training data; make them with `tune data output.dir=...`")
    return {
        "tune": settings.model_dump(mode="json"),
        "model": model.model_dump(mode="json"),
        "data": hashlib.sha256(card.read_bytes()).hexdigest(),
    }


def _open(folder: Path, record: dict[str, Any]) -> None:
    """Begin in `folder`, or go on there with what was begun."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RECORD
    if not path.exists():
        path.write_text(yaml.safe_dump(record, sort_keys=False, allow_unicode=True), encoding="utf-8")
        return
    before = yaml.safe_load(path.read_text(encoding="utf-8"))
    if before != record:
        changed = [name for name in record if record[name] != before.get(name)]
        raise InputError(
            f"output.dir={folder}: holds a tuning of another {' and '.join(changed)}; "
            f"name another folder, or undo the change (see {RECORD} there)"
        )
