"""A source whose storage fails for a moment is read on from where it was; one that stays away is a shard for later."""

from __future__ import annotations

import errno
import io

import aiohttp
import pytest
from botocore.exceptions import EndpointConnectionError
from fsspec.implementations.memory import MemoryFileSystem

from curate.core.errors import ShardUnreadable
from curate.settings.dataset import DatasetSettings
from curate.sources import files
from curate.sources.files import Files
from curate.sources.registry import source_for
from curate.storage.transient_errors import Patience
from tests.support.jobs import write_tar

PASSING = (
    ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    TimeoutError("timed out"),
    OSError(errno.EBUSY, "SlowDown"),
    EndpointConnectionError(endpoint_url="http://localhost"),
    aiohttp.ServerDisconnectedError(),
)


class Weather:
    """Errors that are raised one by one, at opening and at every other read."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.reads = 0

    def strike(self) -> None:
        if self.errors:
            raise self.errors.pop(0)


class Flaky:
    """A remote file as fsspec opens one."""

    def __init__(self, data: bytes, weather: Weather) -> None:
        self.size = len(data)
        self._file = io.BytesIO(data)
        self._weather = weather

    def read(self, size: int) -> bytes:
        self._strike()
        return self._file.read(size)

    def readinto(self, buffer: memoryview) -> int:
        self._strike()
        return self._file.readinto(buffer)

    def _strike(self) -> None:
        self._weather.reads += 1
        if self._weather.reads % 2:
            self._weather.strike()

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


class Halfway(io.RawIOBase):
    """A disk that gives half of what it is asked for, and then fails once."""

    def __init__(self, data: bytes, error: Exception) -> None:
        self._file = io.BytesIO(data)
        self._errors: list[Exception | None] = [error, None]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: memoryview) -> int:
        error = self._errors.pop() if self._errors else None
        if error is not None:
            raise error
        return self._file.readinto(memoryview(buffer)[: len(buffer) // 2])


class Opened(io.BufferedReader):
    """A local file as fsspec opens one."""

    size = 1


URL = "memory:///flaky/a.tar"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The bytes of a shard at URL."""
    monkeypatch.setattr(files, "PATIENCE", Patience(total=0.2, first=0.001, longest=0.002))
    content = write_tar(tmp_path / "a.tar", range(40)).read_bytes()
    MemoryFileSystem().pipe_file("/flaky/a.tar", content)
    return content


@pytest.fixture
def weather(data, monkeypatch):
    """What happens to the storage of URL."""
    found = Weather()

    def open_flaky(*_: object, **__: object) -> Flaky:
        found.strike()
        return Flaky(data, found)

    monkeypatch.setattr(MemoryFileSystem, "open", open_flaky)
    return found


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_what_passes_costs_no_byte(data, weather, error):
    weather.errors = [error] * 6
    with Files().open(URL, 1000) as file:
        assert file.read() == data
    assert weather.errors == []


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "denied"), FileNotFoundError("gone")])
def test_what_does_not_pass_is_not_tried_again(weather, error):
    weather.errors = [error] * 3
    with pytest.raises(ShardUnreadable, match=type(error).__name__):
        Files().open(URL)
    assert len(weather.errors) == 2


def test_a_read_that_fails_halfway_loses_nothing(data, monkeypatch):
    disk = Halfway(data, OSError(errno.EIO, "input/output error"))
    monkeypatch.setattr(MemoryFileSystem, "open", lambda *_, **__: Opened(disk, 64))
    with Files().open(URL, 1000) as file:
        assert file.read() == data


def test_files_of_storages_that_only_read_are_read(data, monkeypatch):
    class Plain:
        size = 1

        def __init__(self) -> None:
            inner = io.BytesIO(data)
            self.read, self.tell, self.seek, self.close = inner.read, inner.tell, inner.seek, inner.close

    monkeypatch.setattr(MemoryFileSystem, "open", lambda *_, **__: Plain())
    with Files().open(URL, 1000) as file:
        assert file.read() == data


def test_a_storage_that_stays_away_leaves_the_shard_to_a_later_run(weather):
    weather.errors = [ConnectionResetError(errno.ECONNRESET, "reset")] * 100_000
    with pytest.raises(ShardUnreadable, match="cannot be read"):
        Files().open(URL)


def test_samples_are_those_of_an_undisturbed_reading(weather):
    dataset = DatasetSettings(name="data", shards=[URL])
    (shard,) = source_for("webdataset").shards([URL], dataset)
    expected = [(s.key, s.image) for s in source_for("webdataset").samples(shard, dataset)]
    weather.errors = [TimeoutError("timed out")] * 3
    assert [(s.key, s.image) for s in source_for("webdataset").samples(shard, dataset)] == expected
    assert len(expected) == 40
    assert weather.errors == []
