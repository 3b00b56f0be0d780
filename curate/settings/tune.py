"""Settings of `tune data` and of `tune`: frozen types, checked once at the edge."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from curate.settings.group import Group


class DataSettings(Group):
    """How training data are made of a gold set."""

    gold: str
    """The gold set: a table, an image folder, or datasets:NAME."""
    seed: int = 0
    """Seed of the augmentations, the split and the balance."""
    dev: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of images held out where the gold set has no column `split`."""
    augment: bool = True
    """Whether to draw policies; without it each row of the gold set stands once under its own."""
    safe_draws: Annotated[int, Field(ge=0, le=3)] = 0
    """Draws for each safe image as well, up to three. The paper makes none; without them a policy that declares
    something non-violating tells a small model by itself that the image is one of the unsafe ones."""
    exception_draws: Annotated[int, Field(ge=1, le=10)] = 1
    """Draws for each unsafe image in which its own category is declared non-violating. The paper makes one; further
    ones declare up to two others so as well. A small model reads the policy sooner where one in five is an exception
    and not one in twenty-five."""
    balance: bool = True
    """Whether to repeat the rarer rating in the training split."""


class LoraSettings(Group):
    """Low-rank adapters on every linear layer of the language model."""

    rank: Annotated[int, Field(gt=0)] = 128
    """Rank of the adapters."""
    alpha: Annotated[float, Field(gt=0)] = 256
    """What the adapters are scaled by is alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of an adapter's inputs that is dropped in training."""


class TuneSettings(Group):
    """A recipe."""

    name: str
    """Name of the recipe."""
    base: str | None = None
    """Checkpoint that is tuned where no `model=` is given."""
    lora: LoraSettings | None = None
    """Adapters in place of training the language model itself."""
    train_vision_tower: bool = False
    """Whether the vision tower is trained too."""
    train_projector: bool = False
    """Whether the projector is trained too."""
    vary_images: bool = False
    """Mirrors, turns, scales, moves and recolours an image anew each time it is trained on. For small sets of drawings;
    text in a mirrored image reads backwards."""
    share_policy: bool = False
    """Puts conversations under the same policy into one batch and computes the policy once for it; for models that read
    the policy before the image, and one process."""
    epochs: Annotated[float, Field(gt=0)] = 3
    """Passes over the training split."""
    max_steps: Annotated[int, Field(gt=0)] | None = None
    """Optimizer steps after which to stop, however many epochs that is."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    """Learning rate at its highest."""
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    """How the learning rate falls after the warm-up."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of all steps in which the learning rate rises."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Weight decay of AdamW."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """The norm that gradients are cut to."""
    batch: Annotated[int, Field(gt=0)] = 1
    """Conversations a device takes at once."""
    accumulate: Annotated[int, Field(gt=0)] = 1
    """Batches a device takes for one optimizer step."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """bfloat16 computes in it with weights and optimizer in float32; a frozen base is held in it."""
    gradient_checkpointing: bool = False
    """Computes activations twice to save memory."""
    evaluate_every: Annotated[int, Field(gt=0)] = 200
    """Optimizer steps between two evaluations."""
    checkpoint_every: Annotated[int, Field(gt=0)] = 200
    """Optimizer steps between two checkpoints."""
    log_every: Annotated[int, Field(gt=0)] = 10
    """Optimizer steps between two lines of the history."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Processes that prepare batches; 0 does it between steps."""
    threads: Annotated[int, Field(gt=0)] | None = None
    """Threads of a CPU; null leaves them to PyTorch."""
    seed: int = 0
    """Seed of order and dropout."""
