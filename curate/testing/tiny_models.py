"""Tiny random-weight checkpoints of the two released architectures, laid out as the released ones are.

They hold everything a released checkpoint holds (configuration, Qwen2-style tokenizer, processor, chat template,
generation configuration, weights) at about a millionth of the size, so that tests load them through the same path.
The weights carry the key names of the released checkpoints, which transformers 5 itself no longer writes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    PreTrainedModel,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Config,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    SiglipVisionConfig,
)
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from curate.judges.released_keys import released

CORPUS: tuple[str, ...] = (
    '{\n    "rating": "Safe",\n    "category": "NA: None applying",\n    "rationale": "The image shows a street."\n}',
    '{\n    "rating": "Unsafe",\n    "category": "O2: Violence",\n    "rationale": "The image shows a fight."\n}',
    "Assess the image against the safety policy below. Give a rating, a category and a rationale.",
    "O1: Hate, Humiliation, Harassment\nShould not:\n- show contempt for a group of people.\nCan:\n- report on it.",
    "Rating: is the content safe or unsafe? Category: which policy category applies? Rationale: why?",
)
"""Text whose words become tokens; enough for `Safe`, `Unsafe` and the answer's layout to be what they are in Qwen2."""

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<image>",
    "<video>",
)

# Both templates lay a turn out as the released ones do: OneVision puts images before all text, Qwen where they stand.
ONEVISION_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }} "
    "{% for part in message['content'] if part['type'] == 'image' %}<image>{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ '\\n' + part['text'] }}{% endfor %}"
    "<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Sizes of a tiny model.

    Attributes:
        kv_heads: heads of keys and values; 0 for as many as `heads`.
        tile: side of a vision tile in pixels, a multiple of 28.
        grid: most tiles a picture has in width and in height.
    """

    vocabulary: int = 600
    width: int = 64
    layers: int = 2
    heads: int = 1
    kv_heads: int = 0
    vision_width: int = 32
    vision_layers: int = 2
    tile: int = 56
    grid: int = 3
    init_std: float = 0.1
    context: int = 4096


def train_tokenizer(texts: Iterable[str], size: int, chat_template: str) -> Qwen2Tokenizer:
    """Byte-level BPE with Qwen2's pre-tokenizer and special tokens behind the vocabulary, trained on `texts`."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    # The layout stands many times in the text, so that its parts are merged before anything else.
    backend.train_from_iterator([*list(CORPUS) * 50, *texts], trainer)
    model = json.loads(backend.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=model["vocab"],
        merges=[tuple(merge) for merge in model["merges"]],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=list(SPECIAL_TOKENS),
    )
    tokenizer.chat_template = chat_template
    return tokenizer


def build_llava_onevision(
    texts: Iterable[str] = (), size: Size = Size(), seed: int = 0, tower: SiglipVisionConfig | None = None
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """A tiny LLaVA-OneVision: Qwen2 decoder, SigLIP tower (by default a tiny one), any-resolution tiles."""
    tokenizer = train_tokenizer(texts, size.vocabulary, ONEVISION_TEMPLATE)
    sides = range(1, size.grid + 1)
    pinpoints = [[h * size.tile, w * size.tile] for h in sides for w in sides]
    config = LlavaOnevisionConfig(
        text_config=Qwen2Config(**_decoder(size, len(tokenizer), tokenizer.eos_token_id)),
        vision_config=(tower or _tower(size)).to_dict(),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=pinpoints,
        initializer_range=size.init_std,
    )
    processor = LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=_square(size), image_grid_pinpoints=pinpoints),
        tokenizer=tokenizer,
        video_processor=LlavaOnevisionVideoProcessor(size=_square(size)),
        num_image_tokens=(size.tile // 14) ** 2,
        vision_feature_select_strategy="full",
        chat_template=ONEVISION_TEMPLATE,
    )
    torch.manual_seed(seed)
    return LlavaOnevisionForConditionalGeneration(config).eval(), processor


def build_qwen2_5_vl(
    texts: Iterable[str] = (), size: Size = Size(), seed: int = 0
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """A tiny Qwen2.5-VL: its own windowed vision tower and multimodal rotary positions."""
    tokenizer = train_tokenizer(texts, size.vocabulary, QWEN_TEMPLATE)
    head = size.width // size.heads
    config = Qwen2_5_VLConfig(
        text_config={
            **_decoder(size, len(tokenizer), tokenizer.eos_token_id),
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [head // 8, head * 3 // 16, head * 3 // 16],
            },
        },
        vision_config={
            "depth": size.vision_layers,
            "hidden_size": size.vision_width,
            "intermediate_size": size.vision_width * 2,
            "num_heads": 1,
            "out_hidden_size": size.width,
            "fullatt_block_indexes": [size.vision_layers - 1],
        },
        **{f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{name}_pad|>") for name in ("image", "video")},
        **{
            f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{name}|>")
            for name in ("vision_start", "vision_end")
        },
        initializer_range=size.init_std,
    )
    limits = {"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 64}
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=limits),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=limits),
        chat_template=QWEN_TEMPLATE,
    )
    torch.manual_seed(seed)
    return Qwen2_5_VLForConditionalGeneration(config).eval(), processor


BUILDERS: Mapping[str, Callable[..., tuple[PreTrainedModel, ProcessorMixin]]] = {
    "llava_onevision": build_llava_onevision,
    "qwen2_5_vl": build_qwen2_5_vl,
}
"""By architecture, as `curate.settings.model.ModelSettings` names it."""


def save(
    model: PreTrainedModel, processor: ProcessorMixin, folder: Path, architecture: str, dtype: str = "float32"
) -> Path:
    """Write a checkpoint folder as the released ones are laid out; returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    model.config.architectures = [type(model).__name__]
    model.config.dtype = dtype
    model.config.save_pretrained(folder)
    processor.save_pretrained(folder)
    end = processor.tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    GenerationConfig(eos_token_id=end, pad_token_id=end[1]).save_pretrained(folder)
    weights = {
        name: weight.detach().to(getattr(torch, dtype), copy=True).contiguous()
        for name, weight in released(model.state_dict(), architecture)
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    return folder


def build(folder: Path, architecture: str, texts: Iterable[str] = (), size: Size = Size(), seed: int = 0) -> Path:
    """Build and save a tiny checkpoint; the same arguments give the same weights."""
    return save(*BUILDERS[architecture](texts, size, seed), folder, architecture)


def _tower(size: Size) -> SiglipVisionConfig:
    return SiglipVisionConfig(
        hidden_size=size.vision_width,
        intermediate_size=size.vision_width * 2,
        num_hidden_layers=size.vision_layers,
        num_attention_heads=max(1, size.vision_width // 64),
        image_size=size.tile,
        patch_size=14,
        vision_use_head=False,
        initializer_range=size.init_std,
    )


def _square(size: Size) -> dict[str, int]:
    return {"height": size.tile, "width": size.tile}


def _decoder(size: Size, vocabulary: int, end: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": size.width,
        "intermediate_size": size.width * 3,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.kv_heads or size.heads,
        "max_position_embeddings": size.context,
        "bos_token_id": None,
        "eos_token_id": end,
        "initializer_range": size.init_std,
        "tie_word_embeddings": False,
    }
