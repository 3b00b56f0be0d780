"""What the tuning of the built-in safeguard starts from: the taught tower, an untrained projector and decoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
from safetensors.torch import load_file
from transformers import SiglipVisionConfig

from curate.cli.hydra_config import compose_policy
from curate.judges.prompts import render_policy
from curate.policies.policy import Policy
from curate.testing import tiny_models
from curate.tuning.policy_augmentation import relax

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

SIZE = tiny_models.Size(vocabulary=2000, width=256, layers=4, heads=4, tile=112, grid=1, init_std=0.02, context=2048)

TOWER = SiglipVisionConfig(
    hidden_size=384,
    intermediate_size=1536,
    num_hidden_layers=12,
    num_attention_heads=6,
    image_size=112,
    patch_size=14,
    hidden_act="gelu",
    layer_norm_eps=1e-6,
    vision_use_head=False,
)
"""ViT-S/14 of DINOv2's shape for pictures of 112 pixels."""


def build_start(tower: Path, data: Path, policies: Sequence[str], folder: Path) -> None:
    """Write the checkpoint to `folder`.

    Args:
        tower: safetensors that `safeguard.tower` wrote.
        data: pictures with the column `template`, whose words become tokens.
        policies: names of policies whose words become tokens; the first counts most.
        folder: to write to.
    """
    model, processor = tiny_models.build_llava_onevision(_texts(data, policies), SIZE, tower=TOWER)
    model.model.vision_tower.load_state_dict(load_file(tower))
    processor.image_processor.image_mean = list(MEAN)
    processor.image_processor.image_std = list(STD)
    tiny_models.save(model, processor, folder, "llava_onevision", dtype="bfloat16")


def _texts(data: Path, policies: Sequence[str]) -> list[str]:
    first, *others = [compose_policy([f"policy={name}"])[0] for name in policies]
    texts = [_relaxed(first)] * 20 + [_relaxed(one) for one in others]
    templates = pq.read_table(data, columns=["template"])["template"].to_pylist()
    return texts + [t.replace("{reason}", "No category of the policy is touched.") for t in templates]


def _relaxed(policy: Policy) -> str:
    """`policy` with one category relaxed, so that the words for it have tokens too."""
    return render_policy(relax(policy, [next(iter(policy.categories))]))
