"""Files behind paths and fsspec URLs: which are there, what tells that one has changed, and reading one.

Local files go through `os`, because fsspec reports a link's own time in listings but its target's time elsewhere.
Everything here is about whole folders at a time where it can be: a plan may have 100,000 shards.
"""

# Paths stay strings: they are one kind of URL here, and there may be millions.
# ruff: noqa: PTH110, PTH112, PTH116, PTH119, PTH207, PTH208

from __future__ import annotations

import glob
import io
import os
import re
import stat
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import aiohttp
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from curate.console.output import complain
from curate.core.errors import InputError, ShardUnreadable
from curate.core.secrets import masked_place, masked_url, one_line
from curate.settings.secrets import given_again
from curate.sources.passed_over import DANGLING, SPECIAL, Note, ignored, why_hidden
from curate.storage.transient_errors import Patience, attempt, is_transient


def _botocore_error() -> type[Exception]:
    """What s3fs lets through of the client under it; s3fs is there only where s3:// is wanted."""
    try:
        from botocore.exceptions import BotoCoreError
    except ModuleNotFoundError:
        return OSError
    error: type[Exception] = BotoCoreError
    return error


STORAGE_ERRORS = (OSError, aiohttp.ClientError, _botocore_error())
"""What fsspec raises where the storage, not the content, is at fault."""

RUN_FILES = ("run.yaml", "plan.parquet")
"""What the folder of every run holds (`curate.runs.run_folder`)."""

PATIENCE = Patience(total=60.0)
"""For a shard; then it is left to a later run, and others are read meanwhile."""

