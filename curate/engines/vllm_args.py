"""From settings to vLLM's engine arguments. Knows their names, imports nothing of vLLM."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curate.core.errors import InputError
from curate.settings.engine import EngineSettings
from curate.settings.model import ModelSettings

_GIB = 2**30
_LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM has kernels for

# For all processes of the engine, unless the user chose otherwise. Forking a process that runs threads is unsafe.
ENVIRONMENT = {"VLLM_WORKER_MULTIPROC_METHOD": "spawn", "VLLM_NO_USAGE_STATS": "1"}

# On a CPU the model shares the engine's process, as on one GPU, which saves a third process and its seconds of imports.
# Nothing is compiled: the one function that vLLM compiles even in eager mode costs 17 seconds once and gains nothing.
CPU_ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "TORCH_COMPILE_DISABLE": "1"}


class _HashableList(list[int]):
    """vLLM caches processors by their arguments, and the processor insists on lists in the list of grids."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self))


def environment(*, cpu: bool) -> dict[str, str]:
    """Environment variables the engine's processes are started with, where the user has set none."""
    if not cpu:
        return dict(ENVIRONMENT)
    # Readers and the event loop take a small share of the cores. A thread of the model that waits for one which they
    # interrupted soon sleeps, where it would otherwise spin; with two cores it takes both (docs/performance.md), with
    # more of them one is left. Unbound, since a binding to core 0 would meet the next engine's on the same machine.
    cores = len(os.sched_getaffinity(0))
    threads = {
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(min(cores, max(2, cores - 1))),
        "GOMP_SPINCOUNT": "10000",
    }
    return {**ENVIRONMENT, **CPU_ENVIRONMENT, **threads}


def engine_args(model: ModelSettings, engine: EngineSettings, path: Path, *, cpu: bool) -> dict[str, Any]:
    """Keyword arguments of vLLM's `AsyncEngineArgs` for the checkpoint in `path`; `engine.args` has the last word.

    Raises:
        InputError: a pixel budget that the model cannot have, or an adapter that is none.
    """
    overrides, processor = pixel_budget(model, path)
    args: dict[str, Any] = {
        "model": str(path),
        "dtype": model.dtype,
        "quantization": model.quantization,
        "max_model_len": model.max_model_len,
        "hf_overrides": {**overrides, **model.hf_overrides},
        "mm_processor_kwargs": {**processor, **model.processor} or None,
        "limit_mm_per_prompt": {"image": 1, "video": 0},
        # Every picture is seen once, so that a cache of rendered ones would only fill memory.
        "mm_processor_cache_gb": 0,
        "enable_prefix_caching": True,
        # Second passes go first, while the blocks of their first pass are still cached.
        "scheduling_policy": "priority",
        "tensor_parallel_size": engine.tensor_parallel,
        "disable_log_stats": False,
        "use_tqdm_on_load": False,
        **(_cpu_args(engine) if cpu else _gpu_args(engine)),
        **(_adapter_args(Path(model.adapter)) if model.adapter else {}),
        **engine.args,
    }
    return {name: value for name, value in args.items() if value is not None}


def pixel_budget(model: ModelSettings, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Overrides of the configuration and of the image processor that keep a picture within `model.max_pixels`.

    Any-resolution models choose from a list of grids, so that the list is cut to the grids within the budget (at least
    the smallest); Qwen's processor scales to any size below a limit.

    Raises:
        InputError: the architecture has one fixed size.
    """
    if model.max_pixels is None:
        return {}, {}
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    if "image_grid_pinpoints" in config:
        grids = sorted(config["image_grid_pinpoints"], key=lambda grid: grid[0] * grid[1])
        within = [grid for grid in grids if grid[0] * grid[1] <= model.max_pixels] or grids[:1]
        return {"image_grid_pinpoints": within}, {"image_grid_pinpoints": [_HashableList(grid) for grid in within]}
    if str(config.get("model_type", "")).startswith("qwen"):
        return {}, {"max_pixels": model.max_pixels}
    raise InputError(f"model.max_pixels: {model.name} scales every picture to one size; leave max_pixels out")


def adapter_rank(folder: Path) -> int:
    """Rank of the LoRA adapter in `folder`.

    Raises:
        InputError: it holds none.
    """
    try:
        config: Mapping[str, Any] = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        return int(config["r"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"model.adapter: {folder} holds no LoRA adapter (no adapter_config.json with a rank); name its folder"
        ) from error


def _adapter_args(folder: Path) -> dict[str, Any]:
    rank = adapter_rank(folder)
    fitting = next((r for r in _LORA_RANKS if r >= rank), None)
    if fitting is None:
        raise InputError(f"model.adapter: rank {rank} is beyond the {_LORA_RANKS[-1]} vLLM can apply; merge it instead")
    return {"enable_lora": True, "max_loras": 1, "max_lora_rank": fitting}


def _cpu_args(engine: EngineSettings) -> dict[str, Any]:
    # A CPU cannot size its cache by profiling as a GPU does; small blocks lose little of the prefix to a partial one.
    return {
        "enforce_eager": True,
        "kv_cache_memory_bytes": int((engine.kv_cache_gib or 1.0) * _GIB),
        "block_size": 32,
        "max_num_seqs": engine.max_num_seqs or 128,
    }


def _gpu_args(engine: EngineSettings) -> dict[str, Any]:
    gib = engine.kv_cache_gib
    return {"kv_cache_memory_bytes": None if gib is None else int(gib * _GIB), "max_num_seqs": engine.max_num_seqs}
