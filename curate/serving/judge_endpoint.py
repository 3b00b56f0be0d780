"""`POST /v1/judge`: one picture in, its annotation row and the decision on it out."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel
from starlette.requests import Request

from curate.serving.answering import Answered, Asked
from curate.serving.errors import Refused
from curate.serving.image_input import ImageGiven
from curate.serving.openai_moderations import mode_of
from curate.serving.request_body import form_of, parsed
from curate.settings.serve import ServeSettings

_WORDS: dict[str, bool] = {"true": True, "false": False, "1": True, "0": False}


class JudgeRequest(BaseModel):
    """As JSON; a multipart form has the same fields, `image` being a file."""

    image: str
    """A data URL, bare base64, or a link of a host in `serve.domains`."""
    policy: str | None = None
    """Name of a policy, or where the service allows it the text of one."""
    rationale: bool | Literal["all", "unsafe", "none"] | None = None
    """Whether the answer has a rationale."""


class JudgeResponse(BaseModel):
    """See `curate.guard.decision.Decision`."""

    blocked: bool
    status: str
    policy: str
    policy_hash: str
    split: str
    decided_by: str
    rating: str | None
    category: str | None
    category_name: str | None
    rationale: str | None
    p_unsafe: float | None
    p_calibrated: float | None
    category_scores: dict[str, float] | None
    reached: list[str]
    detail: str | None
    sha256: str | None


def parser(settings: ServeSettings) -> Any:
    """What reads a request."""

    async def parse(request: Request, body: bytes) -> Asked:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            return _of_form(await form_of(request, body, settings))
        asked: JudgeRequest = await parsed(body, JudgeRequest)
        given = ImageGiven(param="image", text=asked.image)
        return Asked(images=[given], policy=asked.policy, rationale=mode_of(asked.rationale))

    return parse


def _of_form(form: dict[str, str | bytes]) -> Asked:
    image = form.get("image")
    if image is None:
        raise Refused(400, "missing_image", "image: is missing from the form", param="image")
    given = ImageGiven(
        param="image", text=image if isinstance(image, str) else "", body=image if isinstance(image, bytes) else None
    )
    policy, rationale = (_text(form, name) for name in ("policy", "rationale"))
    return Asked(images=[given], policy=policy, rationale=mode_of(_WORDS.get(rationale or "", rationale or None)))


def _text(form: dict[str, str | bytes], name: str) -> str | None:
    value = form.get(name)
    if isinstance(value, bytes):
        raise Refused(400, "invalid_value", f"{name}: is a file, and should be a text", param=name)
    return value


def response(answered: Answered) -> dict[str, Any]:
    """The answer to a request."""
    (decision,) = answered.decisions
    return decision.as_json()