# In the order in which they tell most; size and time are what is left.
_CONTENT_TAGS = ("ETag", "etag", "md5Hash", "content_md5", "sha256", "blob_id")
_TIMES = ("LastModified", "last_modified", "mtime", "updated")
_SCHEME = re.compile(r"((?:\w+::)*)(\w+)://")
_HIDDEN = re.compile(r"(^|/)\.")
_LOCAL = LocalFileSystem()
_HTTP = re.compile(r"(?:\w+::)*https?://")


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file or folder.

    Attributes:
        url: canonical.
        size: in bytes; None where the storage does not tell.
        version: changes when the content does; None where the storage does not tell.
        is_folder: whether it is one.
        target: where it really is, if a link led to it; of listings of this machine's folders.
    """

    url: str
    size: int | None
    version: str | None
    is_folder: bool
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Files:
    """The files that one set of `storage_options` gives access to. Methods raise the errors in STORAGE_ERRORS."""

    storage_options: Mapping[str, Any] = field(default_factory=dict)

    def canonical(self, url: str) -> str:
        """One spelling for each file: absolute paths without `file://` and `..`, and URLs as listings spell them."""
        fs, path = self._fs(url)
        if not isinstance(fs, LocalFileSystem):
            return _like(url, path)
        folder, _, name = path.rpartition("/")
        return f"{os.path.realpath(folder)}/{name}" if "/../" in path else path

    def is_pattern(self, url: str) -> bool:
        """Whether `url` is a glob: no file of just this name; in a web address a question mark starts the query."""
        signs = "*[" if _HTTP.match(url) else "*?["
        return any(sign in url for sign in signs) and (_SCHEME.match(url) is not None or not os.path.exists(url))

    def existing(self, urls: Iterable[str]) -> set[str]:
        """Those of the canonical `urls` that are there; lists each folder once."""
        children = defaultdict(list)
        for url in urls:
            children[folder_of(url)].append(url)
        return {url for parent, wanted in children.items() for url in self._existing(parent, wanted)}

    def glob(self, pattern: str) -> list[FileInfo]:
        """What a canonical `pattern` matches, sorted by name; hidden files only where the pattern names them."""
        fs, path = self._fs(pattern)
        if isinstance(fs, LocalFileSystem):
            there = [found for found in sorted(glob.glob(path, recursive=True)) if os.path.exists(found)]
            return [_local(found) for found in (_outside_runs(there, path) if "**" in path else there)]
        found = fs.glob(path, detail=True)
        return [_remote(pattern, info) for _, info in sorted(found.items())]

    def walk(self, folder: str, note: Note = ignored) -> list[FileInfo]:
        """All files below a canonical `folder`, sorted by name, without hidden ones (".name") and runs' folders.

        Args:
            folder: where to look.
            note: told of what else is there, by its path in the folder.
        """
        fs, path = self._fs(folder)
        if isinstance(fs, LocalFileSystem):
            return sorted(_Walk(path, note).files(), key=lambda info: info.url)
        found = fs.find(path, detail=True)
        runs = _runs_among(found)
        inputs = {name: info for name, info in sorted(found.items()) if not name.startswith(runs)}
        hidden = {name for name in inputs if _HIDDEN.search(name.removeprefix(path))}
        for name in hidden:
            note(why_hidden(os.fsencode(file_name(name))), name.removeprefix(path).lstrip("/"))
        return [_remote(folder, info) for name, info in inputs.items() if name not in hidden]

    def info(self, url: str) -> FileInfo:
        """One file or folder."""
        fs, path = self._fs(url)
        return _local(path) if isinstance(fs, LocalFileSystem) else _remote(url, fs.info(path))

    def infos(self, urls: Sequence[str]) -> list[FileInfo]:
        """Of every one of the canonical `urls`, in their order; lists remote folders once."""
        listed = {parent: self._listed(parent) for parent in _crowded(urls)}
        return [listed.get(folder_of(url), {}).get(url) or self.info(url) for url in urls]

    def open(self, url: str, buffer: int = 2**20) -> io.BufferedReader:
        """A reader whose every failure of the storage is a ShardUnreadable, so that what else goes wrong is content.

        Args:
            url: of a file.
            buffer: bytes read ahead.

        Raises:
            ShardUnreadable: at once or at any read.
        """
        try:
            fs, path = self._fs(url)
            file = attempt(lambda: fs.open(path, "rb"), PATIENCE, passes, STORAGE_ERRORS)
            return io.BufferedReader(_Guarded(url, file), buffer)
        except STORAGE_ERRORS as error:
            raise unreadable(url, error) from error

    def _fs(self, url: str) -> tuple[Any, str]:
        if "://" not in url:  # fsspec would take `a::b.tar` for a chain of file systems
            return _LOCAL, str(_LOCAL._strip_protocol(url))
        fs, path = url_to_fs(url, **self.storage_options)
        if not isinstance(fs, LocalFileSystem):
            self._refuse_masked(url)
        return fs, path

    def _refuse_masked(self, url: str) -> None:
        """A storage would answer a mask with an error that says nothing of what is missing."""
        place = masked_place(self.storage_options, "dataset.storage_options")
        if place is not None:
            raise InputError(given_again(place))
        if masked_place(url) is not None:
            raise InputError(
                f"{url}: was given with a signature or password, which a run's folder does not keep; give the URLs "
                "again with dataset.shards=..."
            )

    def _existing(self, parent: str, urls: list[str]) -> Iterator[str]:
        fs, path = self._fs(parent)
        if isinstance(fs, LocalFileSystem):
            names = set(os.listdir(path)) if os.path.isdir(path) else set()
            return (url for url in urls if os.path.basename(url) in names)
        if len(urls) == 1 or _HTTP.match(parent):
            return (url for url in urls if fs.exists(self._fs(url)[1]))
        listed = self._listed(parent)
        return (url for url in urls if url in listed)

    def _listed(self, parent: str) -> dict[str, FileInfo]:
        fs, path = self._fs(parent)
        try:
            return {info.url: info for info in (_remote(parent, entry) for entry in fs.ls(path, detail=True))}
        except FileNotFoundError:
            return {}


def passes(error: Exception) -> bool:
    """Whether another try may succeed; what is no OSError is a client's word for a connection that failed."""
    if isinstance(error, aiohttp.ClientResponseError):
        return error.status in (408, 429) or error.status >= 500
    return is_transient(error) or not isinstance(error, OSError)


