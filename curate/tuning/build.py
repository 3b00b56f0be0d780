"""Makes a folder of training data: gold set, augmentations, rationales, images, in that order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from curate.core.errors import InputError
from curate.core.types import Sample
from curate.evaluation.gold import read_gold
from curate.images.decoding import ImageRefused, decode
from curate.policies.policy import Policy
from curate.settings.dataset import DatasetSettings
from curate.settings.model import ModelSettings
from curate.settings.tune import DataSettings
from curate.tuning.cases import DEV, TRAIN, PolicyNamed, finished, make_cases, wants_rationale
from curate.tuning.dataset import ConversationWriter, rows_of, write_card
from curate.tuning.gold_images import images_of
from curate.tuning.policy_augmentation import Case
from curate.tuning.rationales import COLUMNS, reason
from curate.tuning.teacher import Teacher, unusable, write_rationales

JOURNAL = "rationales.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What training data are made of.

    Attributes:
        settings: the gold set, and how it is augmented.
        policy: of gold rows that have none of their own.
        named: finds the policies that gold rows name.
        model: that will be tuned; its layout and its rationale's mode and bound are what the data are made for.
        dataset: where the images are.
        teacher: writes the rationales that the gold set does not have.
    """

    settings: DataSettings
    policy: Policy
    named: PolicyNamed
    model: ModelSettings
    dataset: DatasetSettings
    teacher: Teacher | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What was made: rows by split, cases without copies by rating and augmentation, rationales by origin."""

    splits: Counter[str]
    cases: Counter[str]
    rationales: Counter[str]

    def lines(self) -> list[str]:
        """As a person reads it."""
        named = (("conversations", self.splits), ("cases", self.cases), ("rationales", self.rationales))
        return [f"{what:<15}{', '.join(f'{n} {name}' for name, n in c.items()) or 'none'}" for what, c in named]


def build(recipe: Recipe, folder: Path) -> Built:
    """Make `folder`; until it is whole its files lie in a folder beside it, named `folder`.partial.

    Raises:
        InputError: `folder` is there already, or something in gold set, images or policies is wrong.
        EngineDead: the teacher's engine died; run again to go on.
    """
    if folder.exists():
        raise InputError(f"output.dir={folder}: is there already; remove it or name another folder")
    partial = folder.with_name(f"{folder.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    gold = read_gold(recipe.settings.gold, COLUMNS)
    cases = make_cases(gold, recipe.policy, recipe.named, recipe.settings)
    cases, origins = _explained(cases, recipe, partial / JOURNAL)
    splits = _write(list(finished(cases, recipe.model, recipe.settings)), recipe, partial)
    built = Built(splits=splits, cases=Counter(f"{c.rating} ({_drawn(c)})" for c in cases), rationales=origins)
    write_card(partial, splits, "\n".join(f"- {line}" for line in built.lines()))
    (partial / JOURNAL).unlink(missing_ok=True)
    partial.rename(folder)
    return built


def _drawn(case: Case) -> str:
    return {"none": "as given", "others": "others relaxed", "violated": "violated relaxed"}[case.augmentation]


def _explained(cases: Sequence[Case], recipe: Recipe, journal: Path) -> tuple[list[Case], Counter[str]]:
    """Every case that needs a rationale has one, and where they came from."""
    wanted = [case for case in cases if wants_rationale(case, recipe.model)]
    missing = [case for case in wanted if case.rationale is None]
    origins = Counter({"of the gold set": len(wanted) - len(missing)})
    if recipe.teacher is not None:
        with _bar(len(missing), "rationales") as bar:
            given = write_rationales(missing, recipe.teacher, recipe.dataset, journal, bar.update)
        origins[f"by {recipe.teacher.model.name}"] = len(given)
    else:
        given = [_by_policy(case, recipe.settings.gold) for case in missing]
        origins["by the policy alone"] = len(given)
    replaced = {id(old): new for old, new in zip(missing, given, strict=True)}
    return [replaced.get(id(case), case) for case in cases], +origins


def _by_policy(case: Case, gold: str) -> Case:
    """A case whose label was turned can at least name the rule; any other needs to say what is seen."""
    if case.augmentation != "violated":
        raise InputError(
            f"{gold}: key '{case.key}' has no rationale; add a column rationale or template, "
            "have a teacher write them (teacher=qwenguard_7b), or tune without (model.rationale=none)"
        )
    return replace(case, rationale=reason(case))


def _write(cases: Sequence[Case], recipe: Recipe, folder: Path) -> Counter[str]:
    by_key: dict[str, list[Case]] = {}
    for case in cases:
        by_key.setdefault(case.key, []).append(case)
    for old in folder.glob("*.parquet"):
        old.unlink()
    with ExitStack() as stack:
        writers = {split: stack.enter_context(ConversationWriter(folder, split)) for split in (TRAIN, DEV)}
        bar = stack.enter_context(_bar(len(by_key), "images"))
        for sample in _usable(images_of(by_key.keys(), recipe.dataset), recipe.dataset):
            for split, writer in writers.items():
                of_split = [case for case in by_key[sample.key] if case.split == split]
                writer.write(rows_of(sample, of_split, recipe.model.layout))
            bar.update()
    return Counter({split: writer.rows for split, writer in writers.items()})


def _usable(samples: Iterator[Sample], dataset: DatasetSettings) -> Iterator[Sample]:
    """The samples, each decoded once: a picture that does not decode would stop the tuning hours later."""
    for sample in samples:
        assert sample.image is not None
        try:
            decode(sample.image, max_bytes=dataset.max_bytes, max_pixels=dataset.max_pixels)
        except ImageRefused as refused:
            raise unusable(sample.key, refused.failure) from refused
        yield sample


def _bar(total: int, unit: str) -> tqdm[NoReturn]:
    return tqdm(total=total, unit=f" {unit}", dynamic_ncols=True, disable=None if total else True)
