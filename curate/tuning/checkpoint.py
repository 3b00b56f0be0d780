"""Loads the checkpoint that is tuned, within the pixel budget that the engine will have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from curate.core.errors import InputError
from curate.engines.vllm_args import pixel_budget
from curate.judges.checkpoints import ARCHITECTURES, resolve_model_path
from curate.settings.model import ModelSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A loaded checkpoint; `context` is the most tokens a conversation may have."""

    path: Path
    architecture: str
    model: Any
    processor: Any
    context: int


def load_checkpoint(settings: ModelSettings, dtype: torch.dtype) -> Checkpoint:
    """Model and processor.

    Raises:
        InputError: there is no such checkpoint, it is of an unknown architecture, quantised, an adapter, or incomplete.
    """
    from transformers import AutoProcessor

    if settings.adapter is not None or settings.quantization is not None:
        raise InputError("model: neither an adapter nor a quantised model can be tuned; name a whole checkpoint")
    path = resolve_model_path(settings)
    architecture = _architecture(path)
    overrides, processor = pixel_budget(settings, path)
    model = _load(path, overrides | settings.hf_overrides, dtype)
    longest = getattr(model.config.get_text_config(), "max_position_embeddings", 2**31)
    return Checkpoint(
        path=path,
        architecture=architecture,
        model=model,
        processor=AutoProcessor.from_pretrained(path, **processor, **settings.processor),
        context=settings.max_model_len or longest,
    )


def _architecture(path: Path) -> str:
    named = json.loads((path / "config.json").read_text(encoding="utf-8"))["architectures"][0]
    for architecture, known in ARCHITECTURES.items():
        if named == known:
            return architecture
    raise InputError(f"model.path: {path} is a {named}; tuning knows {', '.join(ARCHITECTURES)}")


def _load(path: Path, overrides: Mapping[str, Any], dtype: torch.dtype) -> Any:
    from transformers import AutoConfig, AutoModelForImageTextToText

    config = AutoConfig.from_pretrained(path)
    config.update(dict(overrides))
    model, report = AutoModelForImageTextToText.from_pretrained(
        path, config=config, dtype=dtype, output_loading_info=True
    )
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise InputError(f"model.path: {path} lacks {len(missing)} weights, e.g. {missing[0]}; take a whole checkpoint")
    return model
