"""Settings of `audit`: the generator that is looked at."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from curate.settings.group import Group


class GeneratorSettings(Group):
    """A text-to-image model whose pictures are judged, or pictures that somebody else made with one."""

    name: str = "diffusers"
    """A key of `curate.audit.factory.GENERATORS`: diffusers, openai or folder."""
    path: str | None = None
    """The model: a folder or a name on the hub (diffusers). Or where the pictures are that somebody made (folder)."""
    revision: str | None = None
    """Commit, branch or tag on the hub; of pictures that somebody made, what they were made with."""
    width: Annotated[int, Field(gt=0)] | None = None
    """Width of a picture in pixels; null leaves it to the model."""
    height: Annotated[int, Field(gt=0)] | None = None
    """Height of a picture in pixels; null leaves it to the model."""
    steps: Annotated[int, Field(gt=0)] | None = None
    """Denoising steps (diffusers); null leaves them to the pipeline."""
    guidance: Annotated[float, Field(ge=0)] | None = None
    """Guidance scale (diffusers); null leaves it to the pipeline."""
    batch: Annotated[int, Field(gt=0)] = 1
    """Pictures that are made at once (diffusers, where another number changes the last bits), or requests in flight
    (openai)."""
    safety_checker: bool = True
    """Whether the pipeline's own filter withholds pictures, where it has one (diffusers); these count as refused."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Number format of the weights (diffusers); auto is bfloat16 on a GPU and float32 elsewhere."""
    device: str = "auto"
    """Where it runs (diffusers): cuda, cuda:1, mps, cpu; auto takes a GPU where there is one."""
    url: str | None = None
    """Base URL of an images API, with its version: http://127.0.0.1:8000/v1 (openai)."""
    api_model: str | None = None
    """Name of the model at that API."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key, where the API wants one."""
    seed_field: str | None = "seed"
    """Field of the request that takes the seed; null sends none, as OpenAI's own API wants it."""
    negative_field: str | None = "negative_prompt"
    """Field of the request that takes a negative prompt, where a prompt has one; null refuses such prompts."""
    response_format: str | None = "b64_json"
    """The request's `response_format`; null sends none, for models that always answer with the picture itself."""
    retries: Annotated[int, Field(ge=0)] = 5
    """How often a request is sent again after 408, 409, 429, 5xx, a time-out or a lost connection."""
    timeout: Annotated[float, Field(gt=0)] = 300.0
    """Seconds that one request may take."""
    manifest: str | None = None
    """Table that says which prompt each of somebody's pictures has (folder): columns file_name, prompt, and perhaps id,
    set, number, seed, refused."""
    samples_per_shard: Annotated[int, Field(gt=0, le=100_000)] = 100
    """Pictures in one tar."""
    args: dict[str, Any] = {}
    """Passed on as they are: arguments of the pipeline's call, or further fields of the request."""
