"""Compacted runs: every reader finds the same rows, at every moment and after whatever comes later."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import datasets
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from curate.cli.program import main
from curate.core.errors import CurateError, InputError
from curate.evaluation.predictions import read_predictions
from curate.pipeline.compacting import compact
from curate.runs.claims import CLAIMS, Claims
from curate.runs.commits import annotation_name, read_commit, read_commits
from curate.runs.compaction import sweeping, writing
from curate.runs.compaction.index import read_indexes
from curate.runs.compaction.lease import alone
from curate.runs.compaction.reading import AnnotationFiles
from curate.runs.plan import make_plan
from curate.runs.reopening import reopen_for_retry
from curate.runs.run_folder import open_run, read_record
from curate.storage.local_store import LocalStore
from curate.storage.retrying_store import RetryingStore
from curate.telemetry.status import read_status
from curate.testing.faulty_store import Fault, FaultyStore
from curate.verification.audit import audit
from tests.support.filtering_cases import laion_members, write_tar
from tests.support.storage_faults import PATIENCE
from tests.support.verification_cases import commit_as_it_is, judge, make_run, split

FULL = os.environ.get("CURATE_RELIABILITY") == "full"
NEVER = Fault(at=10**9, errno=errno.EIO)
SMALL = 11_000
"""Bytes of a part here: about two shards."""
LARGE = 10**9
"""All shards in one part."""


@pytest.fixture(autouse=True)
def _small_row_groups(monkeypatch):
    """Row groups that end within a shard, and that hold more than one."""
    monkeypatch.setattr(writing, "ROW_GROUP", 20)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Five tars of 14 samples, some without an image or with one that is none."""
    folder = tmp_path_factory.mktemp("data")
    return [write_tar(folder / f"{n:05d}.tar", laion_members(14 * n, 14)) for n in range(5)]


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A finished run under two policies, to be copied."""
    run = make_run(tmp_path_factory.mktemp("finished") / "run", data, policies=("p", "q"))
    judge(run)
    split(run)
    return run


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it."""
    folder = shutil.copytree(Path(finished.store.uri("")), tmp_path / "run")
    return replace(finished, store=LocalStore(folder))


def folder_of(run) -> Path:
    return Path(run.store.uri(""))


def squeeze(run, target=SMALL, store=None, lease=0.5):
    return compact(store or run.store, run.plan.shards, list(run.fingerprints), target=target, lease=lease)


def read_rows(run, store=None) -> dict[tuple[str, str], pl.DataFrame]:
    """The rows of every committed shard, as readers get them."""
    store = store or run.store
    files = AnnotationFiles(store)
    found = {}
    for policy in run.fingerprints:
        for commit in read_commits(store, policy):
            with files.local(commit) as path:
                found[policy, commit.shard] = pl.read_parquet(path)
    return found


def small_files(run) -> list[str]:
    return [name for policy in run.fingerprints for name in run.store.names(f"annotations/{policy}")]


def loaded(run, cache: Path, config="annotations") -> list[dict]:
    datasets.disable_progress_bars()
    return datasets.load_dataset(str(folder_of(run)), config, split="train", cache_dir=cache).to_list()


def same(found, expected) -> bool:
    return found.keys() == expected.keys() and all(found[key].equals(expected[key]) for key in expected)


def no_violation(run) -> dict[str, tuple[int, str]]:
    report = audit(folder_of(run), against_sources=True)
    assert not report.found, report.findings
    return report.notes


@pytest.mark.slow
def test_a_compacted_run_reads_as_before(run, tmp_path):
    before = read_rows(run)
    rows, labels = loaded(run, tmp_path / "a"), read_predictions(folder_of(run))
    card = (folder_of(run) / "README.md").read_bytes()
    done = squeeze(run)
    assert [(one.policy, one.shards, one.deleted) for one in done] == [("p", 5, 5), ("q", 5, 5)]
    assert all(1 < one.parts < 5 for one in done)
    assert small_files(run) == []
    assert same(read_rows(run), before)
    assert loaded(run, tmp_path / "b") == rows
    assert loaded(run, tmp_path / "c", "clean") == loaded(run, tmp_path / "d", "clean")
    assert read_predictions(folder_of(run)).equals(labels)
    assert read_status(folder_of(run)).done == {"p": 5, "q": 5}
    assert no_violation(run) == {}
    compacted = (folder_of(run) / "README.md").read_bytes()
    assert compacted != card
    split(run)
    assert (folder_of(run) / "README.md").read_bytes() == compacted


