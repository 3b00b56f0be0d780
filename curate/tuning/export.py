"""Writes what was tuned so that vLLM loads it: a checkpoint laid out as the released ones are, or an adapter.

Everything but the weights is copied from the checkpoint that was tuned: configuration, tokenizer, processor, chat
template. Both are written beside their place and moved there whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from huggingface_hub import save_torch_state_dict

from curate.judges.checkpoints import checkpoint_dtype
from curate.judges.released_keys import released
from curate.settings.model import ModelSettings
from curate.tuning.checkpoint import Checkpoint

ADAPTER_ARCHITECTURES = frozenset({"qwen2_5_vl", "llava", "llava_next"})
"""What vLLM 0.32 applies LoRA adapters to; of others a merged checkpoint is written too."""

MODEL, ADAPTER, SETTINGS = "model", "adapter", "model.yaml"

_BESIDE_WEIGHTS = ("*.json", "*.jinja", "*.txt", "*.model")
_INDEX = "*.index.json"


def write_model(weights: Mapping[str, torch.Tensor], source: Checkpoint, folder: Path) -> Path:
    """Write a whole checkpoint to `folder`/model, in the precision that its configuration names.

    Args:
        weights: by their names in transformers; tied ones may be there twice.
        source: what was tuned.
        folder: where to.
    """
    dtype = _dtype(source.path)
    target = _beside(folder / MODEL)
    for pattern in _BESIDE_WEIGHTS:
        for path in source.path.glob(pattern):
            if not path.match(_INDEX):
                shutil.copyfile(path, target / path.name)
    cast = {name: weight.to(dtype) for name, weight in released(_without_tied(weights, source), source.architecture)}
    save_torch_state_dict(cast, target, max_shard_size="5GB")
    return _moved(target, folder / MODEL)


def write_adapter(model: Any, weights: Mapping[str, torch.Tensor], source: Checkpoint, folder: Path) -> Path:
    """Write a LoRA adapter to `folder`/adapter.

    Args:
        model: the peft model.
        weights: its state dict.
        source: what was tuned.
        folder: where to.
    """
    target = _beside(folder / ADAPTER)
    model.peft_config["default"].base_model_name_or_path = str(source.path)
    model.save_pretrained(target, state_dict=dict(weights), save_embedding_layers=False)
    return _moved(target, folder / ADAPTER)


def write_settings(model: ModelSettings, folder: Path, *, whole: bool) -> Path:
    """Write `folder`/model.yaml, a choice for `model=` that judges as was trained.

    Args:
        model: what was tuned.
        folder: holds what was written.
        whole: whether there is a whole checkpoint; else the adapter is named beside what was tuned.
    """
    folder = folder.resolve()
    fields = model.model_dump(mode="json") | {"name": folder.name, "warning": None}
    fields |= {"path": str(folder / MODEL), "revision": None} if whole else {"adapter": str(folder / ADAPTER)}
    path = folder / SETTINGS
    path.write_text(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def _without_tied(weights: Mapping[str, torch.Tensor], source: Checkpoint) -> dict[str, torch.Tensor]:
    """Without the output layer where the input's embedding serves as one."""
    tied = bool(source.model.config.get_text_config().tie_word_embeddings)
    return {name: weight for name, weight in weights.items() if not (tied and name.startswith("lm_head."))}


def _dtype(source: Path) -> torch.dtype:
    dtype = getattr(torch, checkpoint_dtype(source))
    assert isinstance(dtype, torch.dtype)
    return dtype


def _beside(path: Path) -> Path:
    target = path.with_name(f"{path.name}.partial")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    return target


def _moved(target: Path, path: Path) -> Path:
    if path.exists():
        shutil.rmtree(path)
    return target.rename(path)
