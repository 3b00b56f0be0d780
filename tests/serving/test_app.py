"""The OpenAPI page tells of every endpoint what it takes; whatever goes wrong has the same shape."""

from __future__ import annotations

import json

import pytest

from curate.serving.app import ENDPOINTS
from tests.support.services import png, serving


@pytest.fixture(scope="module")
def service():
    with serving("policy=llavaguard") as running:
        yield running


def test_every_endpoint_is_described(service):
    described = service.client.get("/openapi.json").json()
    assert described["paths"].keys() == ENDPOINTS - {"/"}
    assert "$ref" not in json.dumps(described["paths"]["/v1/moderations"]["post"]["requestBody"])
    assert "multipart/form-data" in described["paths"]["/v1/judge"]["post"]["requestBody"]["content"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "not_found"), ("GET", "/v1/judge", 405, "method_not_allowed")],
)
def test_errors_of_http_have_the_shape_of_the_others(service, method, path, status, code):
    response = service.client.request(method, path)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_a_defect_of_ours_is_an_error_too(service, monkeypatch):
    def defect(*_):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("curate.serving.judge_endpoint.response", defect)
    response = service.judge(png(1))
    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")
    assert "secret" not in response.text
    assert response.headers["x-request-id"] in response.text
