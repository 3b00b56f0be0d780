"""Conversations to tensors, as the engine asks at inference, with the loss on the answer alone.

The prompt is made by the same function that the engine uses; behind it stand the answer and the token that ends a turn.
Rows are padded on the left, so that all answers end at the right: the model then computes its large output layer for
those positions only, and not for thousands of tokens of image and policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL.Image import Image

from curate.core.errors import InputError
from curate.images.decoding import decode
from curate.judges.chat_prompt import Layout, prompt_text
from curate.judges.verdicts import ANSWER_PREFIX
from curate.settings.dataset import DatasetSettings
from curate.tuning.conversations import read_messages
from curate.tuning.image_augmentation import varied
from curate.tuning.shared_prefix import split_prefix

IGNORED = -100
"""Label of positions without a loss."""

PLACEHOLDERS: Mapping[str, str] = {"qwen2_5_vl": "<|vision_start|><|image_pad|><|vision_end|>"}
"""What stands for an image in the text, by architecture; "<image>" for all others."""

_SEEDS = 2**40
"""More than there are draws, so that no two seeds share one."""

_LIMITS = DatasetSettings(name="training", shards=["-"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Padded conversations.

    Attributes:
        inputs: what the model takes: input_ids and attention_mask of (rows, length), and the images.
        labels: (rows, answer length), the last positions of input_ids; IGNORED where a row's answer is shorter.
        tokens: how many labels count.
        prefix: (1, length), tokens that all rows have before those in `inputs`; None for none.
    """

    inputs: dict[str, torch.Tensor]
    labels: torch.Tensor
    tokens: int
    prefix: torch.Tensor | None = None


class Encoder:
    """Makes batches of the rows that `curate.tuning.dataset.load` gives; picklable, for loader processes.

    Args:
        processor: of the checkpoint, with the pixel budget applied.
        architecture: a key of `curate.judges.checkpoints.ARCHITECTURES`.
        layout: that the conversations must have.
        context: most tokens a row may have.
        vary: seed of the variations of rows that say which `draw` they are; None leaves all images as they are.
        share: whether to take what all rows of a batch begin with out of them, as their prefix.
    """

    def __init__(
        self,
        processor: Any,
        architecture: str,
        layout: Layout,
        context: int,
        *,
        vary: int | None = None,
        share: bool = False,
    ) -> None:
        self._processor = processor
        self._placeholder = PLACEHOLDERS.get(architecture, "<image>")
        self._layout = layout
        self._context = context
        self._vary = vary
        self._share = share
        processor.tokenizer.padding_side = "left"

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """A batch.

        Raises:
            InputError: a row is of another layout or longer than the context; names its key.
        """
        turns = [self._turns(row) for row in rows]
        answers = [self._tokens(answer) for _, answer in turns]
        inputs = self._processor(
            images=[self._image(row) for row in rows],
            text=[prompt + answer for prompt, answer in turns],
            padding=True,
            add_special_tokens=self._adds_bos(turns[0][0]),
            return_tensors="pt",
        )
        self._check_length(inputs["attention_mask"], rows)
        labels = torch.full((len(rows), max(map(len, answers))), IGNORED)
        for row, answer in enumerate(answers):
            labels[row, -len(answer) :] = torch.tensor(answer)
        self._check_border(inputs["input_ids"], labels)
        prefix, inputs = self._shared(dict(inputs))
        return Batch(inputs=inputs, labels=labels, tokens=int((labels != IGNORED).sum()), prefix=prefix)

    def _shared(self, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor | None, dict[str, torch.Tensor]]:
        return split_prefix(inputs, self._processor.image_token_id) if self._share else (None, inputs)

    def _image(self, row: Mapping[str, Any]) -> Image:
        image = decode(row["image"]["bytes"], max_bytes=_LIMITS.max_bytes, max_pixels=_LIMITS.max_pixels).image
        if self._vary is None or "draw" not in row:
            return image
        return varied(image, self._vary * _SEEDS + row["draw"])

    def _turns(self, row: Mapping[str, Any]) -> tuple[str, str]:
        """The prompt up to where the answer begins, and the answer with its end."""
        conversation = read_messages(row["messages"])
        if conversation.layout != self._layout:
            raise InputError(
                f"data: key '{row['key']}' is laid out {conversation.layout}, the model {self._layout}; "
                f"set model.layout={conversation.layout}, or make the data for this model"
            )
        prompt = prompt_text(self._processor, conversation.policy, self._layout, self._placeholder)
        return prompt.removesuffix(ANSWER_PREFIX), f"{conversation.answer}{self._processor.tokenizer.eos_token}"

    def _tokens(self, text: str) -> list[int]:
        return list(self._processor.tokenizer.encode(text, add_special_tokens=False))

    def _adds_bos(self, prompt: str) -> bool:
        bos = self._processor.tokenizer.bos_token
        return bool(bos) and not prompt.startswith(bos)

    def _check_length(self, mask: torch.Tensor, rows: Sequence[Mapping[str, Any]]) -> None:
        for length, row in zip(mask.sum(1).tolist(), rows, strict=True):
            if length > self._context:
                raise InputError(
                    f"data: key '{row['key']}' has {length} tokens, the context {self._context}; "
                    "raise model.max_model_len or lower model.max_pixels"
                )

    def _check_border(self, tokens: torch.Tensor, labels: torch.Tensor) -> None:
        end = tokens[:, -labels.shape[1] :]
        if not torch.equal(end[labels != IGNORED], labels[labels != IGNORED]):
            raise InputError("model.path: its tokenizer has no border where an answer begins; take another checkpoint")
