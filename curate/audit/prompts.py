"""Prompt files: JSON lines, CSV, TSV, Parquet, or plain text with a prompt a line.

Columns are `prompt` and perhaps `id`, `set`, `negative_prompt`, `seed`; others stay unread. A prompt without an id is
known by its number in the file, from 1; one without a set belongs to the set that is called as the file is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.audit.row_files import listed, read_rows
from curate.core.errors import InputError

LONGEST = 100_000
"""Characters of a prompt."""
LARGEST_SEED = 2**63 - 2**32
"""Whatever picture of a prompt it is, its seed is one that PyTorch and JSON hold exactly."""

_SHOWN = 80
"""Characters of a wrong value."""
_COLUMNS = ("prompt", "id", "set", "negative_prompt", "seed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a generator is asked for.

    Attributes:
        id: unique among the prompts of an audit; two audits are paired by it.
        text: the prompt.
        set: the prompt set it is of.
        negative: what the picture should not show, None for nothing.
        seed: that of its first picture; the next ones follow. None derives them from the audit's.
    """

    id: str
    text: str
    set: str
    negative: str | None = None
    seed: int | None = None


def read_prompts(path: Path) -> list[Prompt]:
    """The prompts of a file, in its order.

    Raises:
        InputError: there is no such file, it does not read, holds no prompt, or one is wrong; says where.
    """
    rows = enumerate(read_rows(path, _COLUMNS, ("prompt",)), 1)
    prompts = [prompt_of(fields, str(number), path.stem, where) for number, (where, fields) in rows]
    if not prompts:
        raise InputError(f"{path}: holds no prompt")
    _refuse_doubles(prompts, path)
    return prompts


def digest_of(prompts: Sequence[Prompt]) -> str:
    """SHA-256 of prompts, whatever file they stood in."""
    lines = (json.dumps(astuple(prompt), ensure_ascii=False) + "\n" for prompt in prompts)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def to_table(prompts: Sequence[Prompt]) -> pa.Table:
    """Prompts as a table that `read_prompts` reads from Parquet."""
    columns = {
        "id": pa.array([p.id for p in prompts], pa.string()),
        "set": pa.array([p.set for p in prompts], pa.string()),
        "prompt": pa.array([p.text for p in prompts], pa.string()),
        "negative_prompt": pa.array([p.negative for p in prompts], pa.string()),
        "seed": pa.array([p.seed for p in prompts], pa.int64()),
    }
    return pa.table(columns)


def prompt_of(fields: Mapping[str, Any], default_id: str, default_set: str, where: str) -> Prompt:
    """The prompt that a row holds, or that a sidecar names.

    Raises:
        InputError: it is none; begins with `where`.
    """
    text = text_in(fields, "prompt", where)
    if text is None:
        raise InputError(f"{where}: no `prompt`; it has {listed(fields)}")
    return Prompt(
        id=text_in(fields, "id", where) or default_id,
        text=text,
        set=text_in(fields, "set", where) or default_set,
        negative=text_in(fields, "negative_prompt", where),
        seed=whole_number_in(fields, "seed", where),
    )


def text_in(fields: Mapping[str, Any], name: str, where: str) -> str | None:
    """The text of a field; None for what is not there or empty.

    Raises:
        InputError: it is none; begins with `where`.
    """
    value = fields.get(name)
    if value is None or isinstance(value, str):
        text = value
    elif isinstance(value, int) and not isinstance(value, bool):
        text = str(value)
    else:
        raise InputError(f"{where}: `{name}` is {repr(value)[:_SHOWN]}; give a text")
    if text is not None and len(text) > LONGEST:
        raise InputError(f"{where}: `{name}` has {len(text)} characters, {LONGEST} at most")
    if text is not None and not _is_encodable(text):
        raise InputError(f"{where}: `{name}` holds half a character (a lone surrogate); mend it")
    return None if text is None or not text.strip() else text


def _is_encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def whole_number_in(fields: Mapping[str, Any], name: str, where: str) -> int | None:
    """The number of a field, from 0; None for what is not there or empty.

    Raises:
        InputError: it is none; begins with `where`.
    """
    value = fields.get(name)
    if value is None or value == "":
        return None
    try:
        number = int(value)
        if isinstance(value, bool) or (isinstance(value, float) and number != value):
            raise ValueError
        if not 0 <= number <= LARGEST_SEED:
            raise ValueError
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            f"{where}: `{name}` is {repr(value)[:_SHOWN]}; give a whole number from 0 to {LARGEST_SEED}"
        ) from error
    return number


def _refuse_doubles(prompts: Iterable[Prompt], path: Path) -> None:
    known: dict[str, int] = {}
    for number, prompt in enumerate(prompts, 1):
        if prompt.id in known:
            first = known[prompt.id]
            raise InputError(f"{path}: prompts {first} and {number} have one id, {prompt.id!r}; give each its own")
        known[prompt.id] = number
