"""What a person should know before a model starts to judge; a line each, and nothing where all is as expected."""

from __future__ import annotations

from collections.abc import Iterator

from curate.engines import dtype
from curate.judges.tuned_policies import untuned
from curate.settings.run import Settings


def remarks(settings: Settings) -> Iterator[str]:
    """On the number format, and on policies that the model does not know; which rows bring themselves nobody knows yet.

    Args:
        settings: with the number format settled.
    """
    yield from dtype.remarks(settings.model, settings.engine)
    if settings.dataset.policy_column is None:
        yield from untuned(settings.model, settings.policies.values())
