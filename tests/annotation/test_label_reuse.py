"""Labels of earlier runs: taken where the fingerprint and the picture are the same, and said so."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.annotation.digest_index import DigestIndex
from curate.cli.program import main
from curate.engines.fake import FakeEngine
from curate.verification.audit import audit
from tests.support.jobs import annotation_files, fake_run, picture, rows, write_tar
from tests.support.verification_cases import edit_rows

BEFORE, AFTER = range(12), range(6, 20)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two tars: the second begins with pictures that the first has too, one of them unreadable, one there twice."""
    folder = tmp_path_factory.mktemp("data")
    write_tar(folder / "before.tar", BEFORE, broken={8: b"<html>"})
    write_tar(folder / "after.tar", AFTER, broken={8: b"<html>", 10: picture(7)})
    return folder


@pytest.fixture(scope="module")
def before(data, tmp_path_factory):
    """A run over the first."""
    return run(data / "before.tar", tmp_path_factory.mktemp("before") / "run")


def run(shards, folder, *more, code=0):
    command = ["annotate", *fake_run(str(shards), folder, *more)[1:]]
    assert main(command) == code
    return folder


def shape(row):
    return {
        name: value for name, value in row.items() if name not in ("reused_from", *(n for n in row if "token" in n))
    }


@pytest.fixture
def requests(monkeypatch):
    """Pictures that the engine is asked about."""
    asked, original = [], FakeEngine.judge
    monkeypatch.setattr(FakeEngine, "judge", lambda *all: asked.append(all[1].data) or original(*all))
    return asked


@pytest.mark.slow
def test_known_pictures_are_not_judged_again(data, before, tmp_path, requests):
    found = rows(run(data / "after.tar", tmp_path / "run", f"reuse={before}"))
    known = {6, 7, 9, 11}
    assert len(requests) == len(AFTER) - len(known) - len({8, 10})
    alone = rows(run(data / "after.tar", tmp_path / "alone"))
    assert [shape(r) for r in found] == [shape(r) for r in alone]
    theirs = rows(before)[0]["shard"]
    for seed, row in zip(AFTER, found, strict=True):
        expected = f"{before}#{theirs}/{seed}" if seed in known else f"{row['shard']}/1" if seed == 10 else None
        assert row["reused_from"] == expected
        assert (row["prompt_tokens"] == 0) == (expected is not None)
    assert main(["verify", f"output.dir={tmp_path / 'run'}"]) == 0


def test_a_run_again_over_the_same_pictures_costs_nothing(data, before, tmp_path, requests):
    run(data / "before.tar", tmp_path / "run", f"reuse=[{before},{before}]")
    assert requests == []


@pytest.mark.slow
def test_with_several_policies_each_has_its_own_labels(data, before, tmp_path, requests):
    folder = run(data / "after.tar", tmp_path / "run", f"reuse={before}", "policies=[drawings,kids]")
    assert sum(r["reused_from"] is not None for r in rows(folder)) == 5
    assert [r["index"] for r in rows(folder, "kids") if r["reused_from"]] == [4], "the repeat alone"


@pytest.mark.slow
def test_what_cannot_help_is_one_line(data, before, tmp_path, capsys):
    def refused(place, *more):
        run(data / "after.tar", tmp_path / "run", f"reuse={place}", *more, code=2)
        return capsys.readouterr().err

    assert f"reuse={tmp_path}/nothing: holds no run" in refused(f"{tmp_path}/nothing")
    assert "is this run itself" in refused(tmp_path / "run")
    assert "has judged otherwise: policy.rationale" in refused(before, "model.rationale=none")
    assert "has judged under drawings, not under kids" in refused(before, "policy=kids")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_reuse_is_no_part_of_the_fingerprint(data, before, tmp_path):
    folder = run(data / "after.tar", tmp_path / "run", f"reuse={before}")
    first = annotation_files(folder)
    assert annotation_files(run(data / "after.tar", folder)) == first


@pytest.mark.slow
def test_verify_holds_rows_against_where_they_come_from(data, before, tmp_path):
    folder = run(data / "after.tar", tmp_path / "run", f"reuse={before}")
    (path,) = folder.glob("annotations/*/*.parquet")

    def violations(edit):
        edit_rows(path, edit)
        return "\n".join(f"{f.where}: {f.what}" for f in audit(folder, against_sources=False).findings)

    def set_to(index, **values):
        return lambda rows: [{**r, **values} if r["index"] == index else r for r in rows]

    honest = rows(folder)
    assert "index 1: " in violations(set_to(1, p_unsafe=abs(honest[1]["p_unsafe"] - 0.1)))
    assert "is no row of this picture" in violations(lambda _: [{**r, "sha256": "0" * 64} for r in honest])
    other = {"category": "NA", "category_name": "None applying"}
    assert "index 1: " in violations(set_to(1, **other)), "one judgement, two categories"
    edit_rows(path, lambda _: honest)
    shard = honest[0]["shard"]
    assert "index 6: " in violations(lambda _: set_to(6, reused_from=f"{shard}/4")(honest)), "of a row that took it too"
    assert "which is no row" in violations(lambda _: set_to(6, reused_from="somewhere")(honest))
    assert "not its own" in violations(lambda _: set_to(6, reused_from="other/0")(honest))
    edit_rows(path, lambda _: honest)
    hidden = before.with_name("hidden")
    os.rename(before, hidden)
    report = audit(folder, against_sources=False)
    os.rename(hidden, before)
    assert not report.findings
    assert any("not there any more" in note for note in map(str, report.notes))


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=200), st.integers(1, 60))
@pytest.mark.slow
def test_the_index_finds_what_was_put_in(numbers, size):
    digests = [hashlib.sha256(bytes([n])).digest() for n, _ in numbers]
    places = [place << 32 | at for at, (_, place) in enumerate(numbers)]
    starts = np.array([int.from_bytes(d[:8]) for d in digests], np.uint64)
    every = np.array(places, np.uint64)
    index = DigestIndex((starts[i : i + size], every[i : i + size]) for i in range(0, len(places), size))
    assert len(index) == len(places)
    for n in range(42):
        wanted = hashlib.sha256(bytes([n])).digest()
        assert list(index.find(wanted)) == [p for p, d in zip(places, digests, strict=True) if d == wanted]
    index.close()
