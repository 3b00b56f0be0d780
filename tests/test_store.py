"""The contract of `Store`, run against every implementation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from curate.store import LocalStore, Store


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
