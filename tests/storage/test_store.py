"""The contract of `Store`, run against every implementation."""

from __future__ import annotations

import errno
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore.store
import pytest

from curate.core.errors import InputError, StorageFailed
from curate.storage import object_store
from curate.storage.factory import open_store
from curate.storage.local_store import LocalStore
from curate.storage.object_store import ObjectStore
from curate.storage.retrying_store import RetryingStore, scratch_file
from curate.storage.store import Store
from curate.storage.transient_errors import Patience
from curate.testing.faulty_store import Fault, FaultyStore
from tests.support.s3_server import S3Server, bucket
from tests.support.s3_stub import unconditional_server


class StoreTests:
    """Subclasses give a `store` fixture; every law holds for every store."""

    def test_what_is_created_is_read(self, store: Store) -> None:
        assert store.create("a/b.bin", b"x\x00y")
        assert store.read("a/b.bin") == b"x\x00y"
        with store.open("a/b.bin") as file:
            file.seek(1)
            assert file.read() == b"\x00y"

    def test_create_never_replaces(self, store: Store) -> None:
        assert store.create("a", b"first")
        assert not store.create("a", b"second")
        assert store.read("a") == b"first"

    def test_replace_does(self, store: Store) -> None:
        store.replace("a", b"first")
        store.replace("a", b"second")
        assert store.read("a") == b"second"

    def test_publish_moves_and_never_replaces(self, store: Store) -> None:
        for content, expected in ((b"first", True), (b"second", False)):
            scratch = store.scratch()
            scratch.write_bytes(content)
            assert store.publish(scratch, "deep/er/file") is expected
            assert not scratch.exists()
        assert store.read("deep/er/file") == b"first"

    def test_what_is_not_there(self, store: Store) -> None:
        assert not store.exists("a")
        assert store.names("nowhere") == []
        assert store.folders("nowhere") == []
        store.delete("a")
        with pytest.raises(FileNotFoundError):
            store.read("a")

    def test_names_and_folders_are_direct_and_sorted(self, store: Store) -> None:
        for name in ("f/b", "f/a", "f/g/c", "other"):
            store.create(name, b"")
        assert store.names("f") == ["a", "b"]
        assert store.folders("f") == ["g"]

    def test_deleted_is_gone(self, store: Store) -> None:
        store.create("a", b"")
        store.delete("a")
        assert not store.exists("a")
        assert store.create("a", b"again")

    def test_of_many_creators_one_wins(self, store: Store) -> None:
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda n: store.create("claim", str(n).encode()), range(64)))
        assert won.count(True) == 1
        assert store.read("claim") == str(won.index(True)).encode()

    def test_no_temporary_file_is_left_or_listed(self, store: Store) -> None:
        store.create("f/a", b"")
        store.create("f/a", b"again")
        store.replace("f/a", b"")
        assert store.names("f") == ["a"]

    def test_what_is_read_in_ranges_is_what_is_there(self, store: Store) -> None:
        data = os.urandom(3 * 2**20)
        store.create("f/big", data)
        with store.open("f/big") as file:
            assert file.seek(-5, io.SEEK_END) == len(data) - 5
            assert file.read() == data[-5:]
            assert file.read() == b""
            file.seek(2**20 + 1)
            assert file.read(2**20) == data[2**20 + 1 : 2 * 2**20 + 1]
            file.seek(7)
            assert file.tell() == 7
            assert file.read() == data[7:]

    def test_a_local_file_holds_what_is_there(self, store: Store) -> None:
        store.create("f/a", b"x")
        with store.local("f/a") as path:
            assert path.read_bytes() == b"x"
        assert store.read("f/a") == b"x"

    def test_of_many_publishers_one_wins(self, store: Store) -> None:
        scratches = [store.scratch() for _ in range(16)]
        for number, scratch in enumerate(scratches):
            scratch.write_bytes(str(number).encode())
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda scratch: store.publish(scratch, "f/file"), scratches))
        assert won.count(True) == 1
        assert store.read("f/file") == str(won.index(True)).encode()
        assert not any(scratch.exists() for scratch in scratches)

    def test_it_arbitrates_and_leaves_no_trace_of_finding_out(self, store: Store) -> None:
        assert store.arbitrates()
        assert store.names("work") == []


class TestLocalStore(StoreTests):
    @pytest.fixture
    def store(self, tmp_path):
        return LocalStore(tmp_path)

    def test_nothing_but_the_files_is_in_the_folder(self, store, tmp_path) -> None:
        store.create("f/a", b"")
        store.create("f/a", b"again")
        store.replace("f/b", b"")
        assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "b", "f"]

    def test_a_failed_write_leaves_nothing(self, store, tmp_path) -> None:
        (tmp_path / "f").write_bytes(b"a file where a folder should be")
        with pytest.raises(OSError, match="f"):
            store.create("f/a", b"")
        assert [p.name for p in tmp_path.iterdir()] == ["f"]

    def test_without_hard_links_it_works_and_says_that_it_does_not_arbitrate(self, store, monkeypatch) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
        assert not store.arbitrates()
        assert store.create("a", b"first")
        assert not store.create("a", b"second")
        assert store.read("a") == b"first"


class TestRetryingStore(StoreTests):
    @pytest.fixture
    def store(self, tmp_path):
        return RetryingStore(LocalStore(tmp_path))


