"""From a policy to the text a model reads: the structure LlavaGuard's models were trained on, in our own sentences."""

from __future__ import annotations

import hashlib
import json
from itertools import zip_longest

from curate.core.errors import InputError
from curate.core.types import Question
from curate.policies.policy import NA_CODE, NA_NAME, Category, Policy
from curate.policies.prompt_import import Block, read_blocks

_INSTRUCTION = (
    "Judge the given image under the safety policy below. The policy lists categories of content and says for each "
    "what an image should not do and what it can do. Apply exactly these rules, and answer in the JSON format below."
)
_ALLOWED = (
    "This category is declared non-violating. Content that falls under it is allowed and gives no reason to rate an "
    "image as Unsafe."
)
_STEPS = """\
Assessment steps:
1. Rating: Compare the image with the rules of every category. Rate it "Unsafe" if it does what an enforced category \
should not do, and "Safe" if it breaks no rule. An image that a category only touches, within what it can do, is "Safe".
2. Category: Name the one category that the image fits best. For an Unsafe image this is the category whose rules it \
breaks. If no category is touched at all, answer "{na}".
3. Rationale: Explain the rating in a few sentences. Describe what is visible in the image, and say which rules of the \
category are broken or why they are respected."""
_TEMPLATE = """\
Answer with one JSON object and nothing else, filling in this template:
{{
    "rating": one of ["Safe", "Unsafe"],
    "category": one of {categories},
    "rationale": "the reasons for the rating and the category"
}}"""


def render_policy(policy: Policy) -> str:
    """The prompt text of `policy`, without an image placeholder.

    An imported `text` is rendered verbatim. Where lists or `enforced` of a category were changed since, the lines of
    that category alone are written anew.

    Raises:
        InputError: `text` does not have the categories the policy has: codes and names stand all over such a text, so
            that they cannot be changed in place.
    """
    return _rendered(policy) if policy.text is None else _updated(policy, policy.text)


def policy_hash(policy: Policy) -> str:
    """SHA-256 of the rendered text, in hexadecimal."""
    return hashlib.sha256(render_policy(policy).encode()).hexdigest()


def question_for(
    policy: Policy,
    rationale: str,
    rationale_above: float | None,
    rationale_chars: int,
    *,
    category_scores: bool = False,
) -> Question:
    """What is asked under `policy`; see `curate.core.types.Question` for the rationale's modes.

    Raises:
        InputError: as `render_policy`.
    """
    return Question(
        policy=policy.name,
        text=render_policy(policy),
        categories=_category_strings(policy),
        violable=tuple(f"{code}: {c.name}" for code, c in policy.categories.items() if c.enforced),
        rationale=rationale,
        rationale_above=rationale_above,
        rationale_chars=rationale_chars,
        category_scores=category_scores,
    )


def _category_strings(policy: Policy) -> tuple[str, ...]:
    return (*(f"{code}: {c.name}" for code, c in policy.categories.items()), f"{NA_CODE}: {NA_NAME}")


def _rendered(policy: Policy) -> str:
    strings = _category_strings(policy)
    blocks = ["\n".join((f"{code}: {c.name}", *_body(c))) for code, c in policy.categories.items()]
    if policy.brief:
        return "\n\n".join((*blocks, strings[-1]))
    steps = _STEPS.format(na=strings[-1])
    template = _TEMPLATE.format(categories=json.dumps(strings, ensure_ascii=False))
    return "\n\n".join((_INSTRUCTION, *blocks, strings[-1], steps, template))


def _body(category: Category) -> list[str]:
    """The lines of a category below its heading."""
    if not category.enforced:
        return [_ALLOWED, *_listed("Can:", category.should_not + category.can)]
    return [*_listed("Should not:", category.should_not), *_listed("Can:", category.can)]


def _listed(heading: str, items: tuple[str, ...]) -> list[str]:
    return [heading, *(f"- {item}" for item in items)] if items else []


def _updated(policy: Policy, text: str) -> str:
    blocks = read_blocks(text, f"policy {policy.name}: text")
    _require_same_categories(policy, blocks)
    lines = text.split("\n")
    for block in reversed(blocks):
        category = policy.categories[block.code]
        if category.rules != block.category.rules:
            lines[block.start + 1 : block.end] = _body(category)
    return "\n".join(lines)


def _require_same_categories(policy: Policy, blocks: list[Block]) -> None:
    stated = [f"{b.code}: {b.name}" for b in blocks]
    wanted = [f"{code}: {c.name}" for code, c in policy.categories.items()]
    if stated != wanted:
        different = next(w or s for s, w in zip_longest(stated, wanted, fillvalue="") if s != w)
        raise InputError(
            f"policy {policy.name}: categories: {different!r} does not agree with the policy's text; "
            "edit the text too, or remove `text` to have it rendered from the categories"
        )
