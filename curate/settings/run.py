"""The resolved configuration of one command."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, field_validator

from curate.policies.policy import BY_ROW, Policy
from curate.settings.dataset import DatasetSettings
from curate.settings.engine import EngineSettings
from curate.settings.filter import FilterSettings
from curate.settings.group import Group, Shown, _listed
from curate.settings.job import JobSettings
from curate.settings.model import ModelSettings
from curate.settings.report import ReportSettings

FAKE = "fake"
"""The engine that asks no model."""
DRAWN = "drawn from a hash"
"""What the labels of the fake engine are."""


class OutputSettings(Group):
    """Where a run's folder is; deterministic, since resuming depends on it."""

    dir: Annotated[str, Shown(instead="runs/NAME, after dataset.name")]
    """The folder of a run, or a URL of an object store; running again goes on in it."""


class Budget(Group):
    """Failures a run tolerates before it stops: a count below 1 is a share of what was judged."""

    engine: Annotated[float, Field(ge=0)] = 0.02
    """Samples of the statuses rejected_by_engine, invalid_output and engine_failure."""
    data: Annotated[float, Field(ge=0)] = 0.5
    """Samples of the statuses of broken data."""
    grace: Annotated[int, Field(ge=0)] = 200
    """Samples that are judged before a share is held against the run."""


class Settings(Group):
    """Everything one command needs.

    `policies` holds what every sample is judged under; with `dataset.policy_column`, the policies that a row may name.
    """

    dataset: DatasetSettings
    """Where the samples are."""
    model: ModelSettings
    """The safeguard."""
    policies: Annotated[dict[str, Policy], Shown(kind="list of names, or null", instead="the one of `policy`")] = Field(
        min_length=1
    )
    """Names of several policies: every sample is judged under each, and `policy` is not looked at."""
    engine: EngineSettings = EngineSettings()
    """How the model is run."""
    filter: FilterSettings = FilterSettings()
    """Rules that turn annotations into splits."""
    job: JobSettings = JobSettings()
    """Where workers run."""
    output: OutputSettings
    """Where the run's folder is."""
    budget: Budget = Budget()
    """Failures that are tolerated."""
    report: ReportSettings = ReportSettings()
    """What `run` ends with."""
    retry: list[str] = []
    """Statuses to judge again, e.g. [engine_failure,invalid_output]."""
    extend: bool = False
    """Whether new shards are accepted in a folder that was planned before."""
    reuse: list[str] = []
    """Folders or URLs of earlier runs whose labels are taken over where the fingerprint is the same."""

    _one_is_a_list = field_validator("retry", "reuse", mode="before")(_listed)

    @property
    def shown_model(self) -> ModelSettings:
        """The model as a person is shown it: where no model was asked, its warning says so."""
        if self.engine.name != FAKE:
            return self.model
        warning = f"Labels are {DRAWN} (engine=fake) and say nothing of the pictures; {self.model.name} was not asked."
        return self.model.model_copy(update={"warning": warning})

    @property
    def passes(self) -> tuple[str, ...]:
        """See `passes_of`."""
        return passes_of(self.dataset, self.policies)


def passes_of(dataset: DatasetSettings, policies: Iterable[str]) -> tuple[str, ...]:
    """Names of the passes over each sample: each gives it one row, in a folder of annotations of that name.

    One for each policy; or BY_ROW alone, where each row is judged under a policy of its own.
    """
    return tuple(policies) if dataset.policy_column is None else (BY_ROW,)
