"""`POST /beta/litellm_basic_guardrail_api`: LiteLLM's generic guardrail, for gateways without code of their own.

A request without any picture is refused, unless the gateway's configuration says that such may pass unjudged
(`additional_provider_specific_params: {text_alone: pass}`): prompts are not what is judged here.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from curate.guard.decision import Decision
from curate.serving.answering import Answered, Asked
from curate.serving.errors import Refused
from curate.serving.image_input import ImageGiven
from curate.serving.request_body import parsed


class GuardrailParams(BaseModel):
    """What a gateway's configuration may say."""

    model_config = ConfigDict(extra="ignore")

    policy: str | None = None
    """Name of a policy."""
    text_alone: Literal["refuse", "pass"] = "refuse"
    """What becomes of requests without pictures, which nobody judges."""


class GuardrailRequest(BaseModel):
    """As LiteLLM sends it; of the rest nothing is looked at."""

    model_config = ConfigDict(extra="ignore")

    images: list[str] | None = None
    """Data URLs, bare base64, or links of hosts in `serve.domains`."""
    texts: list[str] | None = None
    """Not judged."""
    input_type: str | None = None
    """request or response."""
    additional_provider_specific_params: GuardrailParams | None = None
    """Of the gateway's configuration."""


class GuardrailResponse(BaseModel):
    """What the gateway is to do."""

    action: Literal["BLOCKED", "NONE"]
    blocked_reason: str | None = None
    curate: list[dict[str, Any]] = Field(default=[], description="The decisions, as /v1/judge gives them")


class NothingToJudge(Exception):
    """A request without pictures, of a gateway that lets such pass."""


async def parse(_: Request, body: bytes) -> Asked:
    """Read a request.

    Raises:
        Refused: 400, it is none, or holds no picture.
        NothingToJudge: it holds none, and may pass.
    """
    asked: GuardrailRequest = await parsed(body, GuardrailRequest)
    params = asked.additional_provider_specific_params or GuardrailParams()
    if not asked.images:
        if params.text_alone == "pass":
            raise NothingToJudge
        message = "images: there are none, and texts are not judged here; text_alone: pass lets such requests through"
        raise Refused(400, "text_not_supported", message, param="images")
    images = [ImageGiven(param=f"images[{index}]", text=text) for index, text in enumerate(asked.images)]
    return Asked(images=images, policy=params.policy)


def response(answered: Answered) -> dict[str, Any]:
    """The answer to a request."""
    blocked = [(index, decision) for index, decision in enumerate(answered.decisions) if decision]
    reason = "; ".join(f"images[{index}]: {_why(decision)}" for index, decision in blocked) or None
    return {
        "action": "BLOCKED" if blocked else "NONE",
        "blocked_reason": reason,
        "curate": [decision.as_json() for decision in answered.decisions],
    }


def _why(decision: Decision) -> str:
    return f"{decision.rating}, {decision.category}: {decision.category_name} ({decision.decided_by})"