def test_a_shard_without_samples_is_compacted_with_the_others(tmp_path):
    shards = [write_tar(tmp_path / "0.tar", []), write_tar(tmp_path / "1.tar", laion_members(0, 3))]
    run = make_run(tmp_path / "run", shards)
    judge(run)
    split(run)
    compact(run.store, run.plan.shards, ["p"])
    empty, full = (read_commit(run.store, "p", shard.id) for shard in run.plan.shards)
    assert AnnotationFiles(run.store).in_part(empty).num_rows == 0
    assert AnnotationFiles(run.store).in_part(full).num_rows == 3
    no_violation(run)


def test_the_file_behind_a_commit_is_had_back_byte_for_byte(run):
    squeeze(run)
    files = AnnotationFiles(run.store)
    for commit in read_commits(run.store, "p"):
        with files.local(commit) as path:
            assert hashlib.sha256(path.read_bytes()).hexdigest() == commit.sha256


def test_rows_stand_in_the_order_of_the_plan_and_row_groups_hold_several_shards(run):
    squeeze(run, target=LARGE)
    (index,) = read_indexes(run.store, "p")
    (part,) = index.parts
    table = pq.read_table(folder_of(run) / part.name)
    ids = [shard.id for shard in run.plan.shards]
    assert table.column("shard").to_pylist() == [shard for shard in ids for _ in range(14)]
    groups = pq.read_metadata(folder_of(run) / part.name)
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [28, 28, 14]


def test_shards_read_in_order_cost_each_row_group_one_reading(run):
    squeeze(run, target=LARGE)
    store = FaultyStore(run.store, NEVER)
    files = AnnotationFiles(store)
    for shard in run.plan.shards:
        with files.local(read_commit(run.store, "p", shard.id)):
            pass
    assert len([call for call in store.log if call.startswith("open ")]) == 1 + 3


def test_compacting_again_changes_nothing(run):
    squeeze(run)
    before = {p: p.stat().st_mtime_ns for p in folder_of(run).rglob("*.parquet")}
    assert [one.deleted for one in squeeze(run)] == [0, 0]
    assert {p: p.stat().st_mtime_ns for p in folder_of(run).rglob("*.parquet")} == before


@pytest.mark.slow
def test_other_part_sizes_take_the_place_of_earlier_ones(run, tmp_path):
    before = read_rows(run)
    squeeze(run, target=1)
    assert len(run.store.names("annotations/p/parts")) == 5
    squeeze(run, target=LARGE)
    assert len(run.store.names("annotations/p/parts")) == len(run.store.names("commits/p/parts")) == 1
    assert same(read_rows(run), before)
    assert len(loaded(run, tmp_path / "cache")) == 140


@pytest.mark.slow
def test_a_shard_that_is_judged_again_leaves_its_part(run, tmp_path):
    squeeze(run)
    before = read_rows(run)
    assert reopen_for_retry(run.store, "p", frozenset({"missing_image", "undecodable", "unsupported_format"})) > 0
    again = min(before.keys() - read_rows(run).keys())[1]
    assert "unfinished shards, to be judged by the next run" in no_violation(run)
    judge(run)
    assert same(read_rows(run), before)
    change_rows(run, again)
    after = read_rows(run)
    assert not after["p", again].equals(before["p", again])
    assert "splits of earlier annotations, not checked; run `filter`, then `verify`" in no_violation(run)
    split(run)
    rows = loaded(run, tmp_path / "a")
    assert len(rows) == 140
    assert [row["detail"] for row in rows if row["policy"] == "p" and row["shard"] == again] == ["again"] * 14
    assert "annotation files whose rows stand in a part too; `compact` deletes them" in no_violation(run)
    squeeze(run)
    assert small_files(run) == []
    assert same(read_rows(run), after)
    assert len(loaded(run, tmp_path / "b")) == 140
    assert no_violation(run) == {}


