"""Checkpoints are prefixes, and an interrupted shard ends in the bytes of one that was not."""

from __future__ import annotations

from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.types import Annotation, Rating, Status
from curate.runs import journal
from curate.runs.journal import Journal, read_rows
from curate.storage.local_store import LocalStore


def row(index):
    labelled = index % 3 != 0
    return Annotation(
        key=f"k{index}",
        shard="s",
        index=index,
        policy="p",
        status=Status.LABELLED if labelled else Status.UNDECODABLE,
        rating=Rating.SAFE if labelled else None,
        rationale="because" * (index % 5),
        p_unsafe=0.25 if labelled else None,
        detail=None if labelled else "broken",
    )


def open_journal(store, identity="id"):
    return Journal(store, "p", "s", identity, {"fingerprint": "f"})


def add(one, number):
    """A row, and the checkpoint where it is due."""
    one.add(number, row(number))
    if one.is_due():
        one.checkpoint()


def write(store, count, kills=(), part_rows=4):
    """Write `count` rows, abandoning the journal without a word after each index in `kills`."""
    journal.PART_ROWS = part_rows
    one = open_journal(store)
    for kill in sorted(kills):
        while one.next_row < min(kill, count):
            add(one, one.next_row)
        one = open_journal(store)
    while one.next_row < count:
        add(one, one.next_row)
    one.publish()
    return store.read("annotations/p/s.parquet")


@pytest.fixture(autouse=True)
def _restore(monkeypatch):
    monkeypatch.setattr(journal, "PART_ROWS", journal.PART_ROWS)
    monkeypatch.setattr(journal, "ROW_GROUP", 7)


@pytest.mark.slow
@settings(max_examples=30)
@given(count=st.integers(0, 30), kills=st.lists(st.integers(0, 30), max_size=4), part_rows=st.integers(1, 9))
def test_interrupted_equals_undisturbed(tmp_path_factory, count, kills, part_rows):
    undisturbed = write(LocalStore(tmp_path_factory.mktemp("a")), count, part_rows=1000)
    interrupted = write(LocalStore(tmp_path_factory.mktemp("b")), count, kills, part_rows)
    assert interrupted == undisturbed


def test_rows_come_back_equal(tmp_path):
    store = LocalStore(tmp_path)
    write(store, 20)
    assert list(read_rows(store.uri("annotations/p/s.parquet"))) == [row(i) for i in range(20)]


def test_row_groups_and_metadata(tmp_path):
    store = LocalStore(tmp_path)
    write(store, 20)
    with pq.ParquetFile(store.uri("annotations/p/s.parquet")) as file:
        assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [7, 7, 6]
        assert file.schema_arrow.metadata[b"fingerprint"] == b"f"


def test_a_checkpoint_costs_at_most_a_part(tmp_path):
    store = LocalStore(tmp_path)
    journal.PART_ROWS = 4
    one = open_journal(store)
    for index in range(11):
        add(one, index)
    assert open_journal(store).next_row == 8
    one.checkpoint()
    assert open_journal(store).next_row == 11


def test_a_checkpoint_is_due_after_half_a_minute_or_when_the_rows_are_many(tmp_path, monkeypatch):
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(journal, "time", clock)
    one = open_journal(LocalStore(tmp_path))
    one.add(0, row(0))
    clock.now = journal.PART_SECONDS - 1
    assert not one.is_due()
    clock.now += 1
    assert one.is_due()
    one.checkpoint()
    assert not one.is_due()
    journal.PART_ROWS = 4
    one.add(1, row(1))
    assert not one.is_due()
    one.add(2, row(2))
    assert not one.is_due(shards=1)
    assert one.is_due(shards=2), "of two shards each may have half of the rows"


def test_checkpoints_of_another_identity_do_not_count(tmp_path):
    store = LocalStore(tmp_path)
    one = open_journal(store, "before")
    one.add(0, row(0))
    one.checkpoint()
    assert open_journal(store, "after").next_row == 0
    open_journal(store, "after").discard()
    assert open_journal(store, "before").next_row == 0


def test_overlapping_parts_of_two_workers_make_one_chain(tmp_path):
    store = LocalStore(tmp_path)
    journal.PART_ROWS = 1000
    a, b = open_journal(store), open_journal(store)
    for index in range(6):
        a.add(index, row(index))
    a.checkpoint()
    for index in range(4):
        b.add(index, row(index))
    b.checkpoint()
    for index in range(4, 9):
        b.add(index, row(index))
    b.checkpoint()
    last = open_journal(store)
    assert last.next_row == 9
    last.publish()
    assert [r.index for r in read_rows(store.uri("annotations/p/s.parquet"))] == list(range(9))


def test_the_first_published_file_stands(tmp_path):
    store = LocalStore(tmp_path)
    first = write(store, 5)
    assert write(store, 9) == first


def test_rows_out_of_order_are_a_defect(tmp_path):
    with pytest.raises(AssertionError, match=r"row 1 .* added where 0 is due"):
        open_journal(LocalStore(tmp_path)).add(1, row(1))
