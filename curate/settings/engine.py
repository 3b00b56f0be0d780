"""Settings of an engine: how the model is run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from curate.settings.group import Group


class EngineSettings(Group):
    """How the model is run. Beyond the engine's numerics only some of `args`, and which server it is, change a row."""

    name: str = "vllm"
    """A key of `curate.engines.factory.ENGINES`: vllm, server or fake."""
    processes: Annotated[int, Field(gt=0)] | Literal["auto"] = "auto"
    """Engines that `run` and `annotate` start on this machine, each in a process of its own with all that the settings
    below give it; auto takes one for every `tensor_parallel` GPUs of vLLM, and one elsewhere."""
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Processes that decode and render; 0 does it in a thread of this process. auto begins with two and adds more while
    the engine gets too little because of them, up to the cores less one."""
    max_requests: Annotated[int, Field(gt=0)] = 128
    """Bound on samples in flight."""
    max_bytes: Annotated[int, Field(gt=0)] = 2 * 2**30
    """Bound on their rendered bytes in flight."""
    shards_in_flight: Annotated[int, Field(gt=0)] = 2
    """How many shards are read at once, so that a shard's tail never starves the engine."""
    tensor_parallel: Annotated[int, Field(gt=0)] = 1
    """GPUs for one copy of the model."""
    kv_cache_gib: Annotated[float, Field(gt=0)] | None = None
    """Size of the KV cache; null lets the engine decide (a GPU) or takes 1 GiB (a CPU)."""
    max_num_seqs: Annotated[int, Field(gt=0)] | None = None
    """Sequences the engine batches."""
    url: str | None = None
    """Base URL of an OpenAI-compatible server, with its version: http://127.0.0.1:8000/v1."""
    api_model: str | None = None
    """Name of the model at that server; null takes the only one it has."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key, where the server wants one."""
    timeout: Annotated[float, Field(gt=0)] = 300.0
    """Seconds without an answer to any request after which the engine counts as dead."""
    args: dict[str, Any] = {}
    """Passed to vLLM's engine arguments as they are; those that can change rows are part of the fingerprint."""
