"""Has a larger safeguard write rationales: it is shown image and policy, and its answer begins with what people said.

The rating and the category are not the teacher's to choose: a question that leaves one category under one rating has
its answer prefilled up to the rationale by every engine. What is written is kept in a journal, so that nothing is asked
twice after an interruption.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from curate.annotation.preprocess_pool import Limits, PreprocessPool
from curate.core.errors import InputError, InvalidOutput
from curate.core.types import Failure, Question, Rating, Sample
from curate.engines.base import Engine, Payload
from curate.engines.factory import make_engine
from curate.judges.verdicts import parse_answer
from curate.settings.dataset import DatasetSettings
from curate.settings.engine import EngineSettings
from curate.settings.model import ModelSettings
from curate.tuning.cases import question_of
from curate.tuning.gold_images import images_of
from curate.tuning.policy_augmentation import Case
from curate.tuning.rationales import category_string


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """Who writes, and how it is run."""

    model: ModelSettings
    engine: EngineSettings


def write_rationales(
    cases: Sequence[Case], teacher: Teacher, dataset: DatasetSettings, journal: Path, done: Callable[[], object]
) -> list[Case]:
    """`cases` with rationales by the teacher.

    Args:
        cases: without rationales.
        teacher: any safeguard that `run` can use.
        dataset: where the images are.
        journal: JSON lines of what was written before; grows.
        done: called after each rationale.

    Raises:
        InputError: an image cannot be asked about, or the teacher leaves the rationale empty.
        EngineDead: the teacher's engine died; run again to go on.
    """
    ids = [_id(case, teacher) for case in cases]
    written = _read(journal)
    missing = {i: case for i, case in zip(ids, cases, strict=True) if i not in written}
    for _ in range(len(set(ids)) - len(missing)):
        done()
    if missing:
        asyncio.run(_Lesson(teacher, dataset, journal, done).write(missing))
        written = _read(journal)
    return [replace(case, rationale=written[i]) for i, case in zip(ids, cases, strict=True)]


def forced_question(case: Case, model: ModelSettings) -> Question:
    """The question of `case` with its rating and category given, so that only the rationale is open."""
    category = (category_string(case.policy, case.category),)
    unsafe = case.rating is Rating.UNSAFE
    return replace(
        question_of(case, model),
        categories=() if unsafe else category,
        violable=category if unsafe else (),
        rationale="all",
    )


class _Lesson:
    """One pass over the images in which the missing rationales are written, several images at a time."""

    def __init__(self, teacher: Teacher, dataset: DatasetSettings, journal: Path, done: Callable[[], object]) -> None:
        self._teacher = teacher
        self._dataset = dataset
        self._journal = journal
        self._done = done
        self._cases: dict[str, dict[str, Case]] = defaultdict(dict)

    async def write(self, missing: Mapping[str, Case]) -> None:
        for i, case in missing.items():
            self._cases[case.key][i] = case
        engine = make_engine(self._teacher.model, self._teacher.engine)
        limits = Limits(max_bytes=self._dataset.max_bytes, max_pixels=self._dataset.max_pixels)
        workers = self._teacher.engine.workers
        async with PreprocessPool(
            engine.renderer_factory(), limits, workers=1 if workers == "auto" else workers
        ) as pool:
            try:
                await engine.start()
                images = images_of(self._cases.keys(), self._dataset)
                await asyncio.gather(*(self._lane(images, engine, pool) for _ in range(self._lanes())))
            finally:
                await engine.close()

    def _lanes(self) -> int:
        return max(1, self._teacher.engine.max_requests // max(len(cases) for cases in self._cases.values()))

    async def _lane(self, images: Iterator[Sample], engine: Engine, pool: PreprocessPool) -> None:
        for sample in images:
            cases = self._cases[sample.key]
            questions = tuple(forced_question(case, self._teacher.model) for case in cases.values())
            prepared = await pool.prepare(sample, questions)
            first_frames = [payloads[0] for payloads in prepared.payloads]
            for failure in (prepared.failure, *first_frames):
                if isinstance(failure, Failure):
                    raise unusable(sample.key, failure)
            asked = zip(cases, questions, first_frames, strict=True)
            await asyncio.gather(*(self._one(i, p, q, engine) for i, q, p in asked if isinstance(p, Payload)))

    async def _one(self, i: str, payload: Payload, question: Question, engine: Engine) -> None:
        answer = await engine.judge(payload, question)
        try:
            rationale = parse_answer(answer.text, question).rationale
        except InvalidOutput as error:
            raise InputError(f"teacher: {self._teacher.model.name} gave no rationale ({error})") from error
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"id": i, "rationale": rationale}, ensure_ascii=False) + "\n")
        self._done()


def unusable(key: str, failure: Failure) -> InputError:
    """The error of a gold row whose image cannot be used."""
    return InputError(f"key '{key}': {failure.status} ({failure.detail}); mend the image or take its rows out")


def _id(case: Case, teacher: Teacher) -> str:
    """What a rationale depends on."""
    question = forced_question(case, teacher.model)
    parts = [case.key, case.rating, case.category, question.text, question.rationale_chars, teacher.model.model_dump()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _read(journal: Path) -> dict[str, str]:
    """What the journal holds; a last line that was cut off is removed, so that the next one stands by itself."""
    if not journal.exists():
        return {}
    whole, _, cut = journal.read_text(encoding="utf-8").rpartition("\n")
    if cut:
        journal.write_text(f"{whole}\n" if whole else "", encoding="utf-8")
    records = [json.loads(line) for line in whole.split("\n") if line]
    return {record["id"]: record["rationale"] for record in records}
