"""What each sample is asked: the same under every policy of the run, or each row under a policy of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from curate.core.types import Question, Sample, Unaskable
from curate.judges.prompts import policy_hash, question_for
from curate.judges.row_policies import RowPolicies, RowQuestion
from curate.policies.policy import Policy
from curate.settings.model import ModelSettings
from curate.settings.run import Settings
from curate.storage.store import Store

Questions = Mapping[str, Question | Unaskable]
"""By pass, see `curate.settings.run.passes_of`."""

QuestionsFor = Callable[[Sample], Questions]
"""May write to the run's folder; called in the thread that reads the samples."""


def questions_of(settings: Settings) -> tuple[Question, ...]:
    """One question for each policy, in their order."""
    return tuple(_question(policy, settings.model) for policy in settings.policies.values())


def questions_for(settings: Settings, store: Store) -> QuestionsFor:
    """What tells the questions for a sample; `store` is the run's folder."""
    column = settings.dataset.policy_column
    if column is not None:
        return RowPolicies(store, column, settings.policies, partial(_question, model=settings.model))
    same = {question.policy: question for question in questions_of(settings)}
    return lambda sample: same


def questions_in_general(settings: Settings) -> Sequence[Question | RowQuestion]:
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
            category_scores=model.category_scores,
        )
    ]


def _question(policy: Policy, model: ModelSettings) -> Question:
    return question_for(
        policy,
        model.rationale,
        model.rationale_above,
        model.rationale_chars,
        category_scores=model.category_scores,
    )
