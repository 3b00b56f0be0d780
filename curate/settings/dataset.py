"""Settings of a data set."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from curate.images.frames import DEFAULT_FRAMES, FRAME_NAMES, MOST, Frames
from curate.settings.group import Group, Shown, _listed


class DatasetSettings(Group):
    """Where the samples are and how they are laid out."""

    name: Annotated[str, Shown(instead="the preset's own, or what the shards are called")]
    """What the data are called; `output.dir` is named after it. Where it is null, the shards' folder names it."""
    shards: list[str] = Field(min_length=1)
    """Paths, globs, brace ranges or fsspec URLs; relative ones are relative to the working folder."""
    format: str = "auto"
    """How they are read: webdataset, parquet, arrow, zip, manifest, folder, hub, or auto, which goes by names."""
    image: str | tuple[str, ...] | None = None
    """For several images in a sample, the member suffixes or columns that are judged; null judges all there are."""
    frames: Annotated[Frames, Shown(kind="all, a number, or a list of first, middle, last")] = DEFAULT_FRAMES
    """Of an animation, the frames that are judged: those named, so many evenly spread, or all. What is left of it keeps
    it out of clean."""
    suffix_from: Literal["first_dot", "last_dot"] = "first_dot"
    """Where a tar member's key ends: webdataset's rule, or the last dot, for names like photo.12.jpg."""
    key: str | None = None
    """Column that holds the key (Parquet, hub); null takes one named `key`, else numbers the samples."""
    row_names: Literal["full", "numbers"] | None = None
    """Of Parquet and hub, the keys of rows that bring none: full is SHARD/000000012, with the names of classes in meta;
    numbers is 000000012, with their numbers; null takes what the run began with, which is full in a new one."""
    caption: str | None = None
    """Name of the sidecar field with the caption, for the card and the report."""
    url: str | None = None
    """Name of the sidecar field with the link, for the card and the report."""
    label: str | None = None
    """Name of the sidecar field that holds the source's own class, for the ledger of removals."""
    policy_column: str | None = None
    """Name of the sidecar field that holds each row's own policy: its text, or the name of one."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """Judge the first so many samples only."""
    max_bytes: Annotated[int, Field(gt=0)] = 64 * 2**20
    """An image with more bytes is not decoded."""
    max_pixels: Annotated[int, Field(gt=0)] = 100_000_000
    """An image with more pixels is not decoded."""
    reduced_decoding: bool = False
    """Decode JPEGs no larger than the model's image processor needs them."""
    outside_links: bool = False
    """Read what links in a folder of images lead to outside of it; else such an image is `missing_image`."""
    samples_per_shard: Annotated[int, Field(gt=0)] = 1000
    """How many files of a folder make one shard."""
    options: dict[str, Any] = {}
    """Passed on to the source (`datasets.load_dataset` arguments: name, split, ...)."""
    storage_options: dict[str, Any] = {}
    """Passed on to fsspec. Credentials among them are not written into a run's folder."""
    moved: dict[str, str] = {}
    """Where data of a run that was begun lie now, by where they lay: {/old/folder: /new/folder}."""

    _one_is_a_list = field_validator("shards", mode="before")(_listed)

    @field_validator("image", mode="before")
    @classmethod
    def _plainly(cls, value: object) -> object:
        """One spelling for each choice, since it is part of the fingerprint."""
        named = tuple(value) if isinstance(value, list | tuple) else value
        if named in ((), "all", ("all",)):
            return None
        return named[0] if isinstance(named, tuple) and len(named) == 1 else named

    @field_validator("frames", mode="before")
    @classmethod
    def _frames(cls, value: object) -> object:
        named = tuple(value) if isinstance(value, list | tuple) else value
        if named in FRAME_NAMES:
            named = (named,)
        if isinstance(named, tuple) and set(named) <= set(FRAME_NAMES) and named:
            return tuple(name for name in FRAME_NAMES if name in named)
        if named == "all" or (isinstance(named, int) and not isinstance(named, bool) and 0 < named <= MOST):
            return named
        raise ValueError(f"takes all, a number from 1 to {MOST}, or a list of {', '.join(FRAME_NAMES)}")

    @property
    def images(self) -> tuple[str, ...] | None:
        """The suffixes or columns that are judged; None for all."""
        return (self.image,) if isinstance(self.image, str) else self.image
