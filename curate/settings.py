"""The resolved configuration as frozen types, one class for each group under conf/.

Parsed once, at the edge (`curate.config`); nothing here knows Hydra. What can change a row goes into the fingerprint
(`curate.fingerprint`); everything else (workers, bounds, output) stays out of it. The sentence below a field is what
`python -m curate settings` and docs/settings.md say of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from curate.calibration import Calibration
from curate.policy import BY_ROW, Policy


class Group(BaseModel):
    """Base of all groups: frozen, and an unknown key is an error that names it."""

    # Numbers become strings where strings are wanted: job.time=60, model.revision=1.
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class Shown:
    """What is said of a field's type, or of what holds instead of a default, where the field itself does not say it."""

    kind: str | None = None
    instead: str | None = None


def _listed(value: object) -> object:
    """One text stands for a list of it."""
    return [value] if isinstance(value, str) else value


class DatasetSettings(Group):
    """Where the samples are and how they are laid out."""

    name: Annotated[str, Shown(instead="the preset's own, or what the shards are called")]
    """What the data are called; `output.dir` is named after it. Where it is null, the shards' folder names it."""
    shards: list[str] = Field(min_length=1)
    """Paths, globs, brace ranges or fsspec URLs; relative ones are relative to the working folder."""
    format: str = "auto"
    """How they are read: webdataset, parquet, folder, hub, or auto, which tells by the file's name."""
    image: str | None = None
    """For several images in a sample, the member suffix or column that is judged."""
    key: str | None = None
    """Column that holds the key (Parquet, hub); null numbers the samples."""
    caption: str | None = None
    """Name of the sidecar field with the caption, for the card and the report."""
    url: str | None = None
    """Name of the sidecar field with the link, for the card and the report."""
    label: str | None = None
    """Name of the sidecar field that holds the source's own class, for the ledger of removals."""
    policy_column: str | None = None
    """Name of the sidecar field that holds each row's own policy: its text, or the name of one."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """Judge the first so many samples only."""
    max_bytes: Annotated[int, Field(gt=0)] = 64 * 2**20
    """An image with more bytes is not decoded."""
    max_pixels: Annotated[int, Field(gt=0)] = 100_000_000
    """An image with more pixels is not decoded."""
    reduced_decoding: bool = False
    """Decode JPEGs no larger than the model's image processor needs them."""
    samples_per_shard: Annotated[int, Field(gt=0)] = 1000
    """How many files of a folder make one shard."""
    options: dict[str, Any] = {}
    """Passed on to the source (`datasets.load_dataset` arguments: name, split, ...)."""
    storage_options: dict[str, Any] = {}
    """Passed on to fsspec."""

    _one_is_a_list = field_validator("shards", mode="before")(_listed)


class Decoding(Group):
    """How tokens are drawn."""

    temperature: Annotated[float, Field(ge=0)] = 0.0
    """How freely tokens are drawn; 0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Tokens are drawn from the likeliest that together have this probability."""
    top_k: int = 0
    """Tokens are drawn from so many of the likeliest; 0 from all."""
    seed: int = 0
    """Seed of the draws."""


