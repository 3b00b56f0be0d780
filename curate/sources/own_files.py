"""Files that a data set names by paths: those below its own folder, which are pictures, and nothing else.

What a path says is data. It must not make this machine read its files, open addresses or publish what was never meant
to be: a path that leads out of the folder, also by a link, or into what is hidden, is none; nor is a file that does not
begin like a picture.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass

from curate.images.formats import looks_like_a_picture
from curate.settings.dataset import DatasetSettings
from curate.sources.base import MOST_BYTES
from curate.sources.files import Files, is_inside

_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*:(?://|:)|[^/]*::")
_BEGINNING = 64


class OutsideDataset(Exception):
    """A row names a file that does not belong to its data set."""


class NoPicture(Exception):
    """A row names a file that is no picture, or none that can be held."""


def is_address(text: str) -> bool:
    """Whether a text is a URL, which is never opened."""
    return _ADDRESS.match(text) is not None


@dataclass(frozen=True, slots=True)
class OwnFiles:
    """What lies below a data set's own folder.

    Attributes:
        folder: canonical, of this machine or a URL.
        dataset: its credentials, and whether links may lead out.
    """

    folder: str
    dataset: DatasetSettings

    def read(self, path: str) -> bytes:
        """The bytes of a file named relative to the folder, or absolutely where it lies below it.

        Raises:
            OutsideDataset, NoPicture: it is not for us to read.
            FileNotFoundError: it is not there.
            ShardUnreadable: the storage fails.
        """
        files = Files(self.dataset.storage_options)
        url = self._below(path)
        if "://" not in url:
            self._check_local(url)
        elif not files.existing([url]):
            raise FileNotFoundError(path)
        with files.open(url, _BEGINNING) as file:
            beginning = file.read(_BEGINNING)
            if not looks_like_a_picture(beginning):
                raise NoPicture("it does not begin like a picture")
            rest = file.read(MOST_BYTES + 1 - len(beginning))
        if len(beginning) + len(rest) > MOST_BYTES:
            raise NoPicture(f"it has more than {MOST_BYTES} bytes")
        return beginning + rest

    def _below(self, path: str) -> str:
        folder = self.folder.rstrip("/")
        inside = path.removeprefix(f"{folder}/")
        parts = inside.split("/")
        if is_address(inside) or inside.startswith("/") or "\0" in path:
            raise OutsideDataset
        if any(part.startswith(".") and part != "." for part in parts):  # out of it, or hidden
            raise OutsideDataset
        return "/".join((folder, *(part for part in parts if part not in ("", "."))))

    def _check_local(self, path: str) -> None:
        status = os.stat(path)  # noqa: PTH116 - paths are one kind of URL here
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(path)
        if not self.dataset.outside_links and not is_inside(os.path.realpath(path), self.folder):
            raise OutsideDataset
