"""What the benchmarks that judge share: settings, environments, verdicts, and how verdicts are compared."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from curate.cli.hydra_config import compose_settings
from curate.core.types import Question
from curate.engines import vllm_args
from curate.judges.questions import questions_of
from curate.pipeline.opening import settle_dtype
from curate.policies.policy import Policy
from curate.settings.run import Settings
from tests.benchmarks.timed_job import Times, run_job
from tests.support.jobs import rows

BORDER = 0.02
"""So near to one half p_unsafe may change sides with the composition of a batch (docs/design.md)."""


@dataclass(frozen=True)
class Judged:
    """What a contender says of one picture; `rating` is None where its answer cannot be parsed."""

    rating: str | None
    category: str | None
    rationale: str | None
    p_unsafe: float | None = None
    label_mass: float | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


Verdicts = Mapping[str, Judged]
"""By key."""


def judge_settings(*overrides: str) -> Settings:
    """Settings as `curate run` would have them in a new folder; the data set does not matter to who asks."""
    return settle_dtype(compose_settings(["+dataset=laion_subset", *overrides]), recorded=None)


def question(settings: Settings) -> Question:
    """The one question of `settings`."""
    (only,) = questions_of(settings)
    return only


def engine_environment(**changes: str) -> dict[str, str]:
    """This process's environment with the variables that curate starts vLLM's processes with."""
    chosen = {n: v for n, v in vllm_args.environment(cpu=True).items() if n not in os.environ or n == "OMP_NUM_THREADS"}
    return {**os.environ, **chosen, "VLLM_LOGGING_LEVEL": "ERROR", "TOKENIZERS_PARALLELISM": "false", **changes}


def curate_job(
    folder: Path,
    shards: str,
    *overrides: str,
    dataset: str = "laion_subset",
    environment: Mapping[str, str] | None = None,
) -> tuple[Times, Verdicts]:
    """Judge `shards` as a user does, in a new process; when it reached what, and the rows of one policy.

    Its variables are this process's but for the number of threads, which curate chooses, and those in `environment`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    arguments = [f"+dataset={dataset}", f"dataset.shards={shards}", *overrides]
    inherited = {n: v for n, v in os.environ.items() if n != "OMP_NUM_THREADS"}
    times = run_job(folder, *arguments, environment={**inherited, **(environment or {})})
    policy = min(path.name for path in folder.glob("annotations/*"))
    names = [f.name for f in fields(Judged)]
    return times, {str(row["key"]): Judged(**{n: row[n] for n in names}) for row in rows(folder, policy)}


def judging_seconds(folder: Path) -> float:
    """Of a job with several engines: the longest that one took from its own first request to its last answer.

    They are loaded at different times; who is first does not wait for the others, and neither counts as judging.
    """
    workers = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("metrics/workers/*.json")]
    return max(float(worker["metrics"]["elapsed"]) for worker in workers)


def write_variants(folder: Path, policy: Policy) -> list[str]:
    """Files of three policies: `policy`, and two as long that allow one category each."""
    paths = [folder / f"policy{number}.yaml" for number in range(3)]
    for path, code in zip(paths, [None, *list(policy.categories)[:2]], strict=True):
        fields = policy.model_dump() | {"name": path.stem}
        if code:
            fields["categories"][code]["enforced"] = False
        path.write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
    return [str(path) for path in paths]


def differences(one: Verdicts, other: Verdicts) -> str:
    """How many ratings, categories and rationales of the same pictures differ, in a sentence."""
    assert one.keys() == other.keys(), "not the same pictures"
    ratings = _differ(one, other, lambda j: j.rating)
    near = sum(1 for key in ratings if _undecided(one[key]))
    categories, rationales = _differ(one, other, lambda j: j.category), _differ(one, other, lambda j: j.rationale)
    border = f" ({near} of them with p_unsafe within {BORDER} of one half)" if ratings else ""
    return (
        f"of {len(one)} pictures {len(ratings)} ratings{border}, {len(categories)} categories and "
        f"{len(rationales)} rationales differ"
    )


def mean_of(verdicts: Verdicts, field: str) -> float:
    """The mean of a number that every one of `verdicts` has."""
    return sum(getattr(judged, field) for judged in verdicts.values()) / len(verdicts)


def unlike(one: Verdicts, other: Verdicts) -> float:
    """Share of pictures that have another rating although `one` is not undecided about them."""
    ratings = _differ(one, other, lambda j: j.rating)
    return sum(1 for key in ratings if not _undecided(one[key])) / len(one)


def _undecided(judged: Judged) -> bool:
    return judged.p_unsafe is not None and abs(judged.p_unsafe - 0.5) <= BORDER


def _differ(one: Verdicts, other: Verdicts, part: Callable[[Judged], object]) -> Sequence[str]:
    return [key for key in one if part(one[key]) != part(other[key])]
