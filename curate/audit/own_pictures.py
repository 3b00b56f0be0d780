"""Pictures that somebody else generated: which prompt each has, by its sidecar or by a manifest.

A sidecar is what the data set's source makes of KEY.json, of KEY.txt (a prompt alone), or of the columns of Parquet:
`prompt` (or `caption`), `prompt_id` (or `id`), `prompt_set` (or `set`), `number`, `seed`, `generator`, `revision`. A
manifest is a table with a row for each picture, found by `file_name`; it outranks sidecars. Prompts without an id are
known by their text.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from curate.audit.outcomes import Asked, decided, meta_of, outcome, table_of
from curate.audit.prompts import Prompt, prompt_of, text_in, whole_number_in
from curate.audit.row_files import read_rows
from curate.core.errors import InputError
from curate.runs.run_folder import Run

_MANIFEST = ("file_name", "prompt", "id", "set", "negative_prompt", "seed", "number", "refused", "failed")
_SAME = {"prompt_id": "id", "prompt_set": "set"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What is known of a picture's prompt.

    Attributes:
        number: which picture of its prompt it is; None counts them.
        refused, failed: why there is no picture.
        generator, revision: of what made it; "" where nothing says so.
    """

    prompt: Prompt
    number: int | None
    refused: str | None = None
    failed: str | None = None
    generator: str = ""
    revision: str = ""


def read_manifest(path: Path) -> dict[str, Described]:
    """What a manifest says, by file name.

    Raises:
        InputError: it does not read, or a row is wrong; says where.
    """
    found: dict[str, Described] = {}
    for where, fields in read_rows(path, _MANIFEST, ("file_name", "prompt")):
        name = text_in(fields, "file_name", where)
        if name is None:
            raise InputError(f"{where}: no `file_name`")
        if name in found:
            raise InputError(f"{where}: {name} is there twice")
        found[name] = _described(fields, path.stem, where)
    return found


def preset_of(path: str) -> str:
    """The data set that reads somebody's pictures."""
    place = Path(path)
    tables = (".tar", ".parquet", ".zip", ".arrow")
    inside = place.is_dir() and any(child.suffix in tables for child in place.iterdir())
    return "files" if inside or any(suffix in path for suffix in tables) else "folder"


def of_pictures(
    run: Run, policy: str, manifest: Mapping[str, Described], prompts: Sequence[Prompt], default: Asked
) -> pl.DataFrame:
    """The outcome of every picture, and of what a manifest names and nobody has.

    Args:
        run: that judged them.
        policy: under which.
        manifest: by file name; empty for none.
        prompts: of a prompt file, whose ids and sets hold where the text is the same; empty for none.
        default: generator and revision of pictures that say nothing of it.

    Raises:
        InputError: a picture has no prompt, or one that the prompt file does not have; says how to give it.
    """
    known = {prompt.text: prompt for prompt in prompts}
    numbers: defaultdict[str, int] = defaultdict(int)
    left = dict(manifest)
    rows, homeless = [], []
    for row in decided(run, policy):
        described = _of_row(row, left, bool(manifest))
        if described is None:
            homeless.append(_file_of(row))
            continue
        rows.append(outcome(policy, _asked(described, known, numbers, default), row))
    if homeless:
        how = "put them into" if manifest else "give each a sidecar with `prompt`, or name a table with"
        raise InputError(f"{len(homeless)} pictures have no prompt, first {homeless[0]}: {how} generator.manifest=FILE")
    rows += [outcome(policy, _asked(one, known, numbers, default), None) for one in left.values()]
    return table_of(rows)


def _of_row(row: Mapping[str, object], left: dict[str, Described], has_manifest: bool) -> Described | None:
    if has_manifest:
        name = next((name for name in _names(row) if name in left), None)
        return None if name is None else left.pop(name)
    fields = meta_of(row)
    fields = {_SAME.get(name, name): value for name, value in fields.items()}
    fields.setdefault("prompt", fields.get("caption"))
    if not isinstance(fields["prompt"], str) or not fields["prompt"].strip():
        return None
    return _described(fields, "", f"the sidecar of {row['key']}")


def _names(row: Mapping[str, object]) -> Iterable[str]:
    """What a manifest may call a picture."""
    key, file = str(row["key"]), _file_of(row)
    return (file, key, Path(file).name, Path(key).name)


def _file_of(row: Mapping[str, object]) -> str:
    """Of a file or a member its name: the key and, where that is known, the suffix."""
    return ".".join(str(row[name]) for name in ("key", "image_name") if row[name])


def _described(fields: Mapping[str, Any], default_set: str, where: str) -> Described:
    text = str(fields.get("prompt") or "")
    return Described(
        prompt=prompt_of(fields, _id_of(text), default_set, where),
        number=whole_number_in(fields, "number", where),
        refused=text_in(fields, "refused", where),
        failed=text_in(fields, "failed", where),
        generator=text_in(fields, "generator", where) or "",
        revision=text_in(fields, "revision", where) or "",
    )


def _id_of(text: str) -> str:
    return f"text-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _asked(described: Described, known: Mapping[str, Prompt], numbers: defaultdict[str, int], default: Asked) -> Asked:
    prompt = described.prompt
    if known:
        if prompt.text not in known:
            raise InputError(f"prompt {prompt.text[:80]!r}: is of a picture, and not in the prompt file; add it there")
        prompt = known[prompt.text]
    number = described.number
    if number is None:
        number = numbers[prompt.id]
        numbers[prompt.id] += 1
    return Asked(
        prompt_id=prompt.id,
        prompt_set=prompt.set,
        prompt=prompt.text,
        negative_prompt=prompt.negative,
        number=number,
        seed=described.prompt.seed,
        generator=described.generator or default.generator,
        revision=described.revision or default.revision,
        refused=described.refused,
        failed=described.failed,
    )
