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
    "noto-v1": _icons("noto-v1", "1.2.5", "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37"),
    "emojione-v1": _icons("emojione-v1", "1.2.3", "6641d59d48a42823fdc2b84e7427e9f302944eb98d2c7d94d6e67c139e7b37b3"),
    "emojione-monotone": _icons(
        "emojione-monotone", "1.2.1", "40b90004bafb406b59266155ef9b7e1dd67bf2947fc8db8d07388776f4d0d04e"
    ),
    "fluent-emoji-high-contrast": _icons(
        "fluent-emoji-high-contrast", "1.2.6", "0b92d48c90d2200bd499e3cdd09a127ca6a8c8ddefd34c35eb5a1e4994012ae0"
    ),
    "streamline-emojis": _icons(
        "streamline-emojis", "1.2.4", "5dac87c876b322500989828c5823143e0100d78881627a2e4081a4b897cbfdbc"
    ),
    "icon-park": _icons("icon-park", "1.2.4", "c1a25212a31602aca93c3fa6f6b3288e89b9d7811afc132dfd78506e9d586b6f"),
    "ph": _icons("ph", "1.2.2", "e3a582a047d9829fc7e8842c660d8065e598d1b68bb58cb68e75a1f1e5a614cc"),
    "tabler": _icons("tabler", "1.2.41", "3bf99af156d28d05568aff524a35ed1ba238df640a7835a5e02e1f8e439685f6"),
    "hugeicons": _icons("hugeicons", "1.2.35", "cca09de913319938961fa0613a8eb42952f76c3ee13a7c68ef411091590c5d8b"),
    "carbon": _icons("carbon", "1.2.29", "8e3059dc90933875439c29ff36ae4370767bc02d8beca6923b1f2bb856cf327a"),
    "healthicons": _icons("healthicons", "1.2.13", "4c2552c45737788a6599da3c5b72610c7fb4e7f87075d401c56fa16d487d4caf"),
    "material-symbols": _icons(
        "material-symbols", "1.2.98", "142d50bf28e7db85362795be335ebc29dac611d73c404fc1e6fc5cc198e2b3d0"
    ),
    "lucide": _icons("lucide", "1.2.137", "e74db8c3a55fff55bc82de21268c4bced9f65ff10aacc0d5f3a395b0e93243c3"),
    "mingcute": _icons("mingcute", "1.2.8", "fec65f4430ac70a968e0e7fc7741e7064ba91e6da992b905f75c9d70c717bd2c"),
    "la": _icons("la", "1.2.1", "c35ad2a463fc30d3153a36dd614d4007a4f0ee7ea93705e035e1687d516d48c4"),
    "streamline": _icons("streamline", "1.2.5", "b64ca35d4d9fb1f6e730d260ab59e1ded79b23d9f156f8d2f458df6a7aa4cf53"),
    "mynaui": _icons("mynaui", "1.2.19", "ed3fbfc8e945b6dd918ff6648c79b366f81f95c72dc95449a51040f9029521c2"),
    "ion": _icons("ion", "1.2.7", "4103445dba712aa0f6d119706df00b2e821634f9ca96faac5ddbfb3bad65927f"),
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
