"""Interrupted and repeated filter stages: laws 6 and 8 for splits."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from curate.core.types import Sample
from curate.filtering.manifest import read_manifests
from curate.storage.local_store import LocalStore
from curate.storage.store import Store
from tests.support.filtering_cases import Case, judged, laion_members, write_parquet, write_tar


class Killed(BaseException):
    """What a test stops the stage with; nothing in the stage may catch it."""


class MortalStore:
    """A store that dies before its n-th change, counting from 0; `changes` counts those it made."""

    def __init__(self, inner: Store, dies_at: int | None = None) -> None:
        self._inner = inner
        self._dies_at = dies_at
        self.changes = 0

    def __getattr__(self, name: str) -> object:
        method = getattr(self._inner, name)
        if name not in ("create", "replace", "publish", "delete"):
            return method

        def change(*arguments: object) -> object:
            if self.changes == self._dies_at:
                raise Killed
            self.changes += 1
            return method(*arguments)

        return change


OLD = {"thresholds": {"unsafe": 0.5}}
NEW = {"thresholds": {"unsafe": 0.8, "review": 0.4}, "subdivide": {"train": 0.5, "test": 0.5}}


@pytest.fixture
def make(tmp_path: Path):
    tar = write_tar(tmp_path / "a.tar", laion_members(0, 14))
    parquet = write_parquet(tmp_path / "b.parquet", [f"p{n}" for n in range(6)])

    def case(name: str) -> Case:
        return judged(tmp_path / name / "run", [tar, parquet], label="label")

    return case


@pytest.mark.slow
@pytest.mark.parametrize("write", ["parquet", "webdataset", "index"])
def test_dying_before_every_single_change_ends_in_the_same_files(make, write: str):
    """Each start makes one change and dies, until one finds nothing left to change."""
    case, whole = make("run"), make("whole")
    whole.filter(write=write, **NEW)
    splits = {result.digest: result.splits for result in (case.filter(**NEW), case.filter(**OLD))}
    deaths = 0
    while _dies_before_second_change(case, write):
        deaths += 1
        assert deaths < 100
        if write == "parquet":
            _check_card(case, splits)
    assert deaths > 15
    assert case.files() == whole.files()


@pytest.mark.slow
def test_dying_late_is_made_good_too(make):
    """Starts that die after ever more changes, each in a folder where the old rule set was complete."""
    case, whole = make("run"), make("whole")
    whole.filter(**NEW)
    for dies_at in (2, 11, 16):
        case.filter(**OLD)
        with pytest.raises(Killed):
            case.through(MortalStore(case.store, dies_at)).filter(**NEW)
        case.filter(**NEW)
        assert case.files() == whole.files(), dies_at


def _dies_before_second_change(case: Case, write: str) -> bool:
    try:
        case.through(MortalStore(case.store, 1)).filter(write=write, **NEW)
    except Killed:
        return True
    return False


def _check_card(case: Case, splits: dict) -> None:
    """Every pattern of the card in force finds all its rows."""
    card = case.store.read("README.md").decode()
    (digest,) = [d for d in splits if f"-{d}.parquet" in card]
    for split, samples in splits[digest].items():
        files = (case.root / "splits" / split).rglob(f"*-{digest}.parquet")
        assert sum(pq.read_metadata(f).num_rows for f in files) == samples


def test_a_finished_stage_is_not_done_again(make):
    case = make("run")
    first = case.filter()
    before = {path: path.stat().st_mtime_ns for path in (case.root / "splits").rglob("*.parquet")}
    counting = MortalStore(case.store)

    class Unread:
        def samples(self, *arguments: object) -> list[Sample]:
            raise AssertionError("a source was read")

    again = Case(**{**vars(case.through(counting)), "sources": {f: Unread() for f in case.sources}}).filter()
    assert again == first
    assert counting.changes == 0
    assert before == {path: path.stat().st_mtime_ns for path in (case.root / "splits").rglob("*.parquet")}


def test_a_file_that_was_lost_comes_back(make):
    case = make("run")
    case.filter()
    expected = case.files()
    lost = next((case.root / "splits/clean").iterdir())
    lost.unlink()
    case.filter()
    assert case.files() == expected


def test_another_rule_set_leaves_nothing_of_the_first(make):
    case, fresh = make("run"), make("fresh")
    case.filter(write="webdataset", splits={"odd": "p_unsafe > 0.4", "clean": "true"})
    assert (case.root / "splits/odd/README.md").exists()
    case.filter(**NEW)
    fresh.filter(**NEW)
    assert case.files() == fresh.files()


def test_going_back_and_forth_gives_the_same_files(make):
    case = make("run")
    case.filter(**OLD)
    expected = case.files()
    case.filter(**NEW)
    case.filter(**OLD)
    assert case.files() == expected


def test_the_name_of_a_rule_set_changes_nothing_but_the_card(make):
    case = make("run")
    first = case.filter(name="a")
    assert case.filter(name="b") == first
    assert b"`b`" in case.files()["README.md"]


def test_scratch_files_do_not_stay(make):
    case = make("run")
    case.filter()
    assert isinstance(case.store, LocalStore)
    assert not list((case.root / "work/scratch").iterdir())


def test_only_split_files_lie_between_the_split_files(make):
    case = make("run")
    result = case.filter()
    files = [path for path in (case.root / "splits").rglob("*") if path.is_file()]
    assert len(files) == sum(result.files.values())
    assert {path.parent.parent for path in files} == {case.root / "splits"}
    assert pl.scan_parquet(f"{case.root}/splits/").collect().height == result.samples
    assert pl.scan_parquet(f"{case.root}/splits/**/*.parquet").collect().height == result.samples
    assert {path.name for path in (case.root / "tables").iterdir()} == {
        f"{result.digest}.json",
        f"removed-{result.digest}.parquet",
        f"labels-{result.digest}.parquet",
    }


def test_tables_of_earlier_versions_are_moved(make):
    case = make("run")
    first = case.filter()
    new = case.files()
    splits = {path: path.stat().st_mtime_ns for path in (case.root / "splits").rglob("*.parquet")}
    case.lay_out_as_before()
    assert read_manifests(case.store)[0].result == first.to_record()
    assert case.filter() == first
    assert case.files() == new
    assert splits == {path: path.stat().st_mtime_ns for path in splits}


@pytest.mark.parametrize("finished", [True, False])
def test_a_stage_of_an_earlier_version_gives_way_to_other_rules(make, finished):
    case, whole = make("run"), make("whole")
    case.filter()
    case.lay_out_as_before()
    if not finished:
        (manifest,) = (case.root / "splits").glob("*.json")
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"result": None}))
    case.filter(**NEW)
    whole.filter(**NEW)
    assert case.files() == whole.files()


@pytest.mark.slow
def test_a_kill_while_tables_are_moved_loses_nothing(make):
    whole = make("whole")
    whole.filter()
    for dies_at in range(20):
        case = make(f"run{dies_at}")
        case.filter()
        case.lay_out_as_before()
        try:
            case.through(MortalStore(case.store, dies_at)).filter()
            break
        except Killed:
            case.filter()
            assert case.files() == whole.files(), dies_at
    assert dies_at > 3
