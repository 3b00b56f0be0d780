"""A shard is decided a window of rows at a time: where it is cut changes nothing that is written or counted."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curate.core.errors import StorageFailed
from curate.filtering import decide
from tests.support.filtering_cases import Case, judged, laion_members, write_parquet, write_tar

SUBDIVIDED = {"thresholds": {"unsafe": 0.8, "review": 0.4}, "subdivide": {"train": 0.5, "test": 0.5}}


@pytest.fixture
def make(tmp_path: Path):
    tar = write_tar(tmp_path / "a.tar", laion_members(0, 23))
    parquet = write_parquet(tmp_path / "b.parquet", [f"p{n}" for n in range(9)])

    def case(name: str) -> Case:
        return judged(tmp_path / name / "run", [tar, parquet], policies=("house", "kids"), label="label")

    return case


@pytest.mark.slow
@pytest.mark.parametrize("write", ["parquet", "webdataset", "index"])
def test_the_size_of_a_window_changes_nothing(make, monkeypatch, write: str):
    whole, cut = make("whole"), make("cut")
    expected = whole.filter(write=write, **SUBDIVIDED)
    monkeypatch.setattr(decide, "WINDOW", 5)
    assert cut.filter(write=write, **SUBDIVIDED) == expected
    assert _contents(cut) == _contents(whole)


def test_an_index_that_the_disk_does_not_take_is_told_in_one_line(make):
    """A folder stands where scratch files should be, as no disk is full when asked."""
    case = make("run")
    taken = case.root / "taken"
    taken.mkdir()
    scratches = iter([case.store.scratch()])

    class Unwritable:
        def __getattr__(self, name: str) -> object:
            return (lambda: next(scratches, taken)) if name == "scratch" else getattr(case.store, name)

    with pytest.raises(StorageFailed, match="cannot write"):
        case.through(Unwritable()).filter(write="index")
    assert not list(case.root.glob("splits/*/*.parquet"))


def _contents(case: Case) -> dict[str, object]:
    """What the files hold; those of an index and of removals are cut into groups by windows."""
    files = case.files()
    tables = {name: pq.read_table(case.root / name).to_pylist() for name in files if name.endswith(".parquet")}
    return files | tables
