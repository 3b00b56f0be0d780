"""The resolved configuration as frozen types, one class for each group under conf/.

Parsed once, at the edge (`curate.config`); nothing here knows Hydra. What can change a row goes into the fingerprint
(`curate.fingerprint`); everything else (workers, bounds, output) stays out of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from curate.calibration import Calibration
from curate.policy import BY_ROW, Policy


class Group(BaseModel):
    """Base of all groups: frozen, and an unknown key is an error that names it."""

    # Numbers become strings where strings are wanted: job.time=60, model.revision=1.
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


class DatasetSettings(Group):
    """Where the samples are and how they are laid out.

    Attributes:
        shards: paths, globs, brace ranges or fsspec URLs; relative ones are relative to the working folder.
        format: a key of `curate.sources.SOURCES`, or "auto" to tell by the file's name.
        image: for several images in a sample, the member suffix or column that is judged.
        key: column that holds the key (Parquet, hub); None numbers the samples.
        caption, url: names of the sidecar fields with the caption and the link, for the card and the report.
        label: name of the sidecar field that holds the source's own class, for the ledger of removals.
        policy_column: name of the sidecar field that holds each row's own policy: its text, or the name of one.
        limit: judge the first `limit` samples only.
        max_bytes: an image with more bytes is not decoded.
        max_pixels: an image with more pixels is not decoded.
        reduced_decoding: decode JPEGs no larger than the model's image processor needs them.
        samples_per_shard: how many files of a folder make one shard.
        options: passed on to the source (`datasets.load_dataset` arguments: name, split, ...).
        storage_options: passed on to fsspec.
    """

    name: str
    shards: list[str] = Field(min_length=1)
    format: str = "auto"
    image: str | None = None
    key: str | None = None
    caption: str | None = None
    url: str | None = None
    label: str | None = None
    policy_column: str | None = None
    limit: Annotated[int, Field(gt=0)] | None = None
    max_bytes: Annotated[int, Field(gt=0)] = 64 * 2**20
    max_pixels: Annotated[int, Field(gt=0)] = 100_000_000
    reduced_decoding: bool = False
    samples_per_shard: Annotated[int, Field(gt=0)] = 1000
    options: dict[str, Any] = {}
    storage_options: dict[str, Any] = {}

    @field_validator("shards", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class Decoding(Group):
    """How tokens are drawn. Temperature 0 is greedy."""

    temperature: Annotated[float, Field(ge=0)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: int = 0
    seed: int = 0


class ModelSettings(Group):
    """A safeguard and how it is asked.

    Attributes:
        name: what the card and the report call it.
        path: folder, hub name, or "builtin" for the safeguard in the package.
        revision: hub revision.
        architecture: "llava_onevision", "qwen2_5_vl", "llava", "llava_next"; checked against the checkpoint.
        layout: whether the image or the policy comes first in the user turn.
        adapter: folder of a LoRA adapter, applied unmerged.
        dtype, quantization: as vLLM names them.
        max_model_len: context in tokens; None takes the checkpoint's.
        max_pixels: pixel budget of the model's own image processor; None takes the checkpoint's.
        processor: further keyword arguments of the image processor (`mm_processor_kwargs`).
        hf_overrides: overrides of the checkpoint's configuration.
        rationale: "all", "unsafe" or "none".
        rationale_above: with "unsafe", Safe answers with p_unsafe above this have a rationale too.
        rationale_chars: upper bound of a rationale; see `curate.verdicts` for how it is held.
        warning: what whoever uses the labels has to know of the model; every output says it first.
    """

    name: str
    path: str
    revision: str | None = None
    architecture: Literal["llava_onevision", "qwen2_5_vl", "llava", "llava_next", "auto"] = "auto"
    layout: Literal["image_first", "policy_first"] = "image_first"
    adapter: str | None = None
    dtype: str = "auto"
    quantization: str | None = None
    max_model_len: int | None = None
    max_pixels: int | None = None
    processor: dict[str, Any] = {}
    hf_overrides: dict[str, Any] = {}
    rationale: Literal["all", "unsafe", "none"] = "all"
    rationale_above: Annotated[float, Field(ge=0, le=1)] | None = None
    rationale_chars: Annotated[int, Field(gt=0, le=4000)] = 600
    decoding: Decoding = Decoding()
    warning: str | None = None


class EngineSettings(Group):
    """How the model is run. Nothing here changes a row beyond the engine's numerics.

    Attributes:
        name: a key of `curate.engines.ENGINES`.
        processes: engines that `run` and `annotate` start on this machine, each in a process of its own with all that
            the settings below give it; "auto" takes one for every `tensor_parallel` GPUs of vLLM, and one elsewhere.
        workers: processes that decode and render; 0 does it in a thread of this process. "auto" begins with two and
            adds more while the engine gets too little because of them, up to the cores less one.
        max_requests: bound on samples in flight.
        max_bytes: bound on their rendered bytes in flight.
        shards_in_flight: how many shards are read at once, so that a shard's tail never starves the engine.
        tensor_parallel: GPUs for one copy of the model.
        kv_cache_gib: size of the KV cache; None lets the engine decide (a GPU) or takes 1 GiB (a CPU).
        max_num_seqs: sequences the engine batches.
        url, api_model, api_key_env: of an OpenAI-compatible server.
        timeout: seconds without an answer to any request after which the engine counts as dead.
        args: passed to vLLM's engine arguments as they are.
    """

    name: str = "vllm"
    processes: Annotated[int, Field(gt=0)] | Literal["auto"] = "auto"
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    max_requests: Annotated[int, Field(gt=0)] = 128
    max_bytes: Annotated[int, Field(gt=0)] = 2 * 2**30
    shards_in_flight: Annotated[int, Field(gt=0)] = 2
    tensor_parallel: Annotated[int, Field(gt=0)] = 1
    kv_cache_gib: Annotated[float, Field(gt=0)] | None = None
    max_num_seqs: Annotated[int, Field(gt=0)] | None = None
    url: str | None = None
    api_model: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    timeout: Annotated[float, Field(gt=0)] = 300.0
    args: dict[str, Any] = {}


class Thresholds(Group):
    """Cut-offs on p_unsafe; `by_category` overrides them for single category codes."""

    unsafe: Annotated[float, Field(ge=0, le=1)] | None = None
    review: Annotated[float, Field(ge=0, le=1)] | None = None


class FilterSettings(Group):
    """Rules that turn annotations into splits; see `curate.filtering`.

    Attributes:
        name: of the rule set.
        policy: the policy whose annotations decide; None combines all.
        combine: with several policies, "any_unsafe" takes the strictest.
        thresholds, by_category: cut-offs on p_unsafe in place of the model's own rating.
        calibration: applied to p_unsafe before any rule sees it; a file's name on the command line, here its content.
        fields: sidecar fields that rules may use, by their type.
        splits: name to SQL condition over the annotation columns and `fields`; the first that holds wins.
        write: "parquet", "webdataset" or "index".
        subdivide: shares of `clean` by name, e.g. {train: 0.9, validation: 0.1}; by key hash.
        seed: of that subdivision.
        rows_per_group: rows in a Parquet row group of images.
    """

    name: str = "default"
    policy: str | None = None
    combine: Literal["any_unsafe"] = "any_unsafe"
    thresholds: Thresholds = Thresholds()
    by_category: dict[str, Thresholds] = {}
    calibration: Calibration | None = None
    fields: dict[str, Literal["float", "int", "string", "bool"]] = {}
    splits: dict[str, str] = {}
    write: Literal["parquet", "webdataset", "index"] = "parquet"
    subdivide: dict[str, Annotated[float, Field(gt=0, le=1)]] = {}
    seed: int = 0
    rows_per_group: Annotated[int, Field(gt=0)] = 100

    @field_validator("splits", mode="before")
    @classmethod
    def _truth_is_a_condition(cls, value: object) -> object:
        """YAML and the command line read `true` as a truth value; as a condition it is SQL all the same."""
        if not isinstance(value, dict):
            return value
        return {name: str(sql).lower() if isinstance(sql, bool) else sql for name, sql in value.items()}


class JobSettings(Group):
    """Where workers run: in this process, or as tasks of a SLURM array.

    Attributes:
        name: "local" or "slurm".
        tasks: number of array tasks; fewer, more or restarted ones than planned are all fine.
        task: which of them this is, from 0; asked for only where the storage cannot decide between workers. None takes
            the index in the SLURM array.
        gpus_per_task, cpus_per_task, memory, time, partition, account, qos, constraint: as `sbatch` names them
            (`memory` is --mem); None leaves them to the cluster.
        container: image for `srun --container-image` (pyxis), or None.
        lease: seconds of silence after which other workers take over a worker's shards.
        drain_seconds: how long before the time limit a task is told to drain.
        requeues: how often a task that drained puts itself back into the queue.
        setup: shell lines before the command (module load, environment variables).
        options: further `sbatch` options, as written, e.g. ["--exclude=node7"].
        python: the interpreter of the tasks; None takes the one that submits.
    """

    name: Literal["local", "slurm"] = "local"
    tasks: Annotated[int, Field(gt=0)] = 1
    task: Annotated[int, Field(ge=0)] | None = None
    gpus_per_task: Annotated[int, Field(ge=0)] = 0
    cpus_per_task: Annotated[int, Field(gt=0)] | None = None
    memory: str | None = None
    time: str | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    container: str | None = None
    lease: Annotated[float, Field(gt=0)] = 60.0
    drain_seconds: Annotated[int, Field(gt=0)] = 120
    requeues: Annotated[int, Field(ge=0)] = 20
    setup: list[str] = []
    options: list[str] = []
    python: str | None = None


class OutputSettings(Group):
    """Where a run's folder is; deterministic, since resuming depends on it."""

    dir: str


