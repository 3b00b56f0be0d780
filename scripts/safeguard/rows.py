"""The rows of the data: what `tune data` and `evaluate` read, and what is said of each picture's origin."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from drawings.origins import ORIGINS

from safeguard.labels import Label
from safeguard.split import UNSEEN_STYLES, object_group

ROWS_PER_GROUP = 64
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
TEXTS = (
    "key",
    "rating",
    "category",
    "split",
    "template",
    "object",
    "object_group",
    "kind",
    "role",
    "source",
    "style",
    "author",
    "license",
)
SCHEMA = pa.schema([("image", IMAGE), *((name, pa.string()) for name in TEXTS), ("unseen_style", pa.bool_())])


def key_of(label: Label) -> str:
    """Unique and the same in every build, without characters that have a meaning elsewhere."""
    stem = label.id.rsplit(".", 1)[0] if "/" in label.id else label.id
    return f"{label.source}-{stem.replace('/', '-')}".replace(".", "_").replace(" ", "_")


def row_of(label: Label, split: str, picture: bytes) -> dict[str, Any]:
    """One row of `SCHEMA`."""
    key, origin = key_of(label), ORIGINS[label.source]
    return {
        "image": {"bytes": picture, "path": f"{key}.jpg"},
        "key": key,
        "rating": label.rating,
        "category": label.touches,
        "split": split,
        "template": template_of(label),
        "object": label.object,
        "object_group": object_group(label.object),
        "kind": label.kind,
        "role": label.rule.role,
        "source": label.source,
        "style": origin.style,
        "author": label.author,
        "license": origin.license,
        "unseen_style": label.source in UNSEEN_STYLES,
    }


def template_of(label: Label) -> str:
    """What a rationale says, with {reason} for a sentence on the rating under the policy that is asked with."""
    clause = f", {label.rule.clause}" if label.rule.clause else ""
    return f"The picture shows {label.object}{clause}. {{reason}}"


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """A Parquet file that `datasets` loads with its images."""
    table = pa.Table.from_pylist(list(rows), SCHEMA)
    features = {field.name: _feature(field.type) for field in SCHEMA}
    described = json.dumps({"info": {"features": features}}, sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({"huggingface": described}), path, row_group_size=ROWS_PER_GROUP)


def attribution(labels: Iterable[Label]) -> list[list[str]]:
    """Lines of ATTRIBUTION.csv, a heading first."""
    lines = [["key", "object", "author", "source", "page", "drawing", "license", "license_url", "changes"]]
    for label in labels:
        o = ORIGINS[label.source]
        origin = [o.name, o.page, f"{o.url}{label.id}", o.license, o.license_url]
        lines.append([key_of(label), label.object, label.author, *origin, CHANGES])
    return lines


CHANGES = "rastered, scaled, silhouettes coloured, put on a background and encoded"


def _feature(kind: pa.DataType) -> dict[str, str]:
    if pa.types.is_struct(kind):
        return {"_type": "Image"}
    return {"_type": "Value", "dtype": str(kind)}
