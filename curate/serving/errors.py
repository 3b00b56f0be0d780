"""What is refused, in the shape that OpenAI's clients know, with the code that says whether to come again.

4xx is about this request: the same one will be refused again. 429 and 503 say when to come again.
"""

from __future__ import annotations

from typing import Any

from curate.core.types import Status
from curate.guard.decision import Decision

RETRY_SECONDS = 1
_TOO_LARGE = (Status.TOO_MANY_BYTES, Status.TOO_MANY_PIXELS)


class Refused(Exception):
    """No result, and why.

    Args:
        status: of HTTP.
        code: a word that programs can tell it by.
        message: for a person.
        param: the part of the request that it is about.
        retry_after: seconds after which the same request may do better.
    """

    def __init__(
        self, status: int, code: str, message: str, *, param: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.decision: Decision | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Beside the body."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        # What still comes of a request that is too long or too slow is not waited for.
        headers |= {"Connection": "close"} if self.status in (408, 413) else {}
        return headers | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})

    @property
    def body(self) -> dict[str, Any]:
        """As OpenAI's clients read it; `curate` holds the decision of a picture that was not judged."""
        error = {"message": self.message, "type": _kind(self.status), "param": self.param, "code": self.code}
        return {"error": error} | ({"curate": self.decision.as_json()} if self.decision else {})


def unjudged(decision: Decision, param: str) -> Refused:
    """The refusal of a picture that has no label, or whose label does not speak of all of it."""
    partly = decision.rating is not None
    code = "partly_judged" if partly else decision.status
    refused = Refused(
        413 if decision.status in _TOO_LARGE else 422,
        code,
        f"{param} was not judged: {decision.detail or decision.status}",
        param=param,
    )
    refused.decision = decision
    return refused


def _kind(status: int) -> str:
    if status == 401:
        return "authentication_error"
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"
