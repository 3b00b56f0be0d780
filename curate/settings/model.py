"""Settings of a model: what can change a row is here, and goes into the fingerprint."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from curate.settings.group import Group


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
    """Upper bound of a rationale; see `curate.judges.verdicts` for how it is held."""
    category_scores: bool = False
    """Whether every category gets a score: one more look, at the category's code behind "Unsafe"."""
    decoding: Decoding = Decoding()
    """How tokens are drawn."""
    tuned_on: dict[str, str] = {}
    """Policies it was tuned on, as names and hashes of their rules; of any other it is warned. Empty: of none."""
    warning: str | None = None
    """What whoever uses the labels has to know of the model; every output says it first."""
