"""Draws as members of WebDataset tars: KEY.png and KEY.json, or KEY.json alone where there is no picture.

A tar is put together from pieces, each a batch's members without the tar's end. A piece is kept as soon as its batch is
made, so that a kill costs the batch in the making, and a tar appears whole or not at all. Headers are constant: equal
pictures make equal files.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence

from curate.audit.draws import Draw
from curate.audit.generator import Failed, Generated, Identity, Made, Refused
from curate.images.formats import sniff_format
from curate.storage.store import Store

IMAGES = "images"
"""Folder of the tars."""
REFUSED, FAILED = "refused", "failed"
"""Fields of a sidecar whose draw has no picture: why."""

_PIECES = "work/pieces"


def shard_name(shard: int) -> str:
    """Name of a tar in the audit's folder."""
    return f"{IMAGES}/{shard:05d}.tar"


def finished_shards(store: Store) -> set[int]:
    """Shards whose tar is there."""
    return {int(name[:-4]) for name in store.names(IMAGES) if name.endswith(".tar") and name[:-4].isdecimal()}


def is_made(store: Store, shard: int, number: int) -> bool:
    """Whether a batch of a shard is there, as a piece or in the tar."""
    return store.exists(f"{_folder(shard)}/{number:05d}") or store.exists(shard_name(shard))


def keep_piece(store: Store, shard: int, number: int, data: bytes) -> None:
    """Keep a batch; where another process was first, its pictures stay."""
    store.create(f"{_folder(shard)}/{number:05d}", data)


def drop_piece(store: Store, shard: int, number: int) -> None:
    """Forget a batch, which is then made again."""
    store.delete(f"{_folder(shard)}/{number:05d}")


def publish(store: Store, shard: int, pieces: int) -> None:
    """Make a tar of its pieces, all of them kept, and drop these."""
    scratch = store.scratch()
    names = [f"{_folder(shard)}/{number:05d}" for number in range(pieces)]
    try:
        with scratch.open("wb") as file:
            for name in names:
                file.write(store.read(name))
            file.write(_end(file.tell()))
        store.publish(scratch, shard_name(shard))
    except FileNotFoundError:  # of a piece, which another process has made a tar of meanwhile
        scratch.unlink(missing_ok=True)
        if not store.exists(shard_name(shard)):
            raise
    for name in names:
        store.delete(name)


def members_of(draws: Sequence[Draw], made: Sequence[Made], identity: Identity) -> bytes:
    """A batch as members of a tar."""
    return b"".join(_sample(draw, one, identity) for draw, one in zip(draws, made, strict=True))


def sidecar(draw: Draw, identity: Identity) -> dict[str, object]:
    """What is said of a draw, whatever came of it."""
    negative = {} if draw.prompt.negative is None else {"negative_prompt": draw.prompt.negative}
    return {
        "prompt": draw.prompt.text,
        **negative,
        "prompt_id": draw.prompt.id,
        "prompt_set": draw.prompt.set,
        "number": draw.number,
        "seed": draw.seed,
        "generator": identity.generator,
        "revision": identity.revision,
    }


def _sample(draw: Draw, made: Made, identity: Identity) -> bytes:
    fields = sidecar(draw, identity)
    match made:
        case Generated(image=image, fields=more):
            picture = _member(f"{draw.key}.{sniff_format(image) or 'bin'}", image)
            return picture + _member(f"{draw.key}.json", _json(dict(more) | fields))
        case Refused(reason=reason):
            return _member(f"{draw.key}.json", _json(fields | {REFUSED: reason}))
        case Failed(reason=reason):
            return _member(f"{draw.key}.json", _json(fields | {FAILED: reason}))


def _json(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _member(name: str, data: bytes) -> bytes:
    header = tarfile.TarInfo(name)
    header.size = len(data)
    out = io.BytesIO()
    out.write(header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
    out.write(data)
    out.write(b"\0" * (-len(data) % tarfile.BLOCKSIZE))
    return out.getvalue()


def _end(size: int) -> bytes:
    """Two blocks of zeros, and as many as fill the record."""
    padding = -size % tarfile.RECORDSIZE
    return b"\0" * (padding if padding >= 2 * tarfile.BLOCKSIZE else padding + tarfile.RECORDSIZE)


def _folder(shard: int) -> str:
    return f"{_PIECES}/{shard:05d}"
