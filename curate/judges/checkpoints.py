"""Where a model's checkpoint is, whether it is the one that was named, and what tells it from all others."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from curate.console.phases import phase
from curate.core.errors import InputError
from curate.core.package_files import packaged
from curate.judges.hub_download import told_to
from curate.judges.weight_digests import file_digests
from curate.settings.model import ModelSettings

BUILTIN = "builtin"

ARCHITECTURES: Mapping[str, str] = {
    "llava_onevision": "LlavaOnevisionForConditionalGeneration",
    "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
    "llava": "LlavaForConditionalGeneration",
    "llava_next": "LlavaNextForConditionalGeneration",
}
"""`ModelSettings.architecture` to the class that a checkpoint's config.json names."""

SMALL = 256 * 2**20
"""Weights of a folder of up to this many bytes are hashed with its other files; beyond it each by itself, once."""

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+")
_FILES = ["*.json", "*.jinja", "*.txt", "*.model", "*.safetensors"]
_WEIGHTS = (".safetensors", ".bin", ".pt", ".gguf")
_BLOCK = 2**20
_Files = tuple[tuple[Path, int, int], ...]
"""Each with its size and time of change."""
_SAMPLES = 8


def resolve_model_path(model: ModelSettings) -> Path:
    """Folder of the checkpoint that `model.path` names; downloads it from the hub where it is not cached.

    Raises:
        InputError: there is none, it may not be had, or it is of another architecture; says what to do.
    """
    folder = _folder(model)
    if not (folder / "config.json").is_file():
        raise InputError(f"model.path: {folder} holds no config.json; name the folder of a checkpoint")
    if model.adapter is not None and not (Path(model.adapter) / "adapter_config.json").is_file():
        raise InputError(
            f"model.adapter: {model.adapter} holds no adapter_config.json; name the folder of a LoRA adapter"
        )
    _check_architecture(model, folder)
    return folder


def is_here(model: ModelSettings) -> bool:
    """Whether the checkpoint is on this machine, so that nothing has to be downloaded; nobody is asked."""
    if not _is_hub(model):
        return True
    try:
        snapshot_download(model.path, revision=model.revision, allow_patterns=_FILES, local_files_only=True)
    except LocalEntryNotFoundError:
        return False
    return True


def model_identity(model: ModelSettings) -> dict[str, str]:
    """What the weights and all that goes with them are, for the fingerprint; independent of where the folder lies.

    From the hub the commit; of a folder a digest of its files.

    Raises:
        InputError: see `resolve_model_path`.
    """
    folder = resolve_model_path(model)
    identity = {"weights": folder.name} if _is_hub(model) else {"weights": _digest(folder)}
    if model.adapter is not None:
        identity["adapter"] = _digest(Path(model.adapter))
    return identity


def sampled_identity(model: ModelSettings) -> dict[str, str]:
    """What earlier versions took for the identity of weights of more than `SMALL` bytes, where that is another.

    They read sizes, headers and some blocks of each file only, so that a changed part of one could go unseen.

    Raises:
        InputError: see `resolve_model_path`.
    """
    folders = {} if _is_hub(model) else {"weights": resolve_model_path(model)}
    if model.adapter is not None:
        folders["adapter"] = Path(model.adapter)
    large = {name: folder for name, folder in folders.items() if _is_large(_files_of(folder))}
    return {name: _digest_of(folder, _files_of(folder), sampled=True) for name, folder in large.items()}


def _is_hub(model: ModelSettings) -> bool:
    return (
        model.path != BUILTIN and not Path(model.path).expanduser().exists() and bool(_HUB_NAME.fullmatch(model.path))
    )


def _folder(model: ModelSettings) -> Path:
    if model.path == BUILTIN:
        return Path(packaged("data/safeguard"))
    if _is_hub(model):
        return _from_hub(model.path, model.revision)
    folder = Path(model.path).expanduser()
    if not folder.is_dir():
        raise InputError(f"model.path: there is no folder {model.path}; name a checkpoint's folder or a hub name")
    return folder