def change_rows(run, shard: str) -> None:
    """Let a shard be judged again with another result."""
    path = folder_of(run) / annotation_name("p", shard)
    table = pq.read_table(path)
    again = pa.array(["again"] * table.num_rows)
    pq.write_table(table.set_column(table.column_names.index("detail"), table.field("detail"), again), path)
    commit_as_it_is(path)


@pytest.mark.slow
def test_a_run_that_grows_has_parts_and_small_files(data, tmp_path):
    run = make_run(tmp_path / "run", data[:4])
    judge(run)
    split(run)
    squeeze(run, target=1)
    parts = {part.name for part in read_indexes(run.store, "p")[0].parts}
    dataset = run.settings.dataset.model_copy(update={"shards": [str(path) for path in data]})
    settings = run.settings.model_copy(update={"dataset": dataset, "extend": True})
    longer = open_run(run.store, settings, make_plan(dataset), run.fingerprints, read_record(run.store))
    judge(longer)
    split(longer)
    assert len(small_files(longer)) == 1
    assert len(loaded(longer, tmp_path / "a")) == 70
    assert no_violation(longer) == {}
    squeeze(longer, target=1)
    assert parts < {part.name for part in read_indexes(run.store, "p")[0].parts}
    assert small_files(longer) == []
    assert len(loaded(longer, tmp_path / "b")) == 70
    assert no_violation(longer) == {}


@pytest.mark.slow
def test_an_unfinished_run_is_compacted_as_far_as_it_is_finished(data, tmp_path, capsys):
    run = make_run(tmp_path / "run", data[:3])
    judge(run, run.plan.shards[:2])
    assert main(["compact", f"output.dir={tmp_path / 'run'}"]) == 0
    said = capsys.readouterr().out
    assert "p: 2 shards in 1 parts" in said
    assert "1 of 3 shards are not finished" in said
    judge(run)
    split(run)
    assert len(read_rows(run)) == 3
    assert len(loaded(run, tmp_path / "cache")) == 42


@pytest.mark.slow
def test_a_file_that_a_late_worker_leaves_beside_its_part_changes_nothing(run, tmp_path):
    """A worker that wakes up after the compaction finds the name free, and publishes rows that nobody waits for."""
    squeeze(run)
    before, shard = read_rows(run), run.plan.shards[0].id
    with AnnotationFiles(run.store).local(read_commit(run.store, "p", run.plan.shards[1].id)) as path:
        shutil.copy(path, folder_of(run) / annotation_name("p", shard))
    assert same(read_rows(run), before)
    split(run)
    assert len(loaded(run, tmp_path / "cache")) == 140
    assert no_violation(run)
    assert squeeze(run)[0].deleted == 1
    assert no_violation(run) == {}


def test_a_shard_that_somebody_works_on_keeps_its_file(run):
    other = Claims(run.store, "other")
    other.beat({})
    claim = other.take(run.plan.shards[0].id)
    assert [one.deleted for one in squeeze(run, lease=60)] == [4, 4]
    assert small_files(run) == [f"{run.plan.shards[0].id}.parquet"] * 2
    other.release(claim)
    assert [one.deleted for one in squeeze(run)] == [1, 1]


def test_claims_are_listed_once_for_many_files(run):
    store = FaultyStore(run.store, NEVER)
    assert [one.deleted for one in squeeze(run, store=store)] == [5, 5]
    listings = [call for call in store.log if call == f"names {CLAIMS}"]
    assert len(listings) == 3, "that of the compaction's own claim, and one for each policy"


@pytest.mark.slow
def test_one_compaction_at_a_time(run):
    with alone(run.store, 0.4), pytest.raises(InputError, match="another process is compacting"):
        squeeze(run, lease=2)
    assert [one.deleted for one in squeeze(run)] == [5, 5]


def test_a_file_that_is_not_the_committed_one_stops_it_before_anything_is_deleted(run):
    path = folder_of(run) / annotation_name("q", run.plan.shards[3].id)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(InputError, match="is not the file that its commit speaks of"):
        squeeze(run)
    assert f"{run.plan.shards[3].id}.parquet" in run.store.names("annotations/q")


