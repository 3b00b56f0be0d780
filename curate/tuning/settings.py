"""Settings of `tune data` and of `tune`: frozen types, checked once at the edge."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from curate.settings import Group


class DataSettings(Group):
    """How training data are made of a gold set.

    Attributes:
        gold: as `curate.evaluation.gold.read_gold` takes it.
        seed: of the augmentations, the split and the balance.
        dev: share of images held out where the gold set has no column `split`.
        augment: whether to draw policies; without it each row of the gold set stands once under its own.
        safe_draws: draws for each safe image as well, up to three. The paper makes none; without them a policy that
            declares something non-violating tells a small model by itself that the image is one of the unsafe ones.
        exception_draws: draws for each unsafe image in which its own category is declared non-violating. The paper
            makes one; further ones declare up to two others so as well. A small model reads the policy sooner where
            one in five is an exception and not one in twenty-five.
        balance: whether to repeat the rarer rating in the training split.
    """

    gold: str
    seed: int = 0
    dev: Annotated[float, Field(ge=0, lt=1)] = 0.05
    augment: bool = True
    safe_draws: Annotated[int, Field(ge=0, le=3)] = 0
    exception_draws: Annotated[int, Field(ge=1, le=10)] = 1
    balance: bool = True


class LoraSettings(Group):
    """Low-rank adapters on every linear layer of the language model."""

    rank: Annotated[int, Field(gt=0)] = 128
    alpha: Annotated[float, Field(gt=0)] = 256
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05


class TuneSettings(Group):
    """A recipe.

    Attributes:
        name: of the recipe.
        base: checkpoint that is tuned where no `model=` is given.
        lora: adapters in place of training the language model itself.
        train_vision_tower, train_projector: whether these are trained too.
        vary_images: mirrors, turns, scales, moves and recolours an image anew each time it is trained on. For small
            sets of drawings; text in a mirrored image reads backwards.
        share_policy: puts conversations under the same policy into one batch and computes the policy once for it; for
            models that read the policy before the image, and one process.
        epochs: passes over the training split.
        max_steps: optimizer steps after which to stop, however many epochs that is.
        learning_rate: at its highest.
        schedule: how it falls after the warm-up.
        warmup: share of all steps in which it rises.
        weight_decay, max_grad_norm: of AdamW, and the norm that gradients are cut to.
        batch: conversations a device takes at once.
        accumulate: batches a device takes for one optimizer step.
        precision: bfloat16 computes in it with weights and optimizer in float32; a frozen base is held in it.
        gradient_checkpointing: computes activations twice to save memory.
        evaluate_every, checkpoint_every, log_every: in optimizer steps.
        workers: processes that prepare batches; 0 does it between steps.
        threads: of a CPU; None leaves them to PyTorch.
        seed: of order and dropout.
    """

    name: str
    base: str | None = None
    lora: LoraSettings | None = None
    train_vision_tower: bool = False
    train_projector: bool = False
    vary_images: bool = False
    share_policy: bool = False
    epochs: Annotated[float, Field(gt=0)] = 3
    max_steps: Annotated[int, Field(gt=0)] | None = None
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.03
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    batch: Annotated[int, Field(gt=0)] = 1
    accumulate: Annotated[int, Field(gt=0)] = 1
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    gradient_checkpointing: bool = False
    evaluate_every: Annotated[int, Field(gt=0)] = 200
    checkpoint_every: Annotated[int, Field(gt=0)] = 200
    log_every: Annotated[int, Field(gt=0)] = 10
    workers: Annotated[int, Field(ge=0)] = 0
    threads: Annotated[int, Field(gt=0)] | None = None
    seed: int = 0