def unreadable(url: str, error: BaseException) -> ShardUnreadable:
    """The one line for a shard that the storage does not give."""
    moved = ", or say where it is now with dataset.moved='{OLD_FOLDER: NEW_FOLDER}'," * isinstance(
        error, FileNotFoundError
    )
    what = f"{masked_url(url)}: cannot be read ({one_line(error)})"
    return ShardUnreadable(f"{what}; check that it is there{moved} and start again")


class _Guarded(io.RawIOBase):
    """An fsspec file that raises ShardUnreadable in place of the storage's own errors, those that pass tried again.

    A file of unknown size is a stream, which cannot go on after an error.
    """

    def __init__(self, url: str, file: Any) -> None:
        self._url = url
        self._file = file
        self._goes_on = getattr(file, "size", None) is not None
        self._patience = PATIENCE if self._goes_on else Patience(total=0)
        self._read: Callable[[Any], int] = getattr(file, "readinto", None) or partial(_copied, file)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def tell(self) -> int:
        return int(self._file.tell())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        start = self._file.tell() if self._goes_on else None

        def read() -> int:
            if start is not None and self._file.tell() != start:
                self._file.seek(start)  # a try that failed halfway has moved on
            return int(self._read(buffer))

        try:
            return attempt(read, self._patience, passes, STORAGE_ERRORS)
        except STORAGE_ERRORS as error:
            raise unreadable(self._url, error) from error

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _copied(file: Any, buffer: Any) -> int:
    """As `readinto`, of a file that has none."""
    data = file.read(len(buffer))
    buffer[: len(data)] = data
    return len(data)


def _like(url: str, path: str) -> str:
    """The URL of `path`, which was found through `url`: same scheme, same chain of file systems."""
    scheme = _SCHEME.match(url)
    if scheme is None or _HTTP.match(path):
        return path
    _, chained, rest = url[scheme.end() :].partition("::")
    return f"{scheme[0]}{path}{chained}{rest}"


def folder_of(url: str) -> str:
    """The folder of a canonical `url`."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return url.rpartition("/")[0] or ("/" if url.startswith("/") else "")
    start = scheme.end()
    path, chained, rest = url[start:].partition("::")
    return f"{url[:start]}{path.rpartition('/')[0] or ('/' if path.startswith('/') else '')}{chained}{rest}"


def _crowded(urls: Sequence[str]) -> set[str]:
    """Remote folders that hold more than one of `urls`, so that one listing beats a request for each."""
    seen: dict[str, int] = defaultdict(int)
    for url in urls:
        if _SCHEME.match(url) and not _HTTP.match(url):
            seen[folder_of(url)] += 1
    return {parent for parent, count in seen.items() if count > 1}


def _local(path: str) -> FileInfo:
    return _from_stat(path, os.stat(path))


def _from_stat(path: str, status: os.stat_result) -> FileInfo:
    return FileInfo(path, status.st_size, f"{status.st_size}-{status.st_mtime_ns}", stat.S_ISDIR(status.st_mode))


def _remote(like: str, info: Mapping[str, Any]) -> FileInfo:
    url = _like(like, str(info["name"]).rstrip("/"))
    return FileInfo(url, info.get("size"), _remote_version(info), info.get("type") == "directory")


def _remote_version(info: Mapping[str, Any]) -> str | None:
    tag = next((str(info[name]).strip('"') for name in _CONTENT_TAGS if info.get(name)), None)
    time = next((str(info[name]) for name in _TIMES if info.get(name)), None)
    size = info.get("size")
    if tag is None and time is None:
        return None if size is None else str(size)
    return tag or f"{size}-{time}"


class _Walk:
    """All files below a folder of this machine."""

    def __init__(self, folder: str, note: Note) -> None:
        self._folder = folder
        self._note = note

    def files(self) -> Iterator[FileInfo]:
        return self._below(self._folder, frozenset(), linked=False)

    def _below(self, folder: str, above: frozenset[tuple[int, int]], *, linked: bool) -> Iterator[FileInfo]:
        """Follows links to folders, but not back to a folder it is inside of; `linked` says that one led here."""
        status = os.stat(folder)
        here = (status.st_dev, status.st_ino)
        if here in above:
            return
        with os.scandir(folder) as found:
            entries = list(found)
        if {entry.name for entry in entries}.issuperset(RUN_FILES):
            _left_out(folder)
            return
        for entry in entries:
            reason = _why_no_input(entry)
            if reason is not None:
                self._note(reason, os.path.relpath(entry.path, self._folder))
            elif entry.is_dir():
                yield from self._below(entry.path, above | {here}, linked=linked or entry.is_symlink())
            else:
                target = os.path.realpath(entry.path) if linked or entry.is_symlink() else None
                yield replace(_from_stat(entry.path, entry.stat()), target=target)


def _why_no_input(entry: os.DirEntry[str]) -> str | None:
    """Why something in a folder is passed over; None for files and folders."""
    if entry.name.startswith("."):
        return why_hidden(os.fsencode(entry.name))
    try:
        kind = stat.S_IFMT(entry.stat().st_mode)
    except FileNotFoundError:
        return DANGLING
    except OSError:
        if entry.is_symlink():  # links in a circle, or to where nobody may look
            return DANGLING
        raise
    return None if kind in (stat.S_IFREG, stat.S_IFDIR) else SPECIAL


def _is_run(folder: str) -> bool:
    """Whether a folder of this machine is a run's; its output is no input, wherever it lies. Says so."""
    found = all(Path(folder, name).exists() for name in RUN_FILES)
    if found:
        _left_out(folder)
    return found


