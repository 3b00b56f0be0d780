"""Policies that a model was never tuned on: it answers under them all the same, and its answers mean little.

A safeguard that was tuned on many policies reads new ones; a small one knows the words of its own. Which those are is
said by `model.tuned_on`; categories may be declared non-violating, which is what it was tuned to read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from curate.judges.prompts import policy_hash
from curate.policies.policy import Policy
from curate.settings.model import ModelSettings


def rules_hash(policy: Policy) -> str:
    """SHA-256 of the policy's text with all its categories enforced, in hexadecimal."""
    enforced = {code: c.model_copy(update={"enforced": True}) for code, c in policy.categories.items()}
    return policy_hash(policy.model_copy(update={"categories": enforced}))


def untuned(model: ModelSettings, policies: Iterable[Policy]) -> Iterator[str]:
    """A line for each policy that `model` was not tuned on; none where it does not say on which it was."""
    if not model.tuned_on:
        return
    known = set(model.tuned_on.values())
    for policy in policies:
        if rules_hash(policy) not in known:
            yield (
                f"{model.name} was not tuned on policy {policy.name}, only on {', '.join(model.tuned_on)}: "
                "it may flag the right pictures under wrong categories, and miss what only this policy forbids"
            )
