"""Real pictures for the benchmarks that judge: those of the packaged sample, as tars, in memory, or as files."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import webdataset
from PIL import Image

from curate.cli.hydra_config import compose_settings
from curate.images.decoding import ImageRefused, decode
from curate.runs.plan import make_plan
from curate.sources.registry import source_for


@dataclass(frozen=True)
class Picture:
    """One picture: key, the original bytes, and what every engine sees of them (upright RGB)."""

    key: str
    data: bytes
    image: Image.Image


def sample_pictures(count: int | None = None) -> list[Picture]:
    """The first different pictures of the packaged sample that can be decoded, `count` of them or all."""
    dataset = compose_settings(["+dataset=laion_subset"]).dataset
    found: dict[bytes, Picture] = {}
    for shard in make_plan(dataset).shards:
        for sample in source_for(shard.format).samples(shard, dataset):
            if len(found) == count:
                return list(found.values())
            if sample.image is not None and sample.failure is None and sample.image not in found:
                picture = _picture(len(found), sample.image, dataset.max_bytes, dataset.max_pixels)
                found |= {sample.image: picture} if picture else {}
    return list(found.values())


def scaled_pictures(count: int, width: int, height: int) -> list[Picture]:
    """The first `count` of `sample_pictures` as JPEGs of one size, in pixels."""
    scaled = []
    for picture in sample_pictures(count):
        image, out = picture.image.resize((width, height), Image.Resampling.LANCZOS), io.BytesIO()
        image.save(out, "JPEG", quality=90)
        scaled.append(Picture(key=picture.key, data=out.getvalue(), image=image))
    return scaled


def write_tars(folder: Path, pictures: Sequence[Picture], shards: int = 2) -> str:
    """Tars of `pictures`, and the pattern that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    each = -(-len(pictures) // shards)
    for number in range(shards):
        with webdataset.TarWriter(str(folder / f"{number:05d}.tar"), mtime=0) as writer:
            for picture in pictures[number * each : number * each + each]:
                writer.write({"__key__": picture.key, "jpg": picture.data, "txt": f"picture {picture.key}"})
    return f"{folder}/*.tar"


def write_files(folder: Path, pictures: Iterable[Picture]) -> list[Path]:
    """One file each, named by key."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for picture in pictures:
        paths.append(folder / f"{picture.key}.jpg")
        paths[-1].write_bytes(picture.data)
    return paths


def _picture(number: int, data: bytes, max_bytes: int, max_pixels: int) -> Picture | None:
    try:
        decoded = decode(data, max_bytes=max_bytes, max_pixels=max_pixels)
    except ImageRefused:
        return None
    return Picture(key=f"{number:09d}", data=data, image=decoded.image)
