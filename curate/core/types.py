"""The nouns: what is read, what is asked, what comes back, and what is written down.

All are frozen and keyword-only. A dictionary that grows keys on the way is not a type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Status(StrEnum):
    """What became of one sample. Everything but LABELLED is a reason why there is no label."""

    LABELLED = "labelled"
    MISSING_IMAGE = "missing_image"
    UNDECODABLE = "undecodable"
    UNSUPPORTED_FORMAT = "unsupported_format"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_PIXELS = "too_many_pixels"
    BLOCKED = "blocked"
    INVALID_POLICY = "invalid_policy"
    REJECTED_BY_ENGINE = "rejected_by_engine"
    INVALID_OUTPUT = "invalid_output"
    ENGINE_FAILURE = "engine_failure"


class Rating(StrEnum):
    """The two ratings a safeguard can give."""

    SAFE = "Safe"
    UNSAFE = "Unsafe"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRef:
    """One unit of work in a plan.

    Attributes:
        id: unique in the plan and safe as a file name; depends on nothing but the url and the part.
        url: a path or any fsspec URL.
        format: the name of the source that reads it, a key of `curate.sources.registry.SOURCES`.
        part: which piece of `url` this is, where one url holds several shards; else "".
        bytes: size when planned, None where unknown.
        samples: number of samples, None where it cannot be known without reading.
        version: what changes when the content does (size and mtime, or an ETag), None where unknown.
        take: how many of its samples belong to the run, the first ones; None means all.
    """

    id: str
    url: str
    format: str
    part: str = ""
    bytes: int | None = None
    samples: int | None = None
    version: str | None = None
    take: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there is no label: a status other than LABELLED, and one line of detail (kind and message)."""

    status: Status
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One picture as it stands in the source, and what comes with it: of most samples, the whole of it.

    A sample of several pictures comes as several of these, one behind the other, with one key and one index. The first
    carries the sample: its sidecar holds whatever is not its own image, the further pictures too. These carry nothing
    but themselves.

    Attributes:
        key: the sample's key as in the source; may repeat.
        index: position of the sample in its shard, from 0; (shard, index) is unique among samples.
        picture: number of the picture in its sample, from 0.
        image: the original bytes, never re-encoded; None where there are none.
        image_name: what the source calls the image (member name, path); "" where it has no name.
        image_at: how many of the sidecar's entries stand before the image in the source.
        part: which of the sample's pictures this is, as `dataset.image` names them: the suffix of a member or file, a
            column ("images[3]" in a list); None where there is none.
        sidecar: everything else of the sample, exact bytes by name, in the order of the source; of the first picture.
        meta: the sidecar as a person reads it (caption, url, ...); JSON-serialisable.
        failure: what the source itself found wrong, e.g. an image too large to hold.
        sha256: of the image's bytes where it is known already, as it is of one that is there but too large to hold
            (`image` is None then); else None.
        unjudged: what else there is to see in the sample, and is not to be judged, in words; None for nothing.
    """

    key: str
    index: int
    image: bytes | None
    picture: int = 0
    image_name: str = ""
    image_at: int = 0
    part: str | None = None
    sidecar: Mapping[str, bytes] = field(default_factory=dict)
    meta: Mapping[str, object] = field(default_factory=dict)
    failure: Failure | None = None
    sha256: str | None = None
    unjudged: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked about every image under one policy; picklable, hashed into the fingerprint.

    Attributes:
        policy: name of the policy.
        text: the policy prompt, without any image placeholder.
        categories: every category string an answer may hold, e.g. "O1: Hate, ...", "NA: None applying" last.
        violable: those that an Unsafe answer may name, i.e. the enforced ones.
        rationale: "all", "unsafe" or "none".
        rationale_above: with "unsafe", a Safe answer whose p_unsafe lies above this has a rationale too.
        rationale_chars: upper bound of a rationale, in characters.
        category_scores: whether the scores of all violable categories are wanted.
    """

    policy: str
    text: str
    categories: tuple[str, ...]
    violable: tuple[str, ...]
    rationale: str = "all"
    rationale_above: float | None = None
    rationale_chars: int = 600
    category_scores: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unaskable:
    """In place of a Question where a row names a policy that nothing can be asked under.

    Attributes:
        policy: its name as far as it has one, else "".
        failure: what is wrong with it.
    """

    policy: str
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an engine returns for one image and one question.

    Attributes:
        text: the whole answer, prefill included, as the model was trained to lay it out.
        p_unsafe: p(Unsafe) / (p(Unsafe) + p(Safe)) at the rating; None where the engine cannot tell.
        label_mass: p(Unsafe) + p(Safe) under the whole vocabulary; None where a grammar hides it.
        category_scores: p_unsafe x P(category | Unsafe) by code, of the violable categories; they add up to p_unsafe.
            None unless the question wants them.
        prompt_tokens, cached_tokens, output_tokens: as the engine counted them, over all its passes.
        score_seconds, continue_seconds: time in its passes; 0 where an engine has none or cannot tell.
    """

    text: str
    p_unsafe: float | None
    label_mass: float | None
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    category_scores: Mapping[str, float] | None = None
    score_seconds: float = field(default=0.0, compare=False)
    continue_seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A parsed answer: rating, category code ("O3", "NA"), category name, rationale."""

    rating: Rating
    category: str
    category_name: str
    rationale: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A picture's one fate under one policy: one row of annotations/. See `curate.runs.annotation_table.SCHEMA`."""

    key: str
    shard: str
    index: int
    policy: str
    status: Status
    image_name: str | None = None
    sha256: str | None = None
    rating: Rating | None = None
    category: str | None = None
    category_name: str | None = None
    rationale: str | None = None
    p_unsafe: float | None = None
    label_mass: float | None = None
    category_scores: Mapping[str, float] | None = None
    detail: str | None = None
    frames: tuple[int, ...] | None = None
    width: int | None = None
    height: int | None = None
    reused_from: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    meta: str = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Where and why a shard broke off: samples before `index` were read, what follows was not."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """What of a source is no part of any sample, for one reason: how many there are, and the name of the first."""

    count: int
    first: str
