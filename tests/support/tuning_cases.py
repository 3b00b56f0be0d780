"""Gold sets with pictures, and training data made of them, for tests of tuning."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from curate.core.errors import InputError
from curate.policies.policy import Policy, load_policy
from curate.settings.model import ModelSettings
from curate.settings.tune import DataSettings
from curate.tuning.build import Built, Recipe, build
from curate.tuning.gold_images import dataset_of_gold
from curate.tuning.teacher import Teacher
from tests.support.policy_cases import WEAPONS

POLICY = load_policy(WEAPONS)


def png(number: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (40 + number % 7, 30 + number % 5), (number * 37 % 256, number * 91 % 256, 128)).save(data, "PNG")
    return data.getvalue()


def gold_rows(count: int) -> list[dict[str, Any]]:
    """Every third is Unsafe by O1, the others Safe; templates for all."""
    return [
        {
            "key": f"k{i}",
            "image": {"bytes": png(i), "path": f"k{i}.png"},
            "rating": "Safe" if i % 3 else "Unsafe",
            "category": ("NA", "O2")[i % 2] if i % 3 else "O1",
            "template": f"Colour {i} is seen. {{reason}}",
        }
        for i in range(count)
    ]


def write_gold(rows: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    path = folder / "gold.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def model(**others: Any) -> ModelSettings:
    return ModelSettings.model_validate({"name": "tuned", "path": "-", **others})


def no_policy(name: str) -> Policy:
    raise InputError(f"no policy {name}")


def build_data(
    gold: Path, folder: Path, asked: ModelSettings | None = None, teacher: Teacher | None = None, **settings: Any
) -> Built:
    recipe = Recipe(
        settings=DataSettings(gold=str(gold), **settings),
        policy=POLICY,
        named=no_policy,
        model=asked or model(),
        dataset=dataset_of_gold(str(gold)),
        teacher=teacher,
    )
    return build(recipe, folder)


def rows(folder: Path) -> list[dict[str, Any]]:
    """All rows of training data, in order."""
    return [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
