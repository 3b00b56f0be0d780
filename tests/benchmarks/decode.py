"""JPEG to upright RGB picture, one core: ours against Pillow alone and other decoders; then decoded and rendered.

Ours checks size and limits, reads the EXIF orientation, and flattens transparency, which the others leave to the
caller. What counts in the end is decode and render together, for the renderer takes a PIL image: an array has to be
made one, which is in the figures. A decoder would be worth a dependency from `WORTH` times our whole rate.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg

from curate.cli.hydra_config import compose_settings
from curate.engines.base import Renderer
from curate.engines.vllm_engine import VllmEngine
from curate.images.decoding import decode, sha256_of
from curate.judges.questions import questions_of
from curate.settings.run import Settings
from tests.benchmarks.contender_packages import load
from tests.benchmarks.measuring import Ratio, Result, alternate, photograph

SIZES = {"640 x 480": (640, 480, 40), "2000 x 1500": (2000, 1500, 10)}
"""Width, height, and how many pictures."""

REDUCED = "curate, dataset.reduced_decoding"
WORTH = 1.3
TOLERANCE = 8
"""Two decoders may differ by so much in a pixel's value: the standard leaves rounding and up-sampling to them."""

Decoder = Callable[[bytes], Image.Image]


def run(folder: Path) -> Result:
    """Every decoder on pictures of two sizes, alone and followed by the safeguard's own rendering."""
    torch.set_num_threads(1)
    settings = compose_settings(["+dataset=laion_subset", f"output.dir={folder}/run"])
    renderer = VllmEngine(settings.model, settings.engine).renderer_factory()()
    render = _rendering(settings, renderer)
    result = Result(name="decode", unit="images/s", checked=f"pixels differ by at most {TOLERANCE} from Pillow's")
    decoders = _decoders(settings, result)
    for size, (width, height, count) in SIZES.items():
        pictures = [photograph(seed, width, height) for seed in range(count)]
        _check(pictures[0], decoders)
        # Decoded smaller it has other pixels, which tests.benchmarks.reduction judges.
        compared = decoders | {REDUCED: _reduced(settings, renderer)}
        alone = {f"{name}, {size}": _all(decoder, pictures) for name, decoder in compared.items()}
        whole = {
            f"{name} and render, {size}": _all(lambda data, decoder=decoder: render(decoder(data)), pictures)
            for name, decoder in compared.items()
        }
        alternate(alone | whole, count, result)
        for name in islice(compared, 1, None):
            ratio = result.ratio(f"{name} and render, {size}", f"curate and render, {size}")
            result.ratios[f"{name} to curate, with rendering, {size}"] = Ratio(value=ratio)
    better = [what for what, ratio in result.ratios.items() if ratio.value > WORTH and REDUCED not in what]
    result.notes[f"more than {WORTH} times as fast as ours, with rendering"] = ", ".join(better) or "none"
    return result


def _decoders(settings: Settings, result: Result) -> dict[str, Decoder]:
    """All that are there, ours first; those that are not are noted."""
    limits = _limits(settings)
    decoders: dict[str, Decoder] = {
        "curate": lambda data: decode(data, **limits).image,
        "Pillow": lambda data: Image.open(io.BytesIO(data)).convert("RGB"),
        "torchvision": _torchvision,
    }
    simplejpeg = load("simplejpeg")
    if isinstance(simplejpeg, str):
        result.skipped["simplejpeg"] = simplejpeg
    else:
        decoders["simplejpeg"] = lambda data: Image.fromarray(simplejpeg.decode_jpeg(data))
    turbo = _turbojpeg()
    if isinstance(turbo, str):
        result.skipped["PyTurboJPEG"] = turbo
    else:
        decoders["PyTurboJPEG"] = turbo
    return decoders


def _torchvision(data: bytes) -> Image.Image:
    tensor = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB)
    return Image.fromarray(tensor.permute(1, 2, 0).contiguous().numpy())


def _turbojpeg() -> Decoder | str:
    """PyTurboJPEG needs a library of the system."""
    module = load("turbojpeg")
    if isinstance(module, str):
        return module
    try:
        turbo = module.TurboJPEG()
    except (RuntimeError, OSError) as error:
        return " ".join(str(error).split())[:100]
    return lambda data: Image.fromarray(turbo.decode(data, pixel_format=module.TJPF_RGB))


def _reduced(settings: Settings, renderer: Renderer) -> Decoder:
    """Ours with `dataset.reduced_decoding`."""
    limits = _limits(settings)
    return lambda data: decode(data, **limits, needed=renderer.needed).image


def _limits(settings: Settings) -> dict[str, int]:
    return {"max_bytes": settings.dataset.max_bytes, "max_pixels": settings.dataset.max_pixels}


def _rendering(settings: Settings, renderer: Renderer) -> Callable[[Image.Image], object]:
    """What follows decoding in a worker process: the built-in safeguard's rendering, with vLLM's own code."""
    question = next(iter(questions_of(settings)))
    return lambda image: renderer.render(image, sha256_of(image.tobytes()[:1000]), question)


def _all(work: Callable[[bytes], object], pictures: list[bytes]) -> Callable[[], None]:
    def once() -> None:
        for data in pictures:
            work(data)

    return once


def _check(picture: bytes, decoders: dict[str, Decoder]) -> None:
    expected = np.asarray(decoders["Pillow"](picture), dtype=np.int16)
    for name, decoder in decoders.items():
        difference = np.abs(np.asarray(decoder(picture), dtype=np.int16) - expected).max()
        assert difference <= TOLERANCE, f"{name} differs by {difference}"
