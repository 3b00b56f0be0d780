"""Tars that webdataset reads, put together from pieces, whole or not there."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from curate.audit.draws import Draws
from curate.audit.generator import Failed, Generated, Refused
from curate.audit.shard_files import finished_shards, is_made, keep_piece, members_of, publish, shard_name
from curate.storage.local_store import LocalStore
from tests.support.audit_cases import IDENTITY, prompt
from tests.support.jobs import picture

DRAWS = Draws(prompts=[prompt(0, text="ein Bär\nzwei", negative="rain", seed=3)], images=3, seed=0, samples_per_shard=3)
MADE = [
    Generated(image=picture(1, kind="PNG"), fields={"revised_prompt": "a bear", "seed": "not this"}),
    Refused(reason="no bears"),
    Failed(reason="too long"),
]


@pytest.fixture
def store(tmp_path):
    store = LocalStore(tmp_path)
    draws = DRAWS.of_shard(0)
    keep_piece(store, 0, 0, members_of(draws[:2], MADE[:2], IDENTITY))
    keep_piece(store, 0, 1, members_of(draws[2:], MADE[2:], IDENTITY))
    return store


def test_nothing_is_there_before_all_of_it_is(store):
    assert finished_shards(store) == set()
    assert [is_made(store, 0, number) for number in range(3)] == [True, True, False]
    publish(store, 0, 2)
    assert finished_shards(store) == {0}
    assert is_made(store, 0, 2)
    assert store.names("work/pieces/00000") == []


def test_webdataset_reads_it_with_what_each_was_asked_for_with(store, tmp_path):
    import webdataset

    publish(store, 0, 2)
    samples = list(webdataset.WebDataset(str(tmp_path / shard_name(0)), shardshuffle=False))
    asked = {
        "prompt": "ein Bär\nzwei",
        "negative_prompt": "rain",
        "prompt_id": "p0",
        "prompt_set": "tests",
        "generator": "noise",
        "revision": "r1",
    }
    assert [one["__key__"] for one in samples] == ["000000-0000", "000000-0001", "000000-0002"]
    assert samples[0]["png"] == picture(1, kind="PNG")
    fields = [json.loads(one["json"]) for one in samples]
    assert fields[0] == {"revised_prompt": "a bear", **asked, "number": 0, "seed": 3}
    assert fields[1] == {**asked, "number": 1, "seed": 4, "refused": "no bears"}
    assert fields[2] == {**asked, "number": 2, "seed": 5, "failed": "too long"}
    assert "png" not in samples[1]


def test_it_is_the_tar_that_tarfile_writes(store, tmp_path):
    publish(store, 0, 2)
    with tarfile.open(tmp_path / shard_name(0)) as tar:
        members = [(header, tar.extractfile(header).read()) for header in tar]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for header, data in members:
            plain = tarfile.TarInfo(header.name)
            plain.size = len(data)
            tar.addfile(plain, io.BytesIO(data))
    assert (tmp_path / shard_name(0)).read_bytes() == out.getvalue()


@pytest.mark.parametrize("blocks", [18, 19, 20])
def test_the_end_is_two_blocks_at_least(tmp_path, blocks):
    store = LocalStore(tmp_path)
    keep_piece(store, 0, 0, b"x" * blocks * 512)
    publish(store, 0, 1)
    data = (tmp_path / shard_name(0)).read_bytes()
    assert len(data) % tarfile.RECORDSIZE == 0
    assert data[blocks * 512 :].count(0) >= 1024


def test_a_tar_that_another_process_made_of_the_pieces_meanwhile_is_good(store, tmp_path):
    publish(store, 0, 2)
    before = (tmp_path / shard_name(0)).read_bytes()
    publish(store, 0, 2)
    assert (tmp_path / shard_name(0)).read_bytes() == before
    assert list((tmp_path / "work").glob("**/.tmp*")) == []


def test_pieces_that_are_gone_without_a_tar_are_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        publish(LocalStore(tmp_path), 0, 1)


def test_who_was_first_with_a_piece_keeps_it(store):
    before = store.read("work/pieces/00000/00000")
    keep_piece(store, 0, 0, b"other")
    assert store.read("work/pieces/00000/00000") == before
