"""Which parts of a safeguard are trained."""

from __future__ import annotations

import re
from typing import Any, Literal

from curate.core.errors import InputError
from curate.settings.tune import LoraSettings, TuneSettings

Part = Literal["language_model", "projector", "vision_tower"]

_PROJECTOR = re.compile(r"model\.(?:multi_modal_projector\.|image_newline$|visual\.merger\.)")
_VISION = re.compile(r"model\.(?:vision_tower|visual)\.")

LORA_TARGETS = r".*language_model\..*\.(?:q|k|v|o|gate|up|down)_proj"
"""The linear layers of the language model, by their names in transformers."""


def part_of(parameter: str) -> Part:
    """The part a parameter belongs to, by its name in transformers."""
    if _PROJECTOR.match(parameter):
        return "projector"
    return "vision_tower" if _VISION.match(parameter) else "language_model"


def prepare(model: Any, settings: TuneSettings) -> Any:
    """`model` with only those parameters requiring gradients that the recipe trains; with adapters, where it has some.

    Raises:
        InputError: adapters together with trained towers, which the engine could not load unmerged.
    """
    if settings.lora is not None:
        if settings.train_vision_tower or settings.train_projector:
            raise InputError("tune.lora: adapts the language model alone; train towers without it (tune.lora=null)")
        return _with_adapters(model, settings.lora)
    trained = {"language_model"}
    trained |= {"vision_tower"} if settings.train_vision_tower else set()
    trained |= {"projector"} if settings.train_projector else set()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(part_of(name) in trained)
    return model


def _with_adapters(model: Any, lora: LoraSettings) -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=LORA_TARGETS,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)
