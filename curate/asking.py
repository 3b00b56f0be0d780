"""What each sample is asked: the same under every policy of the run, or each row under a policy of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from curate.policy import Policy
from curate.prompts import policy_hash, question_for
from curate.row_policies import RowPolicies, RowQuestion
from curate.settings import ModelSettings, Settings
from curate.store import Store
from curate.types import Question, Sample, Unaskable

Asked = Mapping[str, Question | Unaskable]
"""By pass, see `curate.settings.passes_of`."""

Asking = Callable[[Sample], Asked]
"""May write to the run's folder; called in the thread that reads the samples."""


def questions_of(settings: Settings) -> tuple[Question, ...]:
    """One question for each policy, in their order."""
    return tuple(_question(policy, settings.model) for policy in settings.policies.values())


def asking(settings: Settings, store: Store) -> Asking:
    """What tells the questions for a sample; `store` is the run's folder."""
    column = settings.dataset.policy_column
    if column is not None:
        return RowPolicies(store, column, settings.policies, partial(_question, model=settings.model))
    same = {question.policy: question for question in questions_of(settings)}
    return lambda sample: same


def asked_in_general(settings: Settings) -> Sequence[Question | RowQuestion]:
    """For each pass what fingerprints say of it: as much as is known before any sample is read."""
    column, model = settings.dataset.policy_column, settings.model
    if column is None:
        return questions_of(settings)
    return [
        RowQuestion(
            column=column,
            named={name: policy_hash(policy) for name, policy in settings.policies.items()},
            rationale=model.rationale,
            rationale_above=model.rationale_above,
            rationale_chars=model.rationale_chars,
        )
    ]


def _question(policy: Policy, model: ModelSettings) -> Question:
    return question_for(policy, model.rationale, model.rationale_above, model.rationale_chars)
