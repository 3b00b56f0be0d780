"""Builds the safeguard in the package, curate/data/safeguard: random weights, and rows of its output fitted to vary.

A random model gives every picture the same answer, because a thousand policy tokens drown a hundred image tokens. The
rows of the output layer that decide on rating and category are therefore fitted by least squares, so that whatever the
pictures do change in the last hidden state turns the answer. Nothing is learnt: the targets are random directions.

Run from the repository: python scripts/build_safeguard.py [FOLDER]. The same code and policies give the same weights.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from curate.config import compose_policy, group_names
from curate.engines.chat import prompt_text
from curate.policy import Policy
from curate.prompts import render_policy
from curate.resources import packaged
from curate.testing import tiny_models
from curate.types import Rating
from curate.verdicts import RATING_SUFFIX

SIZE = tiny_models.Size(
    vocabulary=1200,
    width=128,
    layers=2,
    heads=2,
    vision_width=64,
    vision_layers=2,
    tile=112,
    grid=1,
    init_std=0.12,
    context=8192,
)
PICTURES = 192
SPREAD = 1.5
"""Standard deviation of the log-odds of Unsafe over the pictures."""
LOGIT = 14.0
"""High enough for what fits a place to hold most of the probability there, as in a trained model."""
END = '."Ċ'
"""The token that ends a rationale."""
WORDS = 40
"""Number of words that rationales are made of."""
RIDGE = 1e-2


def main(folder: Path) -> None:
    """Build the checkpoint in `folder`."""
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    policies = [render_policy(p) for p in _policies()]
    model, processor = tiny_models.build_llava_onevision(policies, SIZE)
    with torch.inference_mode():
        _fit_output(model, processor, policies, _pictures(PICTURES))
    tiny_models.save(model, processor, folder, "llava_onevision")


def _policies() -> list[Policy]:
    return [compose_policy([f"policy={name}"])[0] for name in group_names("policy")]


def _pictures(count: int) -> list[Image.Image]:
    """Patches of colour and drawings on plain ground, by turns, of many shapes."""
    rng = np.random.default_rng(0)
    return [(_drawing if i % 2 else _patches)(rng) for i in range(count)]


def _patches(rng: np.random.Generator) -> Image.Image:
    low, high = np.sort(rng.integers(0, 256, 2))
    patches = rng.integers(low, high + 1, (*rng.integers(1, 9, 2), 3)).astype(np.uint8)
    return Image.fromarray(patches).resize(_size(rng), Image.Resampling(int(rng.integers(0, 4))))


def _drawing(rng: np.random.Generator) -> Image.Image:
    ground = (255, 255, 255) if rng.random() < 0.6 else _colour(rng)
    picture = Image.new("RGB", _size(rng), ground)
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 7))):
        x, y = np.sort(rng.integers(0, picture.width, 2)), np.sort(rng.integers(0, picture.height, 2))
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((int(x[0]), int(y[0]), int(x[1]), int(y[1])), fill=_colour(rng))
    return picture


def _size(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(120, 640)), int(rng.integers(120, 640))


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    return int(rng.integers(0, 256)), int(rng.integers(0, 256)), int(rng.integers(0, 256))


def _fit_output(
    model: PreTrainedModel, processor: ProcessorMixin, policies: Sequence[str], pictures: Sequence[Image.Image]
) -> None:
    """Fit the output rows of the ratings, of what begins and numbers a category, and of the words of a rationale."""
    token = processor.tokenizer.convert_tokens_to_ids
    words = _words(processor.tokenizer)
    category = [f"{rating}{RATING_SUFFIX}" for rating in Rating]
    answers = {
        "rating": [""],
        "category": category,
        "number": [f"{text}O" for text in category],
        "word": [f"{category[i % 2]}O{i % 9 + 1}{text}" for i, text in enumerate(_beginnings(words))],
    }
    states = {place: _hidden(model, processor, policies, pictures, texts) for place, texts in answers.items()}
    odds = SPREAD / 2 * _direction(states["rating"], 0)
    targets = {
        token(Rating.SAFE): ("rating", -odds),
        token(Rating.UNSAFE): ("rating", odds),
        token("NA"): ("category", 0.5 + _direction(states["category"], 1)),
        token("O"): ("category", -_direction(states["category"], 1)),
        **{token(str(d)): ("number", _direction(states["number"], 1 + d)) for d in range(1, 10)},
        **{token(word): ("word", _direction(states["word"], 10 + i)) for i, word in enumerate(words)},
        token(END): ("word", 1.3 + _direction(states["word"], 9)),
    }
    rows = model.get_output_embeddings().weight
    for token_id, (place, target) in targets.items():
        rows[token_id] = _row(states, place, LOGIT + target)


def _words(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The longest words that are one token, space included."""
    found = [t for t in tokenizer.get_vocab() if t.startswith("Ġ") and t[1:].isalpha()]
    return sorted(found, key=lambda t: (-len(t), t))[:WORDS]


def _beginnings(words: Sequence[str]) -> list[str]:
    """Rationales that have begun, one for each picture."""
    rng = np.random.default_rng(0)
    drawn = ("".join(rng.choice(words, size=i % 9)).replace("Ġ", " ") for i in range(PICTURES))
    return [f'",\n    "rationale": "{text.strip()}' for text in drawn]


def _hidden(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    policies: Sequence[str],
    pictures: Sequence[Image.Image],
    answers: Sequence[str],
) -> torch.Tensor:
    """Last hidden states behind `answers`, which the pictures take by turns: (policies * pictures, width)."""
    prompts = [prompt_text(processor, policy, "image_first", "<image>") for policy in policies]
    inputs = (
        processor(images=picture, text=f"{prompt}{answers[i % len(answers)]}", return_tensors="pt")
        for prompt in prompts
        for i, picture in enumerate(pictures)
    )
    return torch.stack([model.model(**i).last_hidden_state[0, -1] for i in inputs])


def _direction(hidden: torch.Tensor, index: int) -> torch.Tensor:
    """Standardised values of the pictures in a direction among those they vary in most; median 0 under each policy."""
    states = hidden.unflatten(0, (-1, PICTURES))
    states = states - states.median(dim=1, keepdim=True).values
    _, _, axes = torch.linalg.svd(states.flatten(0, 1), full_matrices=False)
    scores = states.mean(0) @ axes[:8].T
    mix = torch.randn(8, generator=torch.Generator().manual_seed(index))
    values = (scores / scores.std(0)) @ mix
    values = (values - values.median()) / values.std()
    return values.repeat(len(states))


def _row(states: Mapping[str, torch.Tensor], place: str, wanted: torch.Tensor) -> torch.Tensor:
    """The row whose products with the states at `place` come closest to `wanted`, and to 0 at the other places."""
    inputs = torch.cat(list(states.values()))
    outputs = torch.cat([wanted if name == place else torch.zeros(len(at)) for name, at in states.items()])
    gram = inputs.T @ inputs + RIDGE * torch.eye(inputs.shape[1])
    return torch.linalg.solve(gram, inputs.T @ outputs)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(packaged("data/safeguard")))
