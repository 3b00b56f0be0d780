"""Any text-to-image pipeline of diffusers.

Each picture has its own generator of noise, on the CPU, seeded with its seed: the noise is then the same on every
device and in every batch. The rest is arithmetic, whose last bits depend on the device, the versions and the batch;
kernels are told to be deterministic, so that the same again gives the same bytes.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import ImageStat
from PIL.Image import Image

from curate.audit.draws import Draw
from curate.audit.generator import Failed, Generated, Identity, Made, Refused, require
from curate.core.errors import InputError
from curate.images.encoding import encoded
from curate.judges.weight_digests import file_digests
from curate.settings.generator import GeneratorSettings

_INDEX = "model_index.json"
_ONE_COLOUR = "all of one colour, as where numbers overflow: try generator.dtype=bfloat16 or float32"
_HELD_BACK = "held back by the pipeline's own safety checker"


class DiffusersGenerator:
    """See `Generator`.

    Raises:
        InputError: a package is missing, or no model is named.
    """

    def __init__(self, settings: GeneratorSettings) -> None:
        require("diffusers", "diffusers", "torch", "transformers", "accelerate")
        if settings.path is None:
            raise InputError("generator.path: none was given; name a folder of diffusers, or a name on the hub")
        self._settings = settings
        self._path = settings.path

    def identity(self) -> Identity:
        """See `Generator`. Of the hub the commit; of a folder a digest of its files."""
        given = Path(self._path).expanduser()
        revision = _digest(self._folder) if given.exists() else self._folder.name
        chosen = ("width", "height", "steps", "guidance", "batch", "safety_checker", "dtype", "args")
        settings = self._settings.model_dump(mode="json", include=set(chosen))
        parts = {"pipeline": _index(self._folder).get("_class_name"), **settings}
        return Identity(
            generator=given.resolve().name if given.exists() else self._path, revision=revision, parts=parts
        )

    def generate(self, draws: Sequence[Draw]) -> list[Made]:
        """See `Generator`."""
        import torch

        named = self._arguments(draws)
        seeds = [torch.Generator("cpu").manual_seed(draw.seed) for draw in draws]
        try:
            output = self._pipe(generator=seeds, output_type="pil", **named)
        except (TypeError, ValueError) as error:
            why = str(error).splitlines()[0][:300]
            raise InputError(f"generator: {type(self._pipe).__name__} does not take this: {why}") from error
        held_back = getattr(output, "nsfw_content_detected", None) or [False] * len(draws)
        pictures = getattr(output, "images", None)
        if not isinstance(pictures, list) or len(pictures) != len(draws):
            raise InputError(f"generator.path: {type(self._pipe).__name__} gives no picture for each prompt")
        return [_made(picture, held) for picture, held in zip(pictures, held_back, strict=True)]

    def made_with(self) -> dict[str, str]:
        """See `Generator`."""
        import torch

        device = self._device
        name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
        packages = {package: version(package) for package in ("diffusers", "torch", "transformers", "pillow")}
        return {**packages, "device": name, "dtype": self._dtype}

    def _arguments(self, draws: Sequence[Draw]) -> dict[str, Any]:
        given = self._settings
        sizes = {"width": given.width, "height": given.height}
        steps = {"num_inference_steps": given.steps, "guidance_scale": given.guidance}
        given_so = {**sizes, **steps}
        named: dict[str, Any] = {name: value for name, value in given_so.items() if value is not None}
        if any(draw.prompt.negative for draw in draws):
            named["negative_prompt"] = [draw.prompt.negative or "" for draw in draws]
        named |= given.args
        taken = inspect.signature(self._pipe.__call__).parameters
        for name in ("prompt", *named):
            if name not in taken:
                pipeline = type(self._pipe).__name__
                raise InputError(f"generator: {pipeline} takes no `{name}`; leave it out, or take another pipeline")
        return {"prompt": [draw.prompt.text for draw in draws], **named}

    @cached_property
    def _folder(self) -> Path:
        given = Path(self._path).expanduser()
        folder = given if given.exists() else _from_hub(self._path, self._settings.revision)
        if not (folder / _INDEX).is_file():
            raise InputError(f"generator.path: {folder} holds no {_INDEX}; name the folder of a pipeline of diffusers")
        return folder

    @cached_property
    def _pipe(self) -> Any:
        import torch
        from diffusers import DiffusionPipeline
        from diffusers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA is first used
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False
        torch.set_num_threads(os.cpu_count() or 1)  # a process behind a pipe has one
        more: dict[str, Any] = {}
        if not self._settings.safety_checker and "safety_checker" in _index(self._folder):
            more = {"safety_checker": None, "requires_safety_checker": False}
        try:
            pipe = DiffusionPipeline.from_pretrained(self._folder, torch_dtype=getattr(torch, self._dtype), **more)
            pipe = pipe.to(self._device)
        except (OSError, ValueError, ImportError, AttributeError, RuntimeError) as error:
            why = " ".join(str(error).split())[:300]
            raise InputError(f"generator.path: {self._path} cannot be loaded ({why})") from error
        pipe.set_progress_bar_config(disable=True)
        return pipe

    @cached_property
    def _device(self) -> str:
        import torch

        if self._settings.device != "auto":
            return self._settings.device
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"

    @property
    def _dtype(self) -> str:
        if self._settings.dtype != "auto":
            return self._settings.dtype
        return "bfloat16" if self._device.startswith("cuda") else "float32"


def _made(picture: Image, held_back: Any) -> Made:
    """What came of a picture. One of a single colour shows nothing, and would count as safe."""
    if held_back:
        return Refused(reason=_HELD_BACK)
    if all(low == high for low, high in ImageStat.Stat(picture).extrema):
        return Failed(reason=_ONE_COLOUR)
    return Generated(image=encoded(picture))


def _from_hub(name: str, revision: str | None) -> Path:
    """The snapshot's folder, whose name is the commit."""
    from diffusers import DiffusionPipeline

    try:
        return Path(DiffusionPipeline.download(name, revision=revision))
    except (OSError, ValueError) as error:  # those of the hub are OSErrors
        why = " ".join(str(error).split())[:200]
        raise InputError(f"generator.path: {name} is no folder, and cannot be had from the hub ({why})") from error


def _index(folder: Path) -> Mapping[str, Any]:
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"generator.path: {folder / _INDEX} is no JSON ({error})") from error
    return index if isinstance(index, dict) else {}


def _digest(folder: Path) -> str:
    """Of all files that are not hidden, by their names."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and not _hidden(p.relative_to(folder))]
    digest = hashlib.sha256()
    for path, content in zip(files, file_digests(files), strict=True):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
