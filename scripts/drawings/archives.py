"""The archives that drawings come from: pinned by version and SHA-256, unpacked in memory, never installed."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


class ArchiveMismatch(Exception):
    """A fetched archive is not the one that was reviewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """One package archive.

    Attributes:
        file: the name its package client saves it under.
        sha256: hex digest of that file.
        fetch: command that saves it into the working folder and runs nothing from it.
        prefix: folder inside the archive that the drawings' paths are relative to.
    """

    file: str
    sha256: str
    fetch: tuple[str, ...]
    prefix: str


def _npm(package: str, file: str, sha256: str) -> Archive:
    return Archive(file=file, sha256=sha256, fetch=("npm", "pack", "--ignore-scripts", package), prefix="package/")


def _icons(name: str, version: str, sha256: str) -> Archive:
    return _npm(f"@iconify-json/{name}@{version}", f"iconify-json-{name}-{version}.tgz", sha256)


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
    "game-icons": _icons("game-icons", "1.2.4", "f5758efb34d91c4f50b941f355f16ee73938625e5996fabc25171288404460a4"),
    "noto": _icons("noto", "1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"),
    "twemoji": _icons("twemoji", "1.2.5", "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7"),
    "fluent-emoji-flat": _icons(
        "fluent-emoji-flat", "1.2.6", "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175"
    ),
    "emojione": _icons("emojione", "1.2.3", "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e"),
    "fxemoji": _icons("fxemoji", "1.2.2", "f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef"),
    "mdi": _icons("mdi", "1.2.3", "ddd817a7213f91de51147943915c0cda8c8b818a53c92b5c068cfa9883c6d7ac"),
    "fa6-solid": _icons("fa6-solid", "1.2.4", "082c792eaad4751626438773fa7360cb23f495b687cf2dd01b2b0fccc7f6af8b"),
}


def fetch_missing(folder: Path, sources: Iterable[str]) -> None:
    """Fetch into `folder` the archives of `sources` that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for archive in (ARCHIVES[source] for source in sources):
        if not (folder / archive.file).exists():
            subprocess.run(archive.fetch, cwd=folder, check=True)


def read_members(folder: Path, source: str, paths: Iterable[str]) -> dict[str, bytes]:
    """Contents of `paths` (relative to the archive's prefix) of the archive of `source`.

    Raises:
        ArchiveMismatch: the archive's SHA-256 is another one.
        KeyError: a path is not in the archive.
    """
    wanted = set(paths)
    found = dict(iterate_members(folder, source, wanted.__contains__))
    if wanted - set(found):
        raise KeyError(f"{ARCHIVES[source].file}: no {', '.join(sorted(wanted - set(found)))}")
    return found


def iterate_members(folder: Path, source: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Path (relative to the archive's prefix) and content of the files whose path is `wanted`, in archive order.

    Raises:
        ArchiveMismatch: the archive's SHA-256 is another one.
    """
    archive = ARCHIVES[source]
    data = (folder / archive.file).read_bytes()
    if hashlib.sha256(data).hexdigest() != archive.sha256:
        raise ArchiveMismatch(f"{folder / archive.file}: not the archive with SHA-256 {archive.sha256}; delete it")
    with tarfile.open(fileobj=io.BytesIO(_as_tar(folder / archive.file, data))) as tar:
        for member in tar:
            path = member.name.removeprefix(archive.prefix)
            if not member.isdir() and path != member.name and wanted(path):
                yield path, _content(tar, member)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None, f"{member.name} is no regular file"
    return file.read()


def _as_tar(path: Path, data: bytes) -> bytes:
    """A Debian package holds its files in an inner tar."""
    if path.suffix != ".deb":
        return data
    return subprocess.run(("dpkg-deb", "--fsys-tarfile", path), check=True, capture_output=True).stdout
