"""The application: which path leads to what. The only place where FastAPI is known."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from curate.core.version import __version__
from curate.serving import judge_endpoint, litellm_guardrail, openai_moderations
from curate.serving.answering import ClientGone, Service, answered
from curate.serving.errors import Refused
from curate.serving.page import PAGE_HEADERS, page
from curate.serving.request_log import GONE, RequestLog, log_stream

MODERATIONS, JUDGE = "/v1/moderations", "/v1/judge"
GUARDRAIL = "/beta/litellm_basic_guardrail_api"
POLICIES, HEALTH, READY, METRICS = "/v1/policies", "/health", "/ready", "/metrics"
ENDPOINTS = frozenset((MODERATIONS, JUDGE, GUARDRAIL, POLICIES, HEALTH, READY, METRICS, "/"))


class Error(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorResponse(BaseModel):
    """As OpenAI's clients read it."""

    error: Error
    curate: judge_endpoint.JudgeResponse | None = None
    """The decision on a picture that was not judged, which blocks it."""


_CODES = {404: "not_found", 405: "method_not_allowed"}
_MEANINGS = {
    400: "The request is not understood, or asks for what is not allowed",
    401: "No token, or a wrong one",
    408: "The request did not arrive in time",
    413: "The request, or a picture in it, is too large",
    422: "A picture cannot be judged, or not all of it",
    429: "Too much at once; Retry-After says when to come again",
    500: "A defect of the service",
    503: "Nothing can be judged now; Retry-After says when to come again",
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": meaning, "model": ErrorResponse} for status, meaning in _MEANINGS.items()
}


def make_app(service: Service) -> ASGIApp:
    """The application of a service."""
    app = FastAPI(title="curate", version=__version__, docs_url=None, redoc_url=None, summary="Judges pictures.")
    _add_errors(app)
    _add_judging(app, service)
    _add_looking(app, service)
    return RequestLog(app, service.metrics, ENDPOINTS, log_stream(wanted=service.serve.log))


def _add_judging(app: FastAPI, service: Service) -> None:
    judge_parse = judge_endpoint.parser(service.serve)

    @app.post(
        MODERATIONS,
        response_model=openai_moderations.ModerationResponse,
        responses=_ERRORS,
        openapi_extra=_body(openai_moderations.ModerationRequest),
    )
    async def moderations(request: Request) -> Response:
        """OpenAI's moderations: a result for each picture."""
        found = await answered(service, request, openai_moderations.parse)
        model = service.settings.model.name
        return JSONResponse(openai_moderations.response(found, request.scope["curate.request"], model))

    @app.post(
        JUDGE,
        response_model=judge_endpoint.JudgeResponse,
        responses=_ERRORS,
        openapi_extra=_body(judge_endpoint.JudgeRequest, form=True),
    )
    async def judge(request: Request) -> Response:
        """One picture: its row, and the decision on it."""
        return JSONResponse(judge_endpoint.response(await answered(service, request, judge_parse)))

    @app.post(
        GUARDRAIL,
        response_model=litellm_guardrail.GuardrailResponse,
        responses=_ERRORS,
        openapi_extra=_body(litellm_guardrail.GuardrailRequest),
    )
    async def guardrail(request: Request) -> Response:
        """LiteLLM's generic guardrail."""
        try:
            found = await answered(service, request, litellm_guardrail.parse)
        except litellm_guardrail.NothingToJudge:
            return JSONResponse({"action": "NONE"})
        return JSONResponse(litellm_guardrail.response(found))


def _add_looking(app: FastAPI, service: Service) -> None:
    @app.get(HEALTH)
    async def health() -> dict[str, str]:
        """Whether the process lives."""
        return {"status": "alive"}

    @app.get(READY, responses={503: _ERRORS[503]})
    async def ready() -> dict[str, str]:
        """Whether requests are answered: the model has answered once, and nothing ends."""
        if service.admission.closed is not None:
            raise Refused(503, "not_ready", service.admission.closed, retry_after=5)
        return {"status": "ready"}

    @app.get(METRICS, response_class=PlainTextResponse, responses={401: _ERRORS[401]})
    async def metrics(request: Request) -> Response:
        """For Prometheus."""
        service.tokens.name_of(request.headers.get("authorization"))
        return PlainTextResponse(service.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get(POLICIES, responses={401: _ERRORS[401]})
    async def policies(request: Request) -> dict[str, Any]:
        """What requests can be judged under."""
        service.tokens.name_of(request.headers.get("authorization"))
        return _policies(service)

    @app.get("/", include_in_schema=False)
    async def try_it() -> Response:
        return Response(page(), media_type="text/html; charset=utf-8", headers=PAGE_HEADERS)


def _policies(service: Service) -> dict[str, Any]:
    model = service.settings.model
    return {
        "model": model.name,
        "warning": model.warning,
        "own_policies": service.serve.own_policies,
        "policies": [
            {
                "name": served.policy.name,
                "hash": served.hash,
                "text": service.policies.question(served, None).text,
                "categories": [
                    {"code": code, "name": one.name, "enforced": one.enforced, "moderation": list(one.moderation)}
                    for code, one in served.policy.categories.items()
                ],
            }
            for served in service.policies.named
        ],
    }


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        request.scope["curate.code"] = error.code
        return JSONResponse(error.body, error.status, headers=error.headers)

    @app.exception_handler(ClientGone)
    async def gone(request: Request, error: ClientGone) -> Response:
        return Response(status_code=GONE)

    @app.exception_handler(Exception)
    async def defect(request: Request, error: Exception) -> Response:
        request_id = request.scope["curate.request"]
        said = Refused(500, "internal_error", f"a defect of the service; its log tells of request {request_id}")
        return JSONResponse(said.body, said.status)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        said = Refused(error.status_code, _CODES.get(error.status_code, "http_error"), str(error.detail))
        return JSONResponse(said.body, said.status, headers=error.headers)


def _body(model: type[BaseModel], *, form: bool = False) -> dict[str, Any]:
    """A body for the OpenAPI page: it is read by hand, within its bounds."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    content: dict[str, Any] = {"application/json": {"schema": _flat(schema)}}
    if form:
        fields: dict[str, Any] = {"image": {"type": "string", "format": "binary"}, "policy": {"type": "string"}}
        fields |= {"rationale": {"type": "string", "enum": ["true", "false", "all", "unsafe", "none"]}}
        content["multipart/form-data"] = {"schema": {"type": "object", "properties": fields, "required": ["image"]}}
    return {"requestBody": {"required": True, "content": content}}


def _flat(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` with what it refers to in the place of the references."""
    known = schema.pop("$defs", {})

    def put(node: Any) -> Any:
        if isinstance(node, dict):
            name = str(node.get("$ref", "")).rpartition("/")[2]
            return put(known[name]) if name else {key: put(value) for key, value in node.items()}
        return [put(one) for one in node] if isinstance(node, list) else node

    flat: dict[str, Any] = put(schema)
    return flat
