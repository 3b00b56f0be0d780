"""From a gold set to the cases that training data are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from curate.core.errors import InputError
from curate.core.types import Question, Rating
from curate.evaluation.gold import Gold
from curate.judges.prompts import question_for
from curate.judges.verdicts import fit_rationale, has_rationale
from curate.policies.policy import NA_CODE, Policy
from curate.policies.prompt_import import parse_policy_text
from curate.settings.model import ModelSettings
from curate.settings.tune import DataSettings
from curate.tuning.policy_augmentation import Case, augmented, balanced
from curate.tuning.rationales import Texts, written

TRAIN, DEV = "train", "dev"
SPLITS: Mapping[str, str] = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("dev", "val", "valid", "validation"), DEV),
}
"""Names of splits that are used; rows of any other, such as "test", are left out."""

PolicyNamed = Callable[[str], Policy]


def make_cases(gold: Gold, policy: Policy, named: PolicyNamed, settings: DataSettings) -> list[Case]:
    """The cases of a gold set in its order, with the rationales it has; not balanced yet.

    Args:
        gold: with the columns of `curate.tuning.rationales.COLUMNS`.
        policy: for rows that have none of their own.
        named: finds the policy of a row that names one.
        settings: seed, held out share, whether to augment.

    Raises:
        InputError: a row's category is not one its policy enforces, or not in it at all; or nothing is to be trained.
    """
    policies = _policies(gold, policy, named)
    cases: list[Case] = []
    for row in gold.rows.iter_rows(named=True):
        split = _split(row["key"], row["split"], settings)
        if split is None:
            continue
        case = _case(row, policies[row["policy"]], split, gold.source)
        texts = Texts(rationale=row["rationale"], template=row["template"])
        drawn = _drawn(case, settings)
        cases += [replace(one, rationale=written(one, texts)) for one in drawn]
    if not any(case.split == TRAIN for case in cases):
        raise InputError(f"{gold.source}: no row is in the split 'train'; say so in the column split, or leave it out")
    return cases


def _drawn(case: Case, settings: DataSettings) -> list[Case]:
    if not settings.augment:
        return [case]
    return augmented(case, settings.seed, settings.safe_draws, settings.exception_draws)


def finished(cases: Sequence[Case], model: ModelSettings, settings: DataSettings) -> Iterator[Case]:
    """The cases as they are written: rationales where the model is to give them, cut to its bound, and balanced."""
    fitted = [replace(case, rationale=_fitted(case, model)) for case in cases]
    if not settings.balance:
        return iter(fitted)
    train = iter(balanced([c for c in fitted if c.split == TRAIN], settings.seed))
    return (next(train) if case.split == TRAIN else case for case in fitted)


def question_of(case: Case, model: ModelSettings) -> Question:
    """What `model` is asked in this case."""
    return question_for(case.policy, model.rationale, model.rationale_above, model.rationale_chars)


def wants_rationale(case: Case, model: ModelSettings) -> bool:
    """Whether the answer goes on to a rationale."""
    return has_rationale(question_of(case, model), case.rating)


def _fitted(case: Case, model: ModelSettings) -> str | None:
    if case.rationale is None or not wants_rationale(case, model):
        return None
    return fit_rationale(case.rationale, model.rationale_chars)


def _policies(gold: Gold, policy: Policy, named: PolicyNamed) -> dict[str | None, Policy]:
    """The policies of all rows by what stands there."""
    found: dict[str | None, Policy] = {None: policy, policy.name: policy}
    for name in gold.rows["policy"].unique():
        if name in gold.texts:
            found[name] = parse_policy_text(gold.texts[name], name)
        elif name not in found:
            found[name] = named(name)
    return found


def _split(key: str, given: str | None, settings: DataSettings) -> str | None:
    if given is not None:
        return SPLITS.get(given.strip().lower())
    digest = hashlib.sha256(f"split\n{settings.seed}\n{key}".encode()).digest()
    return DEV if int.from_bytes(digest[:8]) < settings.dev * 2**64 else TRAIN


def _case(row: Mapping[str, str | bool | None], policy: Policy, split: str, source: str) -> Case:
    key, rating, code = str(row["key"]), Rating(str(row["rating"])), str(row["category"] or NA_CODE)
    known = policy.categories.get(code)
    if rating is Rating.UNSAFE and (known is None or not known.enforced):
        raise InputError(f"{source}: key '{key}' is Unsafe by {code}, which policy {policy.name} does not enforce")
    if known is None and code != NA_CODE:
        raise InputError(f"{source}: key '{key}' is of {code}, which policy {policy.name} does not have")
    return Case(key=key, split=split, policy=policy, rating=rating, category=code, exception=bool(row["exception"]))
