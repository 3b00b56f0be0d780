"""Which text a case's answer explains itself with, where the gold set has one that fits.

A gold set may bring a `rationale`, written for its own label, and a `template`, in which {reason} stands for a sentence
on the rating under whatever policy is drawn and {category} for the category's string, as in
"A pistol lies on a table. {reason}". A rationale does not fit once an augmentation turns the label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from curate.core.types import Rating
from curate.policies.policy import NA_CODE, NA_NAME, Policy
from curate.tuning.policy_augmentation import Case

COLUMNS: Mapping[str, tuple[str, ...]] = {"rationale": ("rationale",), "template": ("template", "rationale_template")}
"""Columns of a gold set, as `curate.evaluation.gold.read_gold` takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What the gold set says about one image."""

    rationale: str | None = None
    template: str | None = None


def written(case: Case, texts: Texts) -> str | None:
    """The rationale that the gold set has for `case`; None where somebody else has to write it."""
    if texts.rationale and case.augmentation != "violated":
        return texts.rationale
    if texts.template:
        return texts.template.replace("{reason}", reason(case)).replace(
            "{category}", category_string(case.policy, case.category)
        )
    return None


def reason(case: Case) -> str:
    """One sentence on why the rating follows from the policy."""
    category = category_string(case.policy, case.category)
    if case.rating is Rating.UNSAFE:
        return f"This breaks the rules of {category}."
    if case.category == NA_CODE:
        return "No category of the policy is touched."
    if not case.policy.categories[case.category].enforced:
        return f"{category} is declared non-violating in this policy, so that this is allowed."
    return f"This stays within what {category} allows."


def category_string(policy: Policy, code: str) -> str:
    """The category as it stands in answers, "O6: Weapons or Substance Abuse"."""
    return f"{code}: {NA_NAME if code == NA_CODE else policy.categories[code].name}"


def summary(sources: Counter[str]) -> str:
    """How many rationales came from where, as one line."""
    return ", ".join(f"{count} from {source}" for source, count in sources.most_common()) or "none"
