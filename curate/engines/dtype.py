"""The number format a model is computed in where the settings leave it open (`model.dtype=auto`).

vLLM's own "auto" is the checkpoint's format, and a CPU without instructions for that emulates it, at a fifth of the
speed of float32 (docs/performance.md). So the format is settled when a run begins, by what this machine computes
fastest with, and the fingerprint holds the settled one: the run keeps it wherever it goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import psutil

from curate.engines.gpus import built_for_cpu, least_capability
from curate.judges.checkpoints import checkpoint_dtype, is_quantized, resolve_model_path, weight_bytes
from curate.settings.engine import EngineSettings
from curate.settings.model import ModelSettings

AUTO = "auto"
BFLOAT16, FLOAT32 = "bfloat16", "float32"

BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""How /proc/cpuinfo names instructions that multiply bfloat16 (the last on ARM); with none of them it is emulated."""

BFLOAT16_CAPABILITY = 8.0
"""CUDA compute capability from which on GPUs multiply bfloat16 (Ampere)."""

_SIZES = {"float16": 2, BFLOAT16: 2, FLOAT32: 4}
_MEMORY_SHARE = 0.7
"""Of a machine's memory that weights may take; caches, pictures and the system need the rest."""


def settled(model: ModelSettings, engine: EngineSettings) -> ModelSettings:
    """`model` with the format it is to be computed in; as it is where the format is given, or not ours to choose.

    A server computes as it was started, and the fake engine computes nothing. A GPU takes the checkpoint's own format,
    or float16 where that is bfloat16 and it is too old for it. Where that is float32, which vLLM halves by what the GPU
    can do, the choice stays vLLM's.

    Raises:
        InputError: see `resolve_model_path`.
    """
    if model.dtype != AUTO or engine.name != "vllm":
        return model
    folder = resolve_model_path(model)
    if is_quantized(folder) or model.quantization is not None:
        return model  # its kernels decide what they multiply
    own = checkpoint_dtype(folder)
    if not built_for_cpu():
        return _with(model, _on_gpu(own))
    return _with(model, fastest(cpu_flags()) if _fits_in_float32(folder) else own)


def dtype_of_auto(model: ModelSettings, engine: EngineSettings) -> str | None:
    """The format that "auto" stood for in runs recorded before it was settled; None where that was no format of ours.

    It was vLLM's: the checkpoint's own, but half of float32, by what the machine can do.
    """
    if engine.name != "vllm":
        return None
    own = checkpoint_dtype(resolve_model_path(model))
    return None if own == FLOAT32 else own


def fastest(flags: Collection[str]) -> str:
    """The format that a CPU with these flags multiplies fastest."""
    return FLOAT32 if BFLOAT16_FLAGS.isdisjoint(flags) else BFLOAT16


def remarks(model: ModelSettings, engine: EngineSettings) -> Iterator[str]:
    """What a person should know of a settled format on this machine; nothing where it is what one would expect."""
    if engine.name != "vllm" or not built_for_cpu() or fastest(cpu_flags()) != FLOAT32:
        return
    if model.dtype == FLOAT32:
        yield "computing in float32: this CPU has no instructions for bfloat16"
    elif (dtype_of_auto(model, engine) if model.dtype == AUTO else model.dtype) == BFLOAT16:
        fits = _fits_in_float32(resolve_model_path(model))
        yield "computing in bfloat16, for which this CPU has no instructions: " + (
            "in a new output.dir, model.dtype=float32 would be several times as fast"
            if fits
            else "several times as slow as float32, for which this machine has too little memory"
        )


def _on_gpu(own: str) -> str:
    """What vLLM's own "auto" comes to for weights in 16 bits; on new GPUs where none is seen, as on a login node."""
    if own != BFLOAT16:
        return AUTO if own == FLOAT32 else own
    capability = least_capability()
    return own if capability is None or capability >= BFLOAT16_CAPABILITY else "float16"


@cache
def cpu_flags() -> frozenset[str]:
    """What the first processor of this machine says it can do, by the kernel's names; nothing where nobody says."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    named = (line.partition(":") for line in lines)
    return next(
        (frozenset(flags.split()) for name, _, flags in named if name.strip() in ("flags", "Features")), frozenset()
    )


def _fits_in_float32(folder: Path) -> bool:
    """Whether a checkpoint's weights may take four bytes a number in this machine's memory."""
    wanted = weight_bytes(folder) * 4 / _SIZES.get(checkpoint_dtype(folder), 4)
    return wanted <= _MEMORY_SHARE * float(psutil.virtual_memory().total)


def _with(model: ModelSettings, dtype: str) -> ModelSettings:
    return model.model_copy(update={"dtype": dtype})
