"""The four archives that the drawings come from: pinned by version and SHA-256, unpacked in memory, never installed."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class ArchiveMismatch(Exception):
    """A fetched archive is not the one that the sample was built from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """One package archive.

    Attributes:
        file: the name its package client saves it under.
        sha256: hex digest of that file.
        fetch: command that saves it into the working folder and runs nothing from it.
        prefix: folder inside the archive that the manifest's paths are relative to.
    """

    file: str
    sha256: str
    fetch: tuple[str, ...]
    prefix: str


def _npm(package: str, file: str, sha256: str) -> Archive:
    return Archive(file=file, sha256=sha256, fetch=("npm", "pack", "--ignore-scripts", package), prefix="package/")


ARCHIVES = {
    "openclipart": Archive(
        file="openclipart-svg_1%3a0.18+dfsg-19_all.deb",
        sha256="989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
        fetch=("apt-get", "download", "openclipart-svg=1:0.18+dfsg-19"),
        prefix="./usr/share/openclipart/svg/",
    ),
    "openmoji": _npm(
        "openmoji@17.0.0",
        "openmoji-17.0.0.tgz",
        "55ee7d13485dec86e9f38c1f3a645a13382d33ff97c0cd845ee824b0aef45e68",
    ),
    "fluent-emoji-3d": _npm(
        "@lobehub/fluent-emoji-3d@1.1.0",
        "lobehub-fluent-emoji-3d-1.1.0.tgz",
        "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
    ),
    "game-icons": _npm(
        "@iconify-json/game-icons@1.2.4",
        "iconify-json-game-icons-1.2.4.tgz",
        "f5758efb34d91c4f50b941f355f16ee73938625e5996fabc25171288404460a4",
    ),
}


def fetch_missing(folder: Path) -> None:
    """Fetch into `folder` the archives that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for archive in ARCHIVES.values():
        if not (folder / archive.file).exists():
            subprocess.run(archive.fetch, cwd=folder, check=True)


def read_members(folder: Path, source: str, paths: Iterable[str]) -> dict[str, bytes]:
    """Contents of `paths` (relative to the archive's prefix) of the archive of `source`.

    Raises:
        ArchiveMismatch: the archive's SHA-256 is another one.
        KeyError: a path is not in the archive.
    """
    archive = ARCHIVES[source]
    data = (folder / archive.file).read_bytes()
    if hashlib.sha256(data).hexdigest() != archive.sha256:
        raise ArchiveMismatch(f"{folder / archive.file}: not the archive with SHA-256 {archive.sha256}; delete it")
    wanted = {archive.prefix + path: path for path in paths}
    with tarfile.open(fileobj=io.BytesIO(_as_tar(folder / archive.file, data))) as tar:
        found = {wanted[m.name]: _content(tar, m) for m in tar if m.name in wanted}
    missing = sorted(set(wanted.values()) - set(found))
    if missing:
        raise KeyError(f"{archive.file}: no {', '.join(missing)}")
    return found


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None, f"{member.name} is no regular file"
    return file.read()


def _as_tar(path: Path, data: bytes) -> bytes:
    """A Debian package holds its files in an inner tar."""
    if path.suffix != ".deb":
        return data
    return subprocess.run(("dpkg-deb", "--fsys-tarfile", path), check=True, capture_output=True).stdout
