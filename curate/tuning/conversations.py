"""A case as a conversation in the format of chat templates: a user turn with image and policy, and the answer.

No system turn: the policy stands in the user turn, as the released safeguards were trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curate.judges.chat_prompt import Layout
from curate.judges.prompts import render_policy
from curate.judges.verdicts import format_answer
from curate.tuning.policy_augmentation import Case
from curate.tuning.rationales import category_string

Messages = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What a conversation holds beside the image."""

    policy: str
    answer: str
    layout: Layout


def messages_of(case: Case, layout: Layout) -> Messages:
    """The conversation of `case`; the image is a part without text."""
    image = {"type": "image", "text": None}
    policy = {"type": "text", "text": render_policy(case.policy)}
    answer = format_answer(case.rating, category_string(case.policy, case.category), case.rationale)
    return [
        {"role": "user", "content": [image, policy] if layout == "image_first" else [policy, image]},
        {"role": "assistant", "content": [{"type": "text", "text": answer}]},
    ]


def read_messages(messages: Sequence[Mapping[str, Any]]) -> Conversation:
    """The conversation in `messages`.

    Raises:
        ValueError: it is not one question about one image with its answer.
    """
    roles = [message["role"] for message in messages]
    parts = [[part["type"] for part in message["content"]] for message in messages]
    if roles != ["user", "assistant"] or sorted(parts[0]) != ["image", "text"] or parts[1] != ["text"]:
        raise ValueError(f"a conversation of {roles} with {parts}")
    question, answer = messages
    (policy,) = (part["text"] for part in question["content"] if part["type"] == "text")
    layout: Layout = "image_first" if parts[0][0] == "image" else "policy_first"
    return Conversation(policy=policy, answer=answer["content"][0]["text"], layout=layout)
