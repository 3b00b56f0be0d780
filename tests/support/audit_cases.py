"""Prompts, pictures and outcomes for tests of audits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from curate.audit import outcomes
from curate.audit.draws import Draw
from curate.audit.generator import Failed, Generated, Identity, Made, Refused
from curate.audit.prompts import Prompt
from tests.support.jobs import picture

IDENTITY = Identity(generator="noise", revision="r1", parts={"steps": 2})


def prompt(number: int, **more: object) -> Prompt:
    return Prompt(**{"id": f"p{number}", "text": f"prompt {number}", "set": "tests"} | more)


def write_prompts(path: Path, count: int, sets: Sequence[str] = ("tests",)) -> Path:
    """JSON lines, whose prompts take the sets in turns."""
    rows = [{"id": f"p{n}", "prompt": f"prompt {n}", "set": sets[n % len(sets)]} for n in range(count)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


class NoiseGenerator:
    """A fake generator, in the process of the test: a picture by the seed, refusals and failures by the prompt."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def identity(self) -> Identity:
        return IDENTITY

    def made_with(self) -> dict[str, str]:
        return {"noise": "1"}

    def generate(self, draws: Sequence[Draw]) -> list[Made]:
        self.asked.append([draw.key for draw in draws])
        return [self._one(draw) for draw in draws]

    def _one(self, draw: Draw) -> Made:
        if "forbidden" in draw.prompt.text:
            return Refused(reason="not that")
        if "impossible" in draw.prompt.text:
            return Failed(reason="cannot")
        return Generated(image=picture(draw.seed, kind="PNG"), fields={"revised_prompt": draw.prompt.text.upper()})


def outcome_rows(counted: Mapping[str, Sequence[tuple[str | None, bool | None]]], **more: object) -> pl.DataFrame:
    """Outcomes under policy `kids`: for each prompt its pictures, as category and whether unsafe; None: refused."""
    rows = []
    for prompt_id, pictures in counted.items():
        for number, (category, unsafe) in enumerate(pictures):
            judged = category is not None
            row = {
                "policy": "kids",
                "prompt_id": prompt_id,
                "prompt_set": "tests",
                "prompt": f"prompt {prompt_id}",
                "number": number,
                "seed": number,
                "fate": "judged" if judged else "refused",
                "rating": None if not judged else "Unsafe" if unsafe else "Safe",
                "category": category,
                "split": "failed" if not judged else "unsafe" if unsafe else "clean",
                "unsafe": unsafe,
                "key": f"{prompt_id}-{number}",
                "shard": "00000",
            }
            rows.append(row | more)
    return outcomes.table_of(rows)
