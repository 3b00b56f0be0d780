"""The fingerprint of a run under one policy: a hash over all that can change a row, and over nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from curate.core.secrets import masked_arguments, masked_url
from curate.core.types import Question
from curate.judges.row_policies import RowQuestion
from curate.runs.annotation_table import SCHEMA_VERSION
from curate.settings.dataset import DatasetSettings
from curate.settings.engine import EngineSettings
from curate.settings.model import ModelSettings

_DATASET = ("image", "max_bytes", "max_pixels", "reduced_decoding")
"""Settings of the data set that can change a row."""

_OPTIONAL = ("outside_links", "frames", "suffix_from")
"""More of them, which are no part where they have their default."""


LATER = ("engine.args", "engine.server", "dataset.key")
"""Parts that runs begun before they counted have none of; what those were run with stands in their settings. They are
there only where they are not what they are by default."""

CHOICES = ("dataset.key", "dataset.image", "dataset.suffix_from", "dataset.outside_links")
"""Parts that say which pictures are judged and what they are called. The label of a picture depends on none of them."""

_SERVES = frozenset({"dialect"})
"""Of `engine.args` with a server: the others say how often it is asked again."""

HARMLESS_ARGS = frozenset(
    {"gpu_memory_utilization", "kv_cache_memory_bytes", "num_gpu_blocks_override", "block_size", "swap_space"}
    | {"cpu_offload_gb", "max_num_seqs", "max_num_batched_tokens", "max_num_partial_prefills"}
    | {"long_prefill_token_threshold"}
    | {"max_long_partial_prefills", "enable_prefix_caching", "prefix_caching_hash_algo", "enable_chunked_prefill"}
    | {"scheduling_policy", "async_scheduling", "num_lookahead_slots", "scheduler_delay_factor", "stream_interval"}
    | {"tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "data_parallel_size_local"}
    | {"data_parallel_rank", "data_parallel_address", "data_parallel_rpc_port", "data_parallel_backend"}
    | {"enable_expert_parallel", "decode_context_parallel_size", "prefill_context_parallel_size", "nnodes", "node_rank"}
    | {"distributed_executor_backend", "disable_custom_all_reduce", "ray_workers_use_nsight", "worker_cls"}
    | {"max_parallel_loading_workers", "master_addr", "master_port", "device", "download_dir", "use_tqdm_on_load"}
    | {"enforce_eager", "compilation_config", "cuda_graph_sizes", "max_seq_len_to_capture", "optimization_level"}
    | {"attention_backend", "disable_cascade_attn", "mm_encoder_tp_mode", "mm_encoder_attn_backend"}
    | {"mm_processor_cache_gb", "mm_processor_cache_type", "disable_mm_preprocessor_cache", "skip_mm_profiling"}
    | {"mm_shm_cache_max_object_size_mb", "disable_log_stats", "disable_log_requests", "enable_log_requests"}
    | {"collect_detailed_traces", "otlp_traces_endpoint", "show_hidden_metrics_for_version", "kv_cache_metrics"}
    | {"enable_sleep_mode", "served_model_name", "hf_token", "max_loras", "max_cpu_loras"}
    | {"shutdown_timeout", "fail_on_environ_validation", "aggregate_engine_logging", "enable_layerwise_nvtx_tracing"}
)  # fmt: skip
"""Arguments of vLLM that change speed, memory or numerics and no row beyond them; every other one counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """A hash and the parts it was made of, kept so that a refusal can name the difference.

    Attributes:
        former: the same as earlier versions recorded it: with `model.dtype` "auto" where that meant this format, and
            with a digest of samples of large weights.
    """

    digest: str
    parts: Mapping[str, Any]
    former: tuple[Fingerprint, ...] = ()

    @property
    def judge(self) -> str:
        """Hash of who judged, whatever was asked: model, decoding and engine; sixteen hexadecimal digits."""
        return self._part("model.", "engine", "schema")

    @property
    def judges(self) -> frozenset[str]:
        """`judge`, and what it was called before."""
        forms = (self, *self.former)
        return frozenset(f.judge for f in (*forms, *map(_without_later, forms)))

    def is_same(self, recorded: Mapping[str, Any], told: Mapping[str, Any], ignoring: Sequence[str] = ()) -> bool:
        """Whether rows under recorded parts are what this one gives.

        Args:
            recorded: the parts, of this or an earlier version.
            told: the parts in `LATER` by the settings that were recorded beside them (`later_parts`).
            ignoring: parts that may differ.
        """
        forms = (self, *self.former)
        later = {name: form.parts[name] for form in forms for name in LATER if name in form.parts}
        theirs = _without({**told, **recorded}, ignoring)
        return any(_without({**form.parts, **later}, ignoring) == theirs for form in forms)

    def going_on(self, recorded: Fingerprint, told: Mapping[str, Any]) -> Fingerprint:
        """The recorded one where it is the same, so that a run keeps the digest that its rows carry."""
        if recorded.digest == self.digest or not self.is_same(recorded.parts, told):
            return self
        return Fingerprint(digest=recorded.digest, parts=recorded.parts, former=(self, *self.former))

    @property
    def asked(self) -> str:
        """Hash of the policy, however long the rationale; sixteen hexadecimal digits."""
        return self._part("policy.text", "policy.categories", "policy.violable", "policy.column", "policy.named")

    def difference(self, other: Mapping[str, Any]) -> list[str]:
        """Names of the parts in which `other` differs, with both values where they are short."""
        return [_change(name, other.get(name), self.parts.get(name)) for name in self.differs_in(other)]

    def differs_in(self, other: Mapping[str, Any]) -> list[str]:
        """Names of the parts in which `other` differs."""
        return [name for name in sorted(set(self.parts) | set(other)) if other.get(name) != self.parts.get(name)]

    def _part(self, *beginnings: str) -> str:
        return _digest({n: v for n, v in self.parts.items() if n.startswith(beginnings)})[:16]


