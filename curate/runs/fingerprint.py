"""The fingerprint of a run under one policy: a hash over all that can change a row, and over nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from curate.core.types import Question
from curate.judges.row_policies import RowQuestion
from curate.runs.annotation_table import SCHEMA_VERSION
from curate.settings.dataset import DatasetSettings
from curate.settings.engine import EngineSettings
from curate.settings.model import ModelSettings

_DATASET = ("image", "max_bytes", "max_pixels", "reduced_decoding")
"""Settings of the data set that can change a row."""

_LATER = ("outside_links", "frames", "suffix_from")
"""More of them, which are no part where they have their default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """A hash and the parts it was made of, kept so that a refusal can name the difference.

    Attributes:
        unsettled: the same as runs recorded it before `model.dtype` was settled, where "auto" meant this format; None
            where it meant another, or nothing.
    """

    digest: str
    parts: Mapping[str, Any]
    unsettled: Fingerprint | None = None

    @property
    def judge(self) -> str:
        """Hash of who judged, whatever was asked: model, decoding and engine; sixteen hexadecimal digits."""
        return self._part("model.", "engine", "schema")

    @property
    def judges(self) -> frozenset[str]:
        """`judge`, and what it was called before."""
        return frozenset(f.judge for f in (self, self.unsettled) if f)

    @property
    def digests(self) -> frozenset[str]:
        """`digest`, and what it was before: rows under either are what this one gives."""
        return frozenset(f.digest for f in (self, self.unsettled) if f)

    @property
    def asked(self) -> str:
        """Hash of the policy, however long the rationale; sixteen hexadecimal digits."""
        return self._part("policy.text", "policy.categories", "policy.violable", "policy.column", "policy.named")

    def difference(self, other: Mapping[str, Any]) -> list[str]:
        """Names of the parts in which `other` differs, with both values where they are short."""
        return [_change(name, other.get(name), self.parts.get(name)) for name in self.differs_in(other)]

    def differs_in(self, other: Mapping[str, Any]) -> list[str]:
        """Names of the parts in which `other` differs."""
        return [name for name in sorted(set(self.parts) | set(other)) if other.get(name) != self.parts.get(name)]

    def _part(self, *beginnings: str) -> str:
        return _digest({n: v for n, v in self.parts.items() if n.startswith(beginnings)})[:16]


def fingerprint(
    asked: Question | RowQuestion,
    model: ModelSettings,
    identity: Mapping[str, str],
    engine: EngineSettings,
    dataset: DatasetSettings,
    *,
    own_dtype: str | None = None,
) -> Fingerprint:
    """Fingerprint of judging `dataset`'s images with `model` when this is `asked`.

    Args:
        asked: carries the policy text, or where it comes from, and the rationale mode.
        model: dtype, layout, image budget, decoding.
        identity: which weights they are (`curate.judges.checkpoints.model_identity`).
        engine: only which engine it is; how it is run changes nothing but numerics.
        dataset: only which image of a sample is judged, and how it is decoded.
        own_dtype: format of the checkpoint's weights, which `model.dtype=auto` once stood for.
    """
    parts = {
        **{f"model.{name}": value for name, value in identity.items()},
        **{f"model.{name}": getattr(model, name) for name in ("layout", "dtype", "quantization", "max_model_len")},
        **{f"model.{name}": getattr(model, name) for name in ("max_pixels", "processor", "hf_overrides")},
        "model.decoding": model.decoding.model_dump(),
        "engine": engine.name,
        **{f"dataset.{name}": getattr(dataset, name) for name in _DATASET},
        **{f"policy.{name}": value for name, value in asdict(asked).items()},
        "schema": SCHEMA_VERSION,
    }
    # Runs made before these could be set have none of them.
    parts |= {f"dataset.{name}": getattr(dataset, name) for name in _LATER if not _is_default(dataset, name)}
    parts = json.loads(json.dumps(parts))
    before = parts | {"model.dtype": "auto"} if model.dtype == own_dtype else None
    return Fingerprint(
        digest=_digest(parts), parts=parts, unsettled=before and Fingerprint(digest=_digest(before), parts=before)
    )


def _is_default(dataset: DatasetSettings, name: str) -> bool:
    return bool(getattr(dataset, name) == DatasetSettings.model_fields[name].default)


def _digest(parts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _change(name: str, before: object, now: object) -> str:
    both = f"{name} ({before!r} before, {now!r} now)"
    return both if len(both) < 100 else name
