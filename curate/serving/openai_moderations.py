"""`POST /v1/moderations`, by OpenAI's contract.

Two things differ, both so that nothing reads as passed that was not judged. Each picture of a request has a result of
its own, in their order. And all standard categories are in every result, since clients read a missing one as "not
flagged"; what the policy does not cover has `category_applied_input_types: []`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from curate.guard.decision import Decision
from curate.policies.policy import MODERATION, Policy
from curate.serving.answering import Answered, Asked
from curate.serving.errors import Refused
from curate.serving.image_input import ImageGiven, is_data_url
from curate.serving.request_body import parsed


class ImageUrl(BaseModel):
    """Where a picture is."""

    url: str
    """A data URL; or a link of a host in `serve.domains`."""


class ImagePart(BaseModel):
    """A picture."""

    type: Literal["image_url"]
    image_url: ImageUrl


class TextPart(BaseModel):
    """A text, which is not judged."""

    type: Literal["text"]
    text: str


class ModerationRequest(BaseModel):
    """As OpenAI's clients send it, and two fields of our own (`extra_body`)."""

    model_config = ConfigDict(extra="ignore")

    input: str | list[str] | list[ImagePart | TextPart]
    """Pictures; texts beside them are not judged, and texts alone are refused."""
    model: str | None = None
    """Not looked at: a service has one model."""
    policy: str | None = None
    """Name of a policy, or where the service allows it the text of one."""
    rationale: bool | Literal["all", "unsafe", "none"] | None = None
    """Whether answers have a rationale."""


class ModerationResult(BaseModel):
    """One picture's."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]
    curate: dict[str, Any] = Field(description="The decision, as /v1/judge gives it")


class ModerationResponse(BaseModel):
    """A result for each picture, in their order."""

    id: str
    model: str
    results: list[ModerationResult]


def mode_of(rationale: bool | str | None) -> str | None:
    """A mode of the rationale; of a truth value all or none."""
    if isinstance(rationale, bool):
        return "all" if rationale else "none"
    return rationale


async def parse(_: Request, body: bytes) -> Asked:
    """Read a request.

    Raises:
        Refused: 400, it is none, or holds no picture.
    """
    asked: ModerationRequest = await parsed(body, ModerationRequest)
    images = list(_images(asked.input))
    if not images:
        message = "input: holds no picture; this service judges pictures, and text alone it cannot judge"
        raise Refused(400, "text_not_supported", message, param="input")
    return Asked(images=images, policy=asked.policy, rationale=mode_of(asked.rationale))


def _images(given: str | Sequence[str] | Sequence[ImagePart | TextPart]) -> Iterator[ImageGiven]:
    for index, part in enumerate([given] if isinstance(given, str) else given):
        param = "input" if isinstance(given, str) else f"input[{index}]"
        if isinstance(part, ImagePart):
            yield ImageGiven(param=param, text=part.image_url.url)
        elif isinstance(part, str) and is_data_url(part):
            yield ImageGiven(param=param, text=part)
        elif isinstance(part, str):
            message = f"{param}: is a text; this service judges pictures, and text it cannot judge"
            raise Refused(400, "text_not_supported", message, param=param)


def response(answered: Answered, request_id: str, model: str) -> dict[str, Any]:
    """The answer to a request."""
    results = [result_of(decision, answered.served.policy) for decision in answered.decisions]
    return {"id": f"modr-{request_id}", "model": model, "results": results}


def result_of(decision: Decision, policy: Policy) -> dict[str, Any]:
    """A picture's result.

    With `model.category_scores` each category has its own, and what stands for several of them their sum. Otherwise the
    score of a category is p_unsafe, calibrated where the service calibrates, if the answer names the category, and 0 if
    it names another; where the engine tells no p_unsafe, it is 1 or 0 by the decision.
    """
    covered = {name for category in policy.categories.values() if category.enforced for name in category.moderation}
    found = {code for code in (decision.category, *decision.reached) if code}
    named = found | {name for code in found if code in policy.categories for name in policy.categories[code].moderation}
    keys = (*MODERATION, *policy.categories)
    applied: Mapping[str, list[str]] = {
        **{name: ["image"] if name in covered else [] for name in MODERATION},
        **{code: ["image"] if one.enforced else [] for code, one in policy.categories.items()},
    }
    return {
        "flagged": decision.blocked,
        "categories": {key: decision.blocked and key in named for key in keys},
        "category_scores": dict.fromkeys(keys, 0.0) | _scores(decision, policy),
        "category_applied_input_types": applied,
        "curate": decision.as_json(),
    }


def _scores(decision: Decision, policy: Policy) -> dict[str, float]:
    """Of the policy's categories, and of what they stand for."""
    scores = decision.category_scores
    if scores is None:
        scores = {decision.category: _score(decision)} if decision.category else {}
    sums = {code: score for code, score in scores.items() if code in policy.categories}
    for code in tuple(sums):
        for name in policy.categories[code].moderation:
            sums[name] = min(1.0, sums.get(name, 0.0) + sums[code])
    return sums


def _score(decision: Decision) -> float:
    for p in (decision.p_calibrated, decision.p_unsafe):
        if p is not None:
            return p
    return float(decision.blocked)
