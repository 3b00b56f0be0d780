"""Brace ranges, globs and folders, expanded to the shards they stand for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from braceexpand import braceexpand

from curate.core.errors import InputError
from curate.core.secrets import one_line
from curate.sources.base import is_named_as_picture
from curate.sources.files import STORAGE_ERRORS, FileInfo, Files, file_name
from curate.sources.kinds import by_name
from curate.sources.registry import BESIDE_IMAGES, SUFFIXES, format_of_name


def expand(
    patterns: Sequence[str],
    storage_options: Mapping[str, Any] | None = None,
    format: str = "auto",  # noqa: A002
) -> list[str]:
    """The shards that patterns stand for, in the order given; what a glob or folder holds is sorted by name.

    A pattern is a path or any fsspec URL, with brace ranges `{00000..00127}`, brace lists `{a,b}` and globs. A folder
    stands for the shards in it and below: its tars if there are any, for Parquet beside tars is img2dataset's metadata;
    else its Parquet files; else it is itself a shard of images. The same holds for what a glob matches.

    Args:
        patterns: as a person writes them.
        storage_options: for fsspec.
        format: restricts what is looked for in folders and globs; "folder" leaves folders as they are.

    Raises:
        InputError: nothing is given, a brace range has a gap, a pattern matches nothing, or a shard comes twice.
    """
    if not patterns:
        raise InputError("dataset.shards is empty: give paths, globs or brace ranges, e.g. '/data/{00000..00127}.tar'")
    _refuse_commands(patterns)
    files = Files(storage_options or {})
    try:
        urls = list(_expanded(patterns, files, format))
    except InputError:
        raise
    except (*STORAGE_ERRORS, ImportError, ValueError) as error:
        raise InputError(f"dataset.shards: cannot be listed: {one_line(error)}") from error
    refuse_repeats(urls, "dataset.shards: the same shard comes twice")
    _refuse_undecodable(urls)
    return urls


def refuse_repeats(names: Iterable[str], complaint: str) -> None:
    """Raise InputError with `complaint` and the first of `names` that comes twice."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        more = f" (and {len(repeated) - 1} more)" if len(repeated) > 1 else ""
        raise InputError(f"{complaint}: {repeated[0]}{more}; name it once")


def _expanded(patterns: Sequence[str], files: Files, kind: str) -> Iterator[str]:
    """Checks what is there for all patterns at once, then expands each."""
    candidates = {pattern: [files.canonical(url) for url in _braces(pattern)] for pattern in patterns}
    plain = (url for urls in candidates.values() for url in urls if not files.is_pattern(url))
    there = files.existing(plain)
    for pattern in patterns:
        yield from _found(pattern, candidates[pattern], there, files, kind)


def _found(pattern: str, urls: Sequence[str], there: set[str], files: Files, kind: str) -> Iterator[str]:
    missing: list[str] = []
    for url in urls:
        shards = _shards(url, there, files, kind)
        yield from shards
        if not shards:
            missing.append(url)
    if missing == list(urls):
        raise InputError(f"dataset.shards: nothing to read at {pattern}; {_hint(urls[0], there, files)}")
    if missing:
        raise InputError(
            f"dataset.shards: {len(missing)} of the {len(urls)} shards of {pattern} are missing, first {missing[0]}; "
            f"fetch them, or leave them out of the pattern"
        )


def _shards(url: str, there: set[str], files: Files, kind: str) -> list[str]:
    if files.is_pattern(url):
        return _choose(files.glob(url), files, kind)
    if url not in there:
        return []
    if format_of_name(url) is None and files.info(url).is_folder:
        return _inside(url, files, kind)
    return [url]


def _inside(folder: str, files: Files, kind: str) -> list[str]:
    """The shards a folder stands for."""
    if kind == "folder":
        return [folder]
    found = files.walk(folder)
    chosen = _named(found, kind)
    may_be_shard = kind == "auto" and (not chosen or format_of_name(chosen[0]) in BESIDE_IMAGES)
    return [folder] if may_be_shard and any(_is_image(info.url) for info in found) else chosen


def _choose(found: Sequence[FileInfo], files: Files, kind: str) -> list[str]:
    """The shards among what a glob matches; folders count only where no file is a shard."""
    chosen = _named([info for info in found if not info.is_folder], kind)
    return chosen or [url for info in found if info.is_folder for url in _inside(info.url, files, kind)]


def _named(found: Iterable[FileInfo], kind: str) -> list[str]:
    """The files whose names tell the format `kind`; for "auto", the first format in SUFFIXES that is there."""
    by_format: dict[str | None, list[str]] = defaultdict(list)
    for info in found:
        by_format[format_of_name(info.url)].append(info.url)
    wanted = [kind] if kind != "auto" else list(SUFFIXES)
    return next((by_format[name] for name in wanted if by_format[name]), [])


def _is_image(url: str) -> bool:
    _, dot, suffix = file_name(url).rpartition(".")
    return bool(dot) and is_named_as_picture(suffix)


def _braces(pattern: str) -> list[str]:
    try:
        return list(braceexpand(pattern, escape=False)) if "{" in pattern else [pattern]
    except ValueError as error:
        raise InputError(
            f"dataset.shards: unbalanced braces in {pattern}; write {{00000..00127}} or {{a,b}}"
        ) from error


def _hint(url: str, there: set[str], files: Files) -> str:
    if files.is_pattern(url):
        return by_name(url) or "check the path and that the glob matches tars or Parquet files"
    if url not in there:
        return "check the path"
    formats = sorted({kind for info in files.walk(url) if (kind := format_of_name(info.url)) is not None})
    if formats:
        return f"there are files of the format {' and '.join(formats)}: set dataset.format=auto"
    said = (by_name(info.url) for info in files.walk(url))
    return next((f"what lies there is {what}" for what in said if what), "check what lies there")


def _refuse_commands(patterns: Iterable[str]) -> None:
    for pattern in patterns:
        if pattern.startswith("pipe:"):
            raise InputError(f"dataset.shards: {pattern}: {by_name(pattern)}")


def _refuse_undecodable(urls: Iterable[str]) -> None:
    for url in urls:
        try:
            url.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"dataset.shards: the name {url!a} is not valid UTF-8; rename it") from error
