"""audit.yaml: what an audit is, so that nobody goes on with another in its folder, and that others can repeat it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from curate.audit.draws import Draws
from curate.audit.generator import Identity
from curate.audit.prompts import Prompt, digest_of, to_table
from curate.console.output import complain
from curate.core.errors import InputError
from curate.core.secrets import masked_url
from curate.core.version import __version__
from curate.core.yaml_files import load_yaml
from curate.settings.generator import GeneratorSettings
from curate.settings.secrets import masked_fields
from curate.storage.store import Store

RECORD = "audit.yaml"
PROMPTS = "prompts.parquet"
LAYOUT = 1
"""Version of the record and the tables."""

_SAME = ("prompts", "images", "seed", "samples_per_shard", "generator")
"""Parts of a record that an audit may not go on without."""

_PLACES = frozenset({"file", "path", "pictures", "revision_asked_for"})
"""Where something lies, which may be elsewhere next time; digests tell what it is."""

Record = dict[str, Any]


def read_record(store: Store) -> Record | None:
    """The record of the audit in a folder, None where there is none.

    Raises:
        InputError: it is of a later version.
    """
    try:
        record: Record = load_yaml(store.read(RECORD))
    except FileNotFoundError:
        return None
    if record.get("layout", 0) > LAYOUT:
        raise InputError(f"{store.uri(RECORD)}: is of a later version of curate; use that one")
    return record


def audit_in(place: str, store: Store) -> Record:
    """The record of the audit in the folder that a person calls `place`.

    Raises:
        InputError: there is none.
    """
    record = read_record(store)
    if record is None:
        raise InputError(f"{place}: holds no audit (no {RECORD}); name the output.dir of one")
    return record


def generating(draws: Draws, settings: GeneratorSettings, identity: Identity, source: str) -> Record:
    """The record of an audit that generates, before anything is made."""
    return {
        "layout": LAYOUT,
        "curate": __version__,
        "prompts": {"file": source, "number": len(draws.prompts), "sha256": digest_of(draws.prompts)},
        "images": draws.images,
        "seed": draws.seed,
        "samples_per_shard": draws.samples_per_shard,
        "generator": described(settings, identity),
    }


def described(settings: GeneratorSettings, identity: Identity) -> dict[str, Any]:
    """A generator as the record has it."""
    place = {"path": settings.path, "url": settings.url, "revision_asked_for": settings.revision}
    given = {name: value for name, value in place.items() if value is not None}
    fields = {"kind": settings.name, "name": identity.generator, "revision": identity.revision, **given}
    plain: dict[str, Any] = masked_fields({"generator": {**fields, **identity.parts}})["generator"]
    return plain


def begin(store: Store, record: Record, prompts: Sequence[Prompt]) -> None:
    """Begin an audit in its folder, or make sure that it is this one.

    Raises:
        InputError: another one was begun there; names what differs.
    """
    if not store.create(RECORD, dumped(record)):
        known = read_record(store) or {}
        for name in _SAME:
            _refuse_other(name, known.get(name), record.get(name), store)
    if not prompts:
        return
    out = io.BytesIO()
    pq.write_table(to_table(prompts), out, compression="zstd")
    store.create(PROMPTS, out.getvalue())


def begin_with_pictures(
    store: Store, settings: GeneratorSettings, places: Sequence[str], prompts: Sequence[Prompt], source: Path | None
) -> None:
    """As `begin`, for pictures that somebody else made, which lie at `places`."""
    identity = Identity(generator=named_after(settings, None), revision=settings.revision or "")
    described_so = {**described(settings, identity), "pictures": [masked_url(place) for place in places]}
    record: Record = {"layout": LAYOUT, "curate": __version__, "generator": described_so}
    if source is not None:
        record["prompts"] = {"file": str(source), "number": len(prompts), "sha256": digest_of(prompts)}
    if settings.manifest is not None:
        record["manifest"] = {"file": settings.manifest, "sha256": _sha256(Path(settings.manifest))}
    begin(store, record, prompts)


def identity_in(record: Record) -> Identity:
    """The generator of a record."""
    generator = record["generator"]
    return Identity(generator=generator["name"], revision=generator["revision"])


def told_versions(store: Store, now: dict[str, str]) -> None:
    """Record what pictures are made with; say where an audit goes on with something else."""
    known = (read_record(store) or {}).get("made_with", [])
    if now in known:
        return
    if known:
        changed = [
            f"{name} {known[-1].get(name)}, now {value}" for name, value in now.items() if known[-1].get(name) != value
        ]
        complain(
            f"the generator goes on with other versions ({'; '.join(changed)}); pictures may differ in their last bits"
        )
    add(store, made_with=[*known, now])


def add(store: Store, **parts: Any) -> None:
    """Set parts of the record."""
    record = read_record(store) or {}
    changed = record | parts
    if changed != record:
        store.replace(RECORD, dumped(changed))


def dumped(record: Mapping[str, Any]) -> bytes:
    """A record as YAML."""
    return yaml.safe_dump(dict(record), sort_keys=False, allow_unicode=True, width=120).encode("utf-8")


def digests(store: Store, names: Sequence[str]) -> dict[str, str]:
    """SHA-256 of files, by name."""
    found = {}
    for name in names:
        with store.open(name) as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def versions(*packages: str) -> dict[str, str]:
    """Versions of those packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def named_after(settings: GeneratorSettings, prompts: Path | None) -> str:
    """What an audit's folder is called where nobody says."""
    model = settings.api_model or settings.path or settings.name
    words = [Path(model.rstrip("/")).name, *([] if prompts is None else [prompts.stem])]
    return "-".join("".join(c if c.isalnum() or c in "._-" else "_" for c in word) for word in words)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_other(name: str, known: Any, now: Any, store: Store) -> None:
    if isinstance(known, dict) and isinstance(now, dict):
        known, now = ({k: v for k, v in part.items() if k not in _PLACES} for part in (known, now))
    if known == now:
        return
    differing = name
    if isinstance(known, dict) and isinstance(now, dict):
        key = next(k for k in {**known, **now} if known.get(k) != now.get(k))
        differing, known, now = f"{name}.{key}", known.get(key), now.get(key)
    raise InputError(
        f"{store.uri('')}: an audit with another {differing} was begun here ({known}, now {now}); "
        "give this one an output.dir of its own"
    )
