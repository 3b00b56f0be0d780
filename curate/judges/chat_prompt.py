"""The prompt text around one image and one policy, in either order, and what it must hold."""

from __future__ import annotations

from typing import Any, Literal

from curate.core.errors import InputError
from curate.judges.verdicts import ANSWER_PREFIX

Layout = Literal["image_first", "policy_first"]


def prompt_text(processor: Any, policy: str, layout: Layout, placeholder: str) -> str:
    """The user turn with image and policy, and the beginning of the answer, by the checkpoint's own chat template.

    Args:
        processor: a `transformers` processor with a chat template.
        policy: text of the policy.
        layout: image first leaves the image's place to the template, as in training. Policy first writes the
            placeholder behind the text, since some templates (LLaVA-OneVision's) put images before all text.
        placeholder: what stands for an image in text, e.g. "<image>".

    Raises:
        InputError: the checkpoint has no chat template, or the image does not stand where the layout wants it.
    """
    text: dict[str, str] = {"type": "text", "text": policy}
    content = [{"type": "image"}, text]
    if layout == "policy_first":
        content = [{"type": "text", "text": f"{policy}\n{placeholder}"}]
    try:
        turn = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
    except ValueError as error:
        raise InputError(f"model.path: the checkpoint has no chat template ({error})") from error
    _check(turn, policy, layout, placeholder)
    return f"{turn}{ANSWER_PREFIX}"


def _check(turn: str, policy: str, layout: Layout, placeholder: str) -> None:
    if placeholder in policy:
        raise InputError(f"policy: its text holds {placeholder!r}, which would take the image's place; remove it")
    if turn.count(placeholder) != 1:
        raise InputError(f"model.path: its chat template makes {turn.count(placeholder)} places for one image")
    image_first = turn.index(placeholder) < turn.index(policy.strip())
    if image_first != (layout == "image_first"):
        raise InputError(f"model.layout: the chat template does not follow {layout}; choose the other layout")