class Budget(Group):
    """Failures a run tolerates before it stops: a count below 1 is a share of what was judged.

    `engine` counts rejected_by_engine, invalid_output and engine_failure; `data` the statuses of broken data.
    `grace` samples are judged before a share is held against the run.
    """

    engine: Annotated[float, Field(ge=0)] = 0.02
    data: Annotated[float, Field(ge=0)] = 0.5
    grace: Annotated[int, Field(ge=0)] = 200


class Settings(Group):
    """Everything one command needs.

    Attributes:
        policies: by name, what every sample is judged under; with `dataset.policy_column`, those a row may name.
        retry: statuses to judge again.
        extend: whether new shards are accepted in a folder that was planned before.
        reuse: folders or URLs of earlier runs whose labels are taken over where the fingerprint is the same.
    """

    dataset: DatasetSettings
    model: ModelSettings
    policies: dict[str, Policy] = Field(min_length=1)
    engine: EngineSettings = EngineSettings()
    filter: FilterSettings = FilterSettings()
    job: JobSettings = JobSettings()
    output: OutputSettings
    budget: Budget = Budget()
    retry: list[str] = []
    extend: bool = False
    reuse: list[str] = []

    @field_validator("reuse", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @property
    def passes(self) -> tuple[str, ...]:
        """See `passes_of`."""
        return passes_of(self.dataset, self.policies)


def passes_of(dataset: DatasetSettings, policies: Iterable[str]) -> tuple[str, ...]:
    """Names of the passes over each sample: each gives it one row, in a folder of annotations of that name.

    One for each policy; or BY_ROW alone, where each row is judged under a policy of its own.
    """
    return tuple(policies) if dataset.policy_column is None else (BY_ROW,)
