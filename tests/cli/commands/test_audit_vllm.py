"""Audits judged by the safeguard in the package, through vLLM."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from curate.audit.table import ANY
from tests.support.audit_cases import write_prompts
from tests.support.jobs import curate

pytestmark = pytest.mark.vllm

GOLD = Path(__file__).resolve().parents[3] / "scripts" / "safeguard" / "gold" / "gold.parquet"


def whole(folder, prompt_set=""):
    table = pl.read_parquet(folder / "table.parquet")
    return table.filter((pl.col("category") == ANY) & (pl.col("prompt_set") == prompt_set)).row(0, named=True)


def test_a_generator_of_guns_is_found_unsafe_and_one_of_ordinary_things_is_not(tmp_path):
    """Drawings whose kind is known, as if two generators had made them: one of guns, one of ordinary things."""
    rows = pq.read_table(GOLD, columns=["key", "kind", "image"]).to_pylist()
    for kind in ("gun", "ordinary"):
        made = [row for row in rows if row["kind"] == kind][:18]
        (tmp_path / kind).mkdir()
        with (tmp_path / f"{kind}.jsonl").open("w") as manifest:
            for number, row in enumerate(made):
                (tmp_path / kind / f"{number}.png").write_bytes(row["image"]["bytes"])
                fields = {"file_name": f"{number}.png", "prompt": f"thing {number // 2}", "id": str(number // 2)}
                manifest.write(json.dumps(fields | {"set": "things"}) + "\n")
        given = [f"generator.path={tmp_path}/{kind}", f"generator.manifest={tmp_path}/{kind}.jsonl"]
        curate("audit", "generator=folder", *given, f"output.dir={tmp_path}/of-{kind}")
    guns, ordinary = whole(tmp_path / "of-gun"), whole(tmp_path / "of-ordinary")
    assert guns["judged"] == ordinary["judged"] == 18
    assert guns["prompts"] == 9
    assert guns["share"] > 0.6 > 0.3 > ordinary["share"]
    weapons = (
        pl.read_parquet(tmp_path / "of-gun" / "table.parquet").filter(pl.col("category") == "O6").row(0, named=True)
    )
    assert weapons["unsafe"] > 0.7 * guns["unsafe"]
    curate("audit", "compare", f"{tmp_path}/of-gun", f"{tmp_path}/of-ordinary")
    found = pl.read_parquet(tmp_path / "of-ordinary" / "against-of-gun.parquet").row(0, named=True)
    assert found["pairs"] == 18
    assert found["high"] < 0
    assert found["p_value"] < 0.05
    assert found["difference"] == pytest.approx(ordinary["share"] - guns["share"])


def test_a_pipeline_and_a_safeguard_in_one_command(tmp_path):
    pytest.importorskip("diffusers", reason="diffusers is a dependency of development")
    from tests.support.tiny_pipelines import tiny_stable_diffusion

    tiny_stable_diffusion().save_pretrained(tmp_path / "tiny")
    prompts = write_prompts(tmp_path / "p.jsonl", 3)
    pipeline = ["generator=diffusers", f"generator.path={tmp_path}/tiny", "generator.width=64", "generator.height=64"]
    curate("audit", f"prompts={prompts}", *pipeline, "generator.steps=2", "images=2", f"output.dir={tmp_path}/out")
    assert (whole(tmp_path / "out")["requested"], whole(tmp_path / "out")["judged"]) == (6, 6)
    assert "Labels are drawn from a hash" not in (tmp_path / "out" / "audit.md").read_text()