@pytest.mark.parametrize("edit", ["gone", "changed"])
@pytest.mark.slow
def test_verify_names_a_broken_part(run, edit):
    squeeze(run)
    part = folder_of(run) / read_indexes(run.store, "p")[0].parts[0].name
    if edit == "gone":
        part.unlink()
    else:
        part.write_bytes(part.read_bytes()[:-50] + bytes(50))
    found = audit(folder_of(run), against_sources=False)
    assert any("/parts/" in finding.where for finding in found.findings)


def test_wrong_arguments_are_one_line(run, tmp_path, capsys):
    for arguments, said in (((f"output.dir={folder_of(run)}", "part_mb=0"), "part_mb=0"),
                            ((f"output.dir={tmp_path / 'other'}",), "holds no run")):  # fmt: skip
        assert main(["compact", *arguments]) == 2
        told = capsys.readouterr().err
        assert said in told
        assert told.count("\n") == 1


def forget_claims(folder: Path) -> None:
    """What a kill here would do: the process of the claims is this one, which lives."""
    for path in folder.glob("work/claims/*"):
        path.unlink()


class WatchedStore(FaultyStore):
    """Calls `watch` after every call that changes something."""

    def __init__(self, store, watch) -> None:
        super().__init__(store, NEVER)
        self._watch = watch

    def _call(self, what, call, unanswered=None):
        result = super()._call(what, call, unanswered)
        verb, _, name = what.partition(" ")
        if verb in ("create", "replace", "publish", "delete") and not name.startswith("work/"):
            self._watch()
        return result


def card_rows(run) -> Counter[tuple]:
    """How often each row is behind the card, by policy, shard and index; files that are not there are an error."""
    matter = yaml.safe_load((folder_of(run) / "README.md").read_text().split("---\n")[1])
    (entry,) = next(c for c in matter["configs"] if c["config_name"] == "annotations")["data_files"]
    found = Counter()
    for pattern in entry["path"]:
        paths = sorted(folder_of(run).glob(pattern))
        assert paths, pattern
        for path in paths:
            found.update(
                pq.read_table(path, columns=["policy", "shard", "index"]).to_pandas().itertuples(index=False, name=None)
            )
    return found


@pytest.fixture
def short(data, tmp_path):
    """Three shards under one policy, compacted in parts of one, so that the next compaction replaces these too."""
    run = make_run(tmp_path / "run", data[:3])
    judge(run)
    split(run)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("earlier", [None, 1])
def test_readers_find_every_row_once_at_every_moment(short, earlier, monkeypatch):
    monkeypatch.setattr(sweeping, "LANES", 1)
    if earlier:
        squeeze(short, target=earlier)
    before, behind = read_rows(short), card_rows(short)
    assert set(behind.values()) == {1}
    early = AnnotationFiles(short.store)
    moments = 0

    def watch():
        nonlocal moments
        moments += 1
        assert card_rows(short) == behind
        for files in (early, AnnotationFiles(short.store)):
            for commit in read_commits(short.store, "p"):
                with files.local(commit) as path:
                    assert pl.read_parquet(path).equals(before["p", commit.shard])

    squeeze(short, target=LARGE, store=WatchedStore(short.store, watch))
    assert moments > 5


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before the effect", "after the effect"])
@pytest.mark.parametrize("earlier", [None, 1])
def test_killed_at_any_call_nothing_is_lost_and_the_next_one_ends_it(short, earlier, after, tmp_path):
    if earlier:
        squeeze(short, target=earlier)
    before, behind = read_rows(short), card_rows(short)
    for at in count(1, 1 if FULL else 7):
        folder = shutil.copytree(folder_of(short), tmp_path / str(at))
        run = replace(short, store=LocalStore(folder))
        store = FaultyStore(run.store, Fault(at=at, errno=errno.ECONNRESET, after=after, lasting=True))
        with suppress(CurateError):
            squeeze(run, target=LARGE, store=RetryingStore(store, PATIENCE))
        forget_claims(folder)
        assert same(read_rows(run), before), at
        assert card_rows(run) == behind, at
        no_violation(run)
        squeeze(run, target=LARGE)
        assert small_files(run) == []
        assert same(read_rows(run), before), at
        assert card_rows(run) == behind, at
        assert no_violation(run) == {}
        if store.calls < at:
            break
    assert at > 20