class ModelSettings(Group):
    """A safeguard and how it is asked."""

    name: str
    """What the card and the report call it."""
    path: str
    """Folder, hub name, or "builtin" for the safeguard in the package."""
    revision: str | None = None
    """Revision on the hub: a branch, tag or commit."""
    architecture: Literal["llava_onevision", "qwen2_5_vl", "llava", "llava_next", "auto"] = "auto"
    """Checked against the checkpoint; auto takes the checkpoint's word."""
    layout: Literal["image_first", "policy_first"] = "image_first"
    """Whether the image or the policy comes first in the user turn."""
    adapter: str | None = None
    """Folder of a LoRA adapter, applied unmerged."""
    dtype: str = "auto"
    """Number format it is computed in (auto, bfloat16, float16, float32); auto is settled by the machine."""
    quantization: str | None = None
    """Format of quantised weights, as vLLM names it."""
    max_model_len: int | None = None
    """Context in tokens; null takes the checkpoint's."""
    max_pixels: int | None = None
    """Pixel budget of the model's own image processor; null takes the checkpoint's."""
    processor: dict[str, Any] = {}
    """Further keyword arguments of the image processor (`mm_processor_kwargs`)."""
    hf_overrides: dict[str, Any] = {}
    """Overrides of the checkpoint's configuration."""
    rationale: Literal["all", "unsafe", "none"] = "all"
    """Which answers have a rationale."""
    rationale_above: Annotated[float, Field(ge=0, le=1)] | None = None
    """With `rationale=unsafe`, Safe answers with p_unsafe above this have a rationale too."""
    rationale_chars: Annotated[int, Field(gt=0, le=4000)] = 600
    """Upper bound of a rationale; see `curate.verdicts` for how it is held."""
    decoding: Decoding = Decoding()
    """How tokens are drawn."""
    tuned_on: dict[str, str] = {}
    """Policies it was tuned on, as names and hashes of their rules; of any other it is warned. Empty: of none."""
    warning: str | None = None
    """What whoever uses the labels has to know of the model; every output says it first."""


class EngineSettings(Group):
    """How the model is run. Nothing here changes a row beyond the engine's numerics."""

    name: str = "vllm"
    """A key of `curate.engines.ENGINES`: vllm, server or fake."""
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
    """Passed to vLLM's engine arguments as they are."""


class Thresholds(Group):
    """Cut-offs on p_unsafe; `by_category` overrides them for single category codes."""

    unsafe: Annotated[float, Field(ge=0, le=1)] | None = None
    """From this p_unsafe on a sample is unsafe; null goes by the model's own rating."""
    review: Annotated[float, Field(ge=0, le=1)] | None = None
    """From this p_unsafe on a person has to look at it."""


class FilterSettings(Group):
    """Rules that turn annotations into splits; see `curate.filtering`."""

    name: str = "default"
    """Name of the rule set."""
    policy: str | None = None
    """The policy whose annotations decide; null combines all."""
    combine: Literal["any_unsafe"] = "any_unsafe"
    """With several policies, any_unsafe takes the strictest."""
    thresholds: Thresholds = Thresholds()
    """Cut-offs on p_unsafe in place of the model's own rating."""
    by_category: dict[str, Thresholds] = {}
    """Cut-offs for single category codes."""
    calibration: Annotated[Calibration | None, Shown(kind="a file's name, or null")] = None
    """A file that `evaluate` wrote, applied to p_unsafe before any rule sees it."""
    fields: dict[str, Literal["float", "int", "string", "bool"]] = {}
    """Sidecar fields that rules may use, by their type."""
    splits: dict[str, str] = {}
    """Name to SQL condition over the annotation columns and `fields`; the first that holds wins."""
    write: Literal["parquet", "webdataset", "index"] = "parquet"
    """Format of the splits."""
    subdivide: dict[str, Annotated[float, Field(gt=0, le=1)]] = {}
    """Shares of `clean` by name, e.g. {train: 0.9, validation: 0.1}; by key hash."""
    seed: int = 0
    """Seed of that subdivision."""
    rows_per_group: Annotated[int, Field(gt=0)] = 100
    """Rows in a Parquet row group of images."""

    @field_validator("splits", mode="before")
    @classmethod
    def _truth_is_a_condition(cls, value: object) -> object:
        """YAML and the command line read `true` as a truth value; as a condition it is SQL all the same."""
        if not isinstance(value, dict):
            return value
        return {name: str(sql).lower() if isinstance(sql, bool) else sql for name, sql in value.items()}