def _outside_runs(found: Sequence[str], pattern: str) -> list[str]:
    """What a glob over any depth has found, without what lies in runs' folders below its fixed part."""
    base = re.split(r"[*?[]", pattern)[0].rpartition("/")[0]
    known: dict[str, bool] = {}

    def inside(folder: str) -> bool:
        if len(folder) <= len(base):
            return False
        if folder not in known:
            known[folder] = inside(folder.rpartition("/")[0]) or _is_run(folder)
        return known[folder]

    return [path for path in found if not inside(path.rpartition("/")[0])]


def _runs_among(names: Collection[str]) -> tuple[str, ...]:
    """Beginnings of the names that lie in runs' folders, by the marks of a run among the names."""
    marked = [{name.rpartition("/")[0] for name in names if name.rpartition("/")[2] == mark} for mark in RUN_FILES]
    runs = sorted(set.intersection(*marked))
    for run in runs:
        _left_out(run)
    return tuple(f"{run}/" for run in runs)


@cache
def _left_out(folder: str) -> None:
    """Say so, once for each; processes that only read what was planned keep silent."""
    if parent_process() is None:
        complain(f"{folder}: is the folder of a run, and no input; left out (name the splits in it if you mean them)")


def leaves(info: FileInfo, folder: str) -> bool:
    """Whether a link inside `folder` leads out of it to this file."""
    return info.target is not None and not is_inside(info.target, folder)


def is_inside(path: str, folder: str) -> bool:
    """Whether a real path lies in what belongs to a folder: below it, or among the blobs of a cache of the hub.

    There a folder is `REPO/snapshots/REVISION/...`, all of whose files are links into `REPO/blobs`.
    """
    real = os.path.realpath(folder)
    repo, found, _ = real.partition("/snapshots/")
    blobs = f"{repo}/blobs"
    return _is_below(path, real) or (bool(found) and os.path.isdir(blobs) and _is_below(path, blobs))


def _is_below(path: str, folder: str) -> bool:
    return os.path.commonpath((path, folder)) == folder


def relative(url: str, folder: str) -> str:
    """The path of `url` inside `folder`."""
    return _path(url).removeprefix(_path(folder)).lstrip("/")


def file_name(url: str) -> str:
    """The last name of a path or URL, without query or chain."""
    return _path(url).rstrip("/").rpartition("/")[2]


def _path(url: str) -> str:
    scheme = _SCHEME.match(url)
    return url if scheme is None else re.split(r"::|[?#]", url[scheme.end() :])[0]