def fingerprint(
    asked: Question | RowQuestion,
    model: ModelSettings,
    identity: Mapping[str, str],
    engine: EngineSettings,
    dataset: DatasetSettings,
    *,
    own_dtype: str | None = None,
    sampled: Mapping[str, str] | None = None,
) -> Fingerprint:
    """Fingerprint of judging `dataset`'s images with `model` when this is `asked`.

    Args:
        asked: carries the policy text, or where it comes from, and the rationale mode.
        model: dtype, layout, image budget, decoding.
        identity: which weights they are (`curate.judges.checkpoints.model_identity`).
        engine: only which engine it is, its arguments that change rows, and where a server is.
        dataset: only which image of a sample is judged, how it is decoded, and what its key is.
        own_dtype: format of the checkpoint's weights, which `model.dtype=auto` once stood for.
        sampled: what of `identity` earlier versions recorded otherwise (`checkpoints.sampled_identity`).
    """
    parts = {
        **{f"model.{name}": value for name, value in identity.items()},
        **{f"model.{name}": getattr(model, name) for name in ("layout", "dtype", "quantization", "max_model_len")},
        "model.max_pixels": model.max_pixels,
        **{f"model.{name}": masked_arguments(getattr(model, name)) for name in ("processor", "hf_overrides")},
        "model.decoding": model.decoding.model_dump(),
        "engine": engine.name,
        **{f"dataset.{name}": getattr(dataset, name) for name in _DATASET},
        **{f"policy.{name}": value for name, value in asdict(asked).items()},
        "schema": SCHEMA_VERSION,
    }
    if not asked.category_scores:
        del parts["policy.category_scores"]
    # Runs made before these could be set have none of them.
    parts |= {f"dataset.{name}": getattr(dataset, name) for name in _OPTIONAL if not _is_default(dataset, name)}
    parts = json.loads(json.dumps(parts | later_parts(engine, dataset)))
    weights = [{}, {f"model.{name}": value for name, value in (sampled or {}).items()}]
    formats = [{}, {"model.dtype": "auto"}] if model.dtype == own_dtype else [{}]
    forms = [parts | weight | form for weight in weights for form in formats]
    former = (Fingerprint(digest=_digest(form), parts=form) for form in forms if form != parts)
    return Fingerprint(digest=_digest(parts), parts=parts, former=tuple(former))


def later_parts(engine: EngineSettings, dataset: DatasetSettings) -> dict[str, Any]:
    """The parts in `LATER`, as far as they are not what they are by default; without secrets."""
    counting = {
        "vllm": {name: value for name, value in engine.args.items() if name not in HARMLESS_ARGS},
        "server": {name: value for name, value in engine.args.items() if name in _SERVES},
    }
    found: dict[str, Any] = {
        "engine.args": masked_arguments(counting.get(engine.name, {})),
        "engine.server": {"url": _normal(engine.url), "model": engine.api_model} if engine.name == "server" else {},
        "dataset.key": dataset.key,
    }
    plain: dict[str, Any] = json.loads(json.dumps({name: value for name, value in found.items() if value}))
    return plain


def _normal(url: str | None) -> str:
    """One spelling of a server's address, without who asks."""
    scheme, _, rest = masked_url(url or "").partition("://")
    host, slash, path = rest.rpartition("@")[2].partition("/")
    return f"{scheme.lower()}://{host.lower()}{slash}{path}".rstrip("/")


def _without(parts: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in parts.items() if name not in names}


def _without_later(fingerprint: Fingerprint) -> Fingerprint:
    return Fingerprint(digest=fingerprint.digest, parts=_without(fingerprint.parts, LATER))


def _is_default(dataset: DatasetSettings, name: str) -> bool:
    return bool(getattr(dataset, name) == DatasetSettings.model_fields[name].default)


def _digest(parts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _change(name: str, before: object, now: object) -> str:
    both = f"{name} ({before!r} before, {now!r} now)"
    return both if len(both) < 100 else name