class JobSettings(Group):
    """Where workers run: in this process, or as tasks of a SLURM array. What is null is left to the cluster."""

    name: Literal["local", "slurm"] = "local"
    """Here, or by `submit` on a cluster."""
    tasks: Annotated[int, Field(gt=0)] = 1
    """Number of array tasks; fewer, more or restarted ones than planned are all fine."""
    task: Annotated[int, Field(ge=0)] | None = None
    """Which of them this is, from 0; asked for only where the storage cannot decide between workers. null takes the
    index in the SLURM array."""
    gpus_per_task: Annotated[int, Field(ge=0)] = 0
    """GPUs of a task (`sbatch --gpus-per-node`)."""
    cpus_per_task: Annotated[int, Field(gt=0)] | None = None
    """Cores of a task (`sbatch --cpus-per-task`)."""
    memory: str | None = None
    """Memory of a task (`sbatch --mem`)."""
    time: str | None = None
    """Time limit of a task: minutes or D-HH:MM:SS, as `sbatch` takes it."""
    partition: str | None = None
    """Partition (`sbatch --partition`)."""
    account: str | None = None
    """Account (`sbatch --account`)."""
    qos: str | None = None
    """Quality of service (`sbatch --qos`)."""
    constraint: str | None = None
    """Features that nodes must have (`sbatch --constraint`)."""
    container: str | None = None
    """Image for `srun --container-image` (pyxis)."""
    lease: Annotated[float, Field(gt=0)] = 60.0
    """Seconds of silence after which other workers take over a worker's shards."""
    drain_seconds: Annotated[int, Field(gt=0)] = 120
    """How long before the time limit a task is told to drain."""
    requeues: Annotated[int, Field(ge=0)] = 20
    """How often a task that drained puts itself back into the queue."""
    setup: list[str] = []
    """Shell lines before the command (module load, environment variables)."""
    options: list[str] = []
    """Further `sbatch` options, as written, e.g. ["--exclude=node7"]."""
    python: str | None = None
    """The interpreter of the tasks; null takes the one that submits."""


class OutputSettings(Group):
    """Where a run's folder is; deterministic, since resuming depends on it."""

    dir: Annotated[str, Shown(instead="runs/NAME, after dataset.name")]
    """The folder of a run, or a URL of an object store; running again goes on in it."""


class Budget(Group):
    """Failures a run tolerates before it stops: a count below 1 is a share of what was judged."""

    engine: Annotated[float, Field(ge=0)] = 0.02
    """Samples of the statuses rejected_by_engine, invalid_output and engine_failure."""
    data: Annotated[float, Field(ge=0)] = 0.5
    """Samples of the statuses of broken data."""
    grace: Annotated[int, Field(ge=0)] = 200
    """Samples that are judged before a share is held against the run."""


class Settings(Group):
    """Everything one command needs.

    `policies` holds what every sample is judged under; with `dataset.policy_column`, the policies that a row may name.
    """

    dataset: DatasetSettings
    """Where the samples are."""
    model: ModelSettings
    """The safeguard."""
    policies: Annotated[dict[str, Policy], Shown(kind="list of names, or null", instead="the one of `policy`")] = Field(
        min_length=1
    )
    """Names of several policies: every sample is judged under each, and `policy` is not looked at."""
    engine: EngineSettings = EngineSettings()
    """How the model is run."""
    filter: FilterSettings = FilterSettings()
    """Rules that turn annotations into splits."""
    job: JobSettings = JobSettings()
    """Where workers run."""
    output: OutputSettings
    """Where the run's folder is."""
    budget: Budget = Budget()
    """Failures that are tolerated."""
    retry: list[str] = []
    """Statuses to judge again, e.g. [engine_failure,invalid_output]."""
    extend: bool = False
    """Whether new shards are accepted in a folder that was planned before."""
    reuse: list[str] = []
    """Folders or URLs of earlier runs whose labels are taken over where the fingerprint is the same."""

    _one_is_a_list = field_validator("retry", "reuse", mode="before")(_listed)

    @property
    def passes(self) -> tuple[str, ...]:
        """See `passes_of`."""
        return passes_of(self.dataset, self.policies)


def passes_of(dataset: DatasetSettings, policies: Iterable[str]) -> tuple[str, ...]:
    """Names of the passes over each sample: each gives it one row, in a folder of annotations of that name.

    One for each policy; or BY_ROW alone, where each row is judged under a policy of its own.
    """
    return tuple(policies) if dataset.policy_column is None else (BY_ROW,)
