"""Identical pictures in a shard are judged once, in whatever order and however often the run is interrupted."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from dataclasses import replace

import pytest

from curate.annotation import duplicates
from curate.core.errors import EngineDead
from curate.core.types import Annotation, Status
from curate.engines.fake import FakeEngine
from curate.runs import journal
from curate.summary.summary import summary
from tests.support.jobs import annotation_files, picture, rows, write_tar
from tests.support.verification_cases import judge, make_run

SAME = {3: 1, 4: 1, 9: 2, 11: 1, 14: 11}
"""Samples that hold the picture of another; the fourteenth that of one which is a repeat itself."""
BROKEN = {5: b"<html>", 6: b"<html>"}
COUNT = 16


def bytes_of(seed):
    return bytes_of(SAME[seed]) if seed in SAME else BROKEN.get(seed) or picture(seed)


def write(folder):
    return [write_tar(folder / "0.tar", range(COUNT), broken={seed: bytes_of(seed) for seed in (*SAME, *BROKEN)})]


def engine_that_fails(monkeypatch, fails):
    """Count the fake engine's answers; `fails` says at which number it dies for good."""
    numbers = itertools.count()
    original = FakeEngine.judge

    async def judge_or_die(self, payload, question):
        if next(numbers) in fails:
            raise EngineDead("killed by the test")
        return await original(self, payload, question)

    monkeypatch.setattr(FakeEngine, "judge", judge_or_die)
    return lambda: next(numbers)


@pytest.fixture
def shards(tmp_path):
    return write(tmp_path)


def judged(folder, shards, **more):
    judge(make_run(folder, shards, **more))
    return rows(folder, "p")


def answer(row):
    return {n: row[n] for n in ("sha256", "status", "rating", "category", "rationale", "p_unsafe", "width", "height")}


def test_a_repeat_has_the_first_ones_label_and_says_so(shards, tmp_path, monkeypatch):
    requests = engine_that_fails(monkeypatch, ())
    found = judged(tmp_path / "run", shards)
    assert requests() == COUNT - len(SAME) - len(BROKEN)
    shard = found[0]["shard"]
    origins = {3: 1, 4: 1, 9: 2, 11: 1, 14: 1}
    for row in found:
        origin = origins.get(row["index"])
        assert row["reused_from"] == (None if origin is None else f"{shard}/{origin}")
        assert row["sha256"] == hashlib.sha256(bytes_of(row["index"])).hexdigest()
        if origin is not None:
            assert answer(row) == answer(found[origin])
            assert (row["prompt_tokens"], row["cached_tokens"], row["output_tokens"]) == (0, 0, 0)
            assert f"picture {row['index']}" in row["meta"]


def test_two_policies_share_no_label(shards, tmp_path, monkeypatch):
    requests = engine_that_fails(monkeypatch, ())
    run = make_run(tmp_path / "run", shards, policies=("p", "q"))
    judge(run)
    assert requests() == 2 * (COUNT - len(SAME) - len(BROKEN))
    one, other = (rows(tmp_path / "run", policy) for policy in ("p", "q"))
    assert [r["reused_from"] for r in one] == [r["reused_from"] for r in other]
    assert [r["p_unsafe"] for r in one] != [r["p_unsafe"] for r in other]


@pytest.mark.parametrize("kill", [1, 5, 8])
def test_an_interrupted_run_ends_in_the_same_bytes(shards, tmp_path, monkeypatch, kill):
    judged(tmp_path / "undisturbed", shards)
    monkeypatch.setattr(journal, "PART_ROWS", 2)
    with monkeypatch.context() as context:
        context.setattr("curate.engines.supervised.MAX_RESTARTS", 0)
        engine_that_fails(context, range(kill, 100))
        run = make_run(tmp_path / "run", shards)
        with pytest.raises(EngineDead):
            judge(run)
    judge(run)
    assert annotation_files(tmp_path / "run") == annotation_files(tmp_path / "undisturbed")


def test_where_the_first_has_no_label_the_next_is_judged(shards, tmp_path, monkeypatch):
    original, seen = FakeEngine.judge, itertools.count()

    async def badly_at_first(self, payload, question):
        answer = await original(self, payload, question)
        is_first = payload.data == hashlib.sha256(bytes_of(1)).hexdigest() and next(seen) == 0
        return replace(answer, text="no answer at all") if is_first else answer

    monkeypatch.setattr(FakeEngine, "judge", badly_at_first)
    found = judged(tmp_path / "run", shards)
    assert [found[i]["status"] for i in (1, 3, 4, 11)] == ["invalid_output", "labelled", "labelled", "labelled"]
    assert [found[i]["reused_from"] for i in (1, 3)] == [None, None]
    assert {found[i]["reused_from"] for i in (4, 11, 14)} == {f"{found[0]['shard']}/3"}


def test_what_is_remembered_is_bounded(shards, tmp_path, monkeypatch):
    monkeypatch.setattr(duplicates, "REMEMBERED", 2)
    found = judged(tmp_path / "run", shards)
    reused = {r["index"] for r in found if r["reused_from"]}
    assert reused == {3, 4, 11, 14}, "the pictures of 0 and 1 are remembered, that of 2 is not"


def test_an_occurrence_waits_for_all_before_it():
    async def scenario():
        one = duplicates.DuplicateIndex()
        first, second, third = (one.occurrence("ab", "p") for _ in range(3))
        waiting = asyncio.create_task(third.first_labelled())
        await asyncio.sleep(0)
        row = Annotation(key="k", shard="s", index=0, policy="p", status=Status.ENGINE_FAILURE)
        first.settle(row)
        await asyncio.sleep(0)
        assert not waiting.done()
        assert await second.first_labelled() is None
        label = Annotation(key="l", shard="s", index=1, policy="p", status=Status.LABELLED)
        second.settle(label)
        return await waiting

    assert asyncio.run(scenario()).key == "l"


def test_the_summary_counts_labels_that_were_reused(shards, tmp_path):
    run = make_run(tmp_path / "run", shards)
    judge(run)
    said = f"reused      {len(SAME)} of these labels, from identical pictures or earlier runs"
    assert said in [row.plain for row in summary(run, {})]


def test_the_summary_is_silent_where_none_was(tmp_path):
    run = make_run(tmp_path / "run", [write_tar(tmp_path / "1.tar", range(3))])
    judge(run)
    assert not any("reused" in row.plain for row in summary(run, {}))
