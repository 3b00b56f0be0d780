"""Large files are read once, and whenever they are others."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from curate.judges import weight_digests
from curate.judges.weight_digests import file_digests


@pytest.fixture
def read(monkeypatch, tmp_path):
    """The files that are read."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    seen = []
    real = weight_digests._read
    monkeypatch.setattr(weight_digests, "_read", lambda path: seen.append(path.name) or real(path))
    return seen


def write(path, body):
    path.write_bytes(body)
    return path


def test_each_file_is_read_once(tmp_path, read):
    files = [write(tmp_path / name, name.encode()) for name in ("a", "b")]
    expected = [hashlib.sha256(name).hexdigest() for name in (b"a", b"b")]
    assert file_digests(files) == expected
    assert file_digests(files[::-1]) == expected[::-1]
    assert sorted(read) == ["a", "b"]


@pytest.mark.parametrize("how", ["another size", "in place, with its time set back", "replaced"])
def test_a_file_that_was_changed_is_read_again(tmp_path, read, how):
    file = write(tmp_path / "a", b"one")
    before = file.stat()
    file_digests([file])
    if how == "another size":
        write(file, b"other")
    elif how == "replaced":
        os.replace(write(tmp_path / "new", b"two"), file)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        write(file, b"two")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file_digests([file]) == [hashlib.sha256(file.read_bytes()).hexdigest()]
    assert read == ["a", "a"]


def test_what_is_kept_badly_is_no_digest(tmp_path, read):
    file = write(tmp_path / "a", b"one")
    file_digests([file])
    (kept,) = (tmp_path / "cache/curate/weights").iterdir()
    kept.write_bytes(b"\xff" * 64)
    assert file_digests([file]) == [hashlib.sha256(b"one").hexdigest()]


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, read, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(write(tmp_path / "no folder", b"")))
    file = write(tmp_path / "a", b"one")
    for _ in range(2):
        assert file_digests([file]) == [hashlib.sha256(b"one").hexdigest()]
    assert read == ["a", "a"]


def test_many_at_once_agree(tmp_path, read):
    files = [write(tmp_path / str(n), bytes([n]) * 2**20) for n in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: tuple(file_digests(files)), range(4)))
    assert set(found) == {tuple(hashlib.sha256(bytes([n]) * 2**20).hexdigest() for n in range(8))}
    assert len(list((tmp_path / "cache/curate/weights").iterdir())) == 8