@cache
def _from_hub(name: str, revision: str | None) -> Path:
    """The snapshot's folder, whose name is the commit; one commit for as long as this process lives."""
    try:
        with phase(f"fetching {name} from the hub") as fetching:
            bars = told_to(fetching)
            return Path(snapshot_download(name, revision=revision, allow_patterns=_FILES, tqdm_class=bars))
    except GatedRepoError as error:
        raise InputError(
            f"model.path: {name} is gated; accept its licence at https://huggingface.co/{name} "
            "and log in with `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise InputError(f"model.revision: {name} has no revision {revision!r}; see its page on the hub") from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"model.path: {name} is neither a folder nor on the hub; mend the name, or log in with `hf auth login`"
        ) from error
    except LocalEntryNotFoundError as error:
        raise InputError(
            f"model.path: {name} is not in the local cache and the hub cannot be reached; run `hf download {name}` "
            "where there is a network, or give a folder with model.path=FOLDER"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"model.path: {name} cannot be downloaded ({reason}); try again, or give a folder") from error


def checkpoint_dtype(folder: Path) -> str:
    """The number format that a checkpoint says its weights are in; float32 where it says nothing."""
    config = _config(folder)
    parts = (config, config.get("text_config") or {}, config.get("vision_config") or {})
    return next((str(d) for part in parts if (d := part.get("dtype") or part.get("torch_dtype"))), "float32")


def is_quantized(folder: Path) -> bool:
    """Whether a checkpoint's weights are stored in fewer bits than they are computed with."""
    return any(name in _config(folder) for name in ("quantization_config", "compression_config"))


def weight_bytes(folder: Path) -> int:
    """Bytes of a checkpoint's weights as they are stored."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in _WEIGHTS)


def _config(folder: Path) -> Any:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


def _check_architecture(model: ModelSettings, folder: Path) -> None:
    try:
        found = _config(folder)["architectures"][0]
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"model.path: {folder}/config.json names no architecture; is it a checkpoint's?") from error
    if model.architecture != "auto" and found != ARCHITECTURES[model.architecture]:
        raise InputError(f"model.architecture: {model.path} is a {found}, not {model.architecture}; {_advice(found)}")


def _advice(found: str) -> str:
    fitting = next((name for name, known in ARCHITECTURES.items() if known == found), None)
    if fitting:
        return f"set model.architecture={fitting}"
    return "take a checkpoint in the format of transformers (LlavaGuard's names end in -hf)"


def _digest(folder: Path) -> str:
    return _digest_of(folder, _files_of(folder))


def _files_of(folder: Path) -> _Files:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not _hidden(p.relative_to(folder)))
    return tuple((p, (s := p.stat()).st_size, s.st_mtime_ns) for p in files)


def _is_large(files: _Files) -> bool:
    return sum(size for path, size, _ in files if path.suffix in _WEIGHTS) > SMALL


@cache
def _digest_of(folder: Path, files: _Files, *, sampled: bool = False) -> str:
    """Digest of files, each with its size and time of change: what did not change is read once in a process."""
    large = [path for path, _, _ in files if path.suffix in _WEIGHTS] if _is_large(files) else []
    known = {} if sampled else dict(zip(large, file_digests(large), strict=True))
    digest = hashlib.sha256()
    for path, size, _ in files:
        digest.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode())
        if path in known:
            digest.update(known[path].encode())
            continue
        for block in _samples(path) if path in large else _blocks(path):
            digest.update(block)
    return digest.hexdigest()


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _blocks(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _samples(path: Path) -> Iterable[bytes]:
    """The first block, where the header is, and others spread evenly up to the last."""
    size = path.stat().st_size
    with path.open("rb") as file:
        for i in range(_SAMPLES):
            file.seek(max(0, size - _BLOCK) * i // (_SAMPLES - 1))
            yield file.read(_BLOCK)