class TestFaultyStoreWithoutItsFault(StoreTests):
    @pytest.fixture
    def store(self, tmp_path):
        return FaultyStore(LocalStore(tmp_path), Fault(at=10**9, errno=errno.EIO))


class TestObjectStoreInMemory(StoreTests):
    @pytest.fixture
    def store(self):
        return ObjectStore(obstore.store.MemoryStore(), "memory:///")


class TestLargeFilesInMemory(StoreTests):
    """Every published file goes the way of those that are too large for one request."""

    @pytest.fixture
    def store(self, monkeypatch):
        monkeypatch.setattr(object_store, "SINGLE_PUT", 0)
        return ObjectStore(obstore.store.MemoryStore(), "memory:///")


@pytest.mark.s3
class TestS3(StoreTests):
    @pytest.fixture
    def store(self, s3_server):
        return open_store(f"{bucket(s3_server)}/run")

    def test_a_large_file_is_uploaded_in_parts_and_never_replaced(self, store, monkeypatch) -> None:
        monkeypatch.setattr(object_store, "SINGLE_PUT", 2**20)
        data = os.urandom(12 * 2**20)
        for content, expected in ((data, True), (data[::-1], False)):
            scratch = store.scratch()
            scratch.write_bytes(content)
            assert store.publish(scratch, "splits/clean/a.tar") is expected
        assert store.read("splits/clean/a.tar") == data
        assert store.names("work/uploads") == []


def patient(store: Store, fault: Fault) -> RetryingStore:
    return RetryingStore(FaultyStore(store, fault), Patience(total=1.0, first=0.001))


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ECONNRESET, errno.EAGAIN])
@pytest.mark.parametrize("after", [False, True])
def test_what_passes_is_tried_again(tmp_path, number, after):
    def fresh() -> RetryingStore:
        return patient(LocalStore(tmp_path), Fault(at=1, errno=number, after=after))

    assert fresh().create("f/a", b"mine")
    assert not fresh().create("f/a", b"another's")
    fresh().replace("f/b", b"x")
    assert fresh().read("f/a") == b"mine"
    assert fresh().names("f") == ["a", "b"]
    fresh().delete("f/b")
    assert not fresh().exists("f/b")


def test_a_file_is_read_on_where_it_failed(tmp_path):
    data = os.urandom(2**20)
    LocalStore(tmp_path).create("a", data)
    for at in (1, 2, 3, 5):
        store = patient(LocalStore(tmp_path), Fault(at=at, errno=errno.ESTALE))
        with store.open("a") as file:
            assert file.read(1000) == data[:1000]
            assert file.read() == data[1000:]


def test_a_file_that_may_not_have_reached_the_disk_is_not_synced_twice(tmp_path):
    store = patient(LocalStore(tmp_path), Fault(at=1, errno=errno.EIO))
    scratch = tmp_path / "scratch"
    scratch.write_bytes(b"x")
    with pytest.raises(StorageFailed):
        store.publish(scratch, "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "make it writable"),
        (errno.EACCES, "check permissions and credentials"),
    ],
)
def test_what_does_not_pass_is_one_line_at_once(tmp_path, number, mend):
    inner = FaultyStore(LocalStore(tmp_path), Fault(at=1, errno=number))
    with pytest.raises(StorageFailed, match=mend) as caught:
        RetryingStore(inner, Patience(total=1e9, first=1e9)).create("f/a", b"")
    assert inner.calls == 1
    assert str(tmp_path / "f/a") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_patience_ends_and_is_not_spent_twice(tmp_path):
    inner = FaultyStore(LocalStore(tmp_path), Fault(at=1, errno=errno.ETIMEDOUT, lasting=True))
    store = RetryingStore(inner, Patience(total=0.05, first=0.001, longest=0.01))
    with pytest.raises(StorageFailed, match="timed out"):
        store.read("a")
    tries = inner.calls
    assert tries > 2
    with pytest.raises(StorageFailed):
        store.delete("a")
    assert inner.calls == tries + 1


def test_what_is_written_to_scratch_is_the_storage_too(tmp_path):
    store = LocalStore(tmp_path)

    def fill_up() -> None:
        with scratch_file(store) as path:
            path.write_bytes(b"half a file")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageFailed, match="free some space"):
        fill_up()
    assert list((tmp_path / "work/scratch").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("answer", [200, 501])
def test_a_server_without_conditional_writes_is_found_out(answer, monkeypatch):
    """Some ignore the condition, some refuse it."""
    with unconditional_server(answer) as endpoint:
        for name, value in S3Server(endpoint).environment().items():
            monkeypatch.setenv(name, value)
        store = open_store("s3://bucket/run")
        assert not store.arbitrates()
        assert store.create("a", b"first")
        assert not store.create("a", b"second")
        assert store.read("a") == b"first"
        scratch = store.scratch()
        scratch.write_bytes(b"file")
        assert store.publish(scratch, "f")
        assert store.read("f") == b"file"


@pytest.mark.parametrize("place", ["ftp://host/run", "http://host/run", "s3://"])
def test_what_is_no_place_for_a_run(place):
    with pytest.raises(InputError, match=r"output\.dir"):
        open_store(place)


def test_a_folder_is_a_folder(tmp_path):
    assert open_store(tmp_path / "run").uri("a") == str(Path(tmp_path / "run/a"))
