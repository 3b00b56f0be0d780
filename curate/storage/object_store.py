"""A run's folder in an object store: S3 and what speaks its protocol, Google Cloud Storage, Azure.

An object appears whole or not at all, so nothing here needs a temporary name; create-if-absent is the store's own
conditional write. The client never repeats a request: a conditional write whose answer was lost would be refused the
second time, and its own object taken for another's. `curate.storage.retrying_store` repeats, and knows that it did.
"""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotSupportedError, UnauthenticatedError
from obstore.store import from_url

from curate.storage.credentials import aws_credentials
from curate.storage.seekable_reader import SeekableReader

SINGLE_PUT = 64 * 2**20
"""Files up to here are one conditional request, whose bytes are held in memory; larger ones are uploaded in parts."""

_TIMEOUT = "60s"
_READ_AHEAD = 2**20
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"\(code: (\w+)\)")
_TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_ERRNO = {401: errno.EACCES, 403: errno.EACCES, 404: errno.ENOENT, 501: errno.ENOTSUP, 507: errno.ENOSPC}


class ObjectStore:
    """A prefix in a bucket.

    A file above `SINGLE_PUT` is uploaded under a name of its own and then copied server-side, if the name is free: at
    most 5 GiB on S3. Whoever dies between leaves work/uploads/.

    Args:
        client: an obstore client whose root is the run's folder, without retries of its own.
        url: of the same, for messages.
    """

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url.rstrip("/")

    def read(self, name: str) -> bytes:
        """See `Store`."""
        with _os_errors():
            return bytes(obstore.get(self._client, name).bytes())

    def open(self, name: str) -> io.BufferedIOBase:
        """See `Store`."""
        with _os_errors():
            size = obstore.head(self._client, name)["size"]
        return io.BufferedReader(_Reader(self._client, name, size), _READ_AHEAD)

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """See `Store`."""
        path = self.scratch()
        try:
            with self.open(name) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target, _READ_AHEAD)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def exists(self, name: str) -> bool:
        """See `Store`."""
        try:
            with _os_errors():
                obstore.head(self._client, name)
        except FileNotFoundError:
            return False
        return True

    def create(self, name: str, data: bytes) -> bool:
        """See `Store`."""
        return self._create(name, data)

    def replace(self, name: str, data: bytes) -> None:
        """See `Store`."""
        with _os_errors():
            obstore.put(self._client, name, data, mode="overwrite", use_multipart=False)

    def publish(self, scratch: Path, name: str) -> bool:
        """See `Store`."""
        small = scratch.stat().st_size <= SINGLE_PUT
        ours = self._create(name, scratch) if small else self._create_in_parts(name, scratch)
        scratch.unlink()
        return ours

    def delete(self, name: str) -> None:
        """See `Store`."""
        try:
            with _os_errors():
                obstore.delete(self._client, name)
        except FileNotFoundError:
            return

    def names(self, folder: str) -> list[str]:
        """See `Store`."""
        # Some servers and consoles keep an empty object to stand for a folder; it is listed as the folder itself.
        paths = (entry["path"] for entry in self._listed(folder)["objects"])
        return sorted(_last(path) for path in paths if path != folder)

    def folders(self, folder: str) -> list[str]:
        """See `Store`."""
        return sorted(_last(prefix) for prefix in self._listed(folder)["common_prefixes"])

    def scratch(self) -> Path:
        """See `Store`."""
        return Path(self._scratch.name) / secrets.token_hex(8)

    def uri(self, name: str) -> str:
        """See `Store`."""
        return f"{self._url}/{name}"

    def arbitrates(self) -> bool:
        """See `Store`. Some servers ignore the condition, others refuse it; found out by creating one name twice."""
        return self._is_conditional

    @cached_property
    def _is_conditional(self) -> bool:
        name = f"work/probe-{secrets.token_hex(8)}"
        try:
            return [self._put_if_absent(name, b"") for _ in range(2)] == [True, False]
        except OSError as error:
            if error.errno != errno.ENOTSUP:
                raise
            return False
        finally:
            self.delete(name)

    @cached_property
    def _scratch(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="curate-scratch-")

    def _create(self, name: str, content: bytes | Path) -> bool:
        if self._is_conditional:
            return self._put_if_absent(name, content)
        return not self.exists(name) and self._put(name, content)

    def _put(self, name: str, content: bytes | Path) -> bool:
        with _os_errors():
            obstore.put(self._client, name, content)
        return True

    def _put_if_absent(self, name: str, content: bytes | Path) -> bool:
        with _os_errors():
            try:
                obstore.put(self._client, name, content, mode="create")
            except AlreadyExistsError as error:
                if _status(error) == 409:  # Another creator is under way, and may fail.
                    raise OSError(errno.EAGAIN, _first_line(error)) from error
                return False
        return True

    def _create_in_parts(self, name: str, scratch: Path) -> bool:
        if not self._is_conditional:
            return self._create(name, scratch)
        upload = f"work/uploads/{secrets.token_hex(8)}"
        self._put(upload, scratch)
        try:
            with _os_errors():
                obstore.copy(self._client, upload, name, overwrite=False)
        except FileExistsError:
            return False
        finally:
            self.delete(upload)
        return True

    def _listed(self, folder: str) -> Mapping[str, Any]:
        with _os_errors():
            listed: Mapping[str, Any] = obstore.list_with_delimiter(self._client, folder or None)
        return listed


def open_object_store(url: str) -> ObjectStore:
    """The run's folder at `url`, e.g. s3://bucket/runs/one; endpoint, region and credentials are the environment's.

    Raises:
        InputError: there are no credentials.
        ValueError: no URL of a bucket.
    """
    insecure = os.environ.get("AWS_ENDPOINT_URL_S3", os.environ.get("AWS_ENDPOINT_URL", "")).startswith("http://")
    options: dict[str, Any] = aws_credentials(url) if url.startswith("s3") else {}
    client = from_url(
        url,
        client_options={"allow_http": insecure, "timeout": _TIMEOUT, "connect_timeout": "10s"},
        retry_config={"max_retries": 0},
        **options,
    )
    return ObjectStore(client, url)


class _Reader(SeekableReader):
    """Ranges of one object, each a request of its own."""

    def __init__(self, client: Any, name: str, size: int) -> None:
        super().__init__()
        self._client = client
        self._name = name
        self._size = size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        with _os_errors():
            data = obstore.get_range(self._client, self._name, start=self._at, end=end)
        buffer[: len(data)] = bytes(data)
        self._at += len(data)
        return len(data)


@contextmanager
def _os_errors() -> Iterator[None]:
    """The client's errors as the OSErrors that `Store` promises; what was not found is one already."""
    try:
        yield
    except AlreadyExistsError as error:
        raise FileExistsError(errno.EEXIST, _first_line(error)) from error
    except BaseError as error:
        raise _os_error(error) from error


def _os_error(error: BaseError) -> OSError:
    text = _first_line(error)
    status = _status(error)
    if status is not None:
        return OSError(errno.EAGAIN if status in _TRANSIENT else _ERRNO.get(status, errno.EINVAL), text)
    if code := _CODE.search(text):  # A deletion is a batch, which succeeds although its one item does not.
        return OSError(errno.EACCES if code[1] == "AccessDenied" else errno.EAGAIN, text)
    if isinstance(error, NotSupportedError):
        return OSError(errno.ENOTSUP, text)
    if isinstance(error, UnauthenticatedError):  # Fresh credentials could not be had just now.
        return OSError(errno.EAGAIN, text)
    return ConnectionError(text) if "HTTP error" in text else OSError(errno.EINVAL, text)


def _status(error: BaseError) -> int | None:
    """The HTTP status: the client tells it in the message alone."""
    found = _STATUS.search(_first_line(error))
    return int(found[1]) if found else None


def _first_line(error: BaseError) -> str:
    """The message without the client's dump of its own structures."""
    return str(error).partition("\n\nDebug source")[0][:400]


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
