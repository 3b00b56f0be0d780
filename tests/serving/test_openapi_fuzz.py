"""Requests that schemathesis makes of the OpenAPI page, valid and not: none ends in a defect, all as described."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is a dependency of development")

from tests.support.services import serving  # noqa: E402

pytestmark = pytest.mark.slow
CASES = 1000 if os.environ.get("CURATE_RELIABILITY") == "full" else 30


@pytest.fixture(scope="module")
def service():
    with serving("policies=[llavaguard,kids]", own_policies=True) as running:
        yield running


@pytest.mark.parametrize("mode", [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE])
def test_whatever_is_asked_is_answered_as_described(service, mode):
    described = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    checks = [
        schemathesis.checks.not_a_server_error,
        schemathesis.checks.status_code_conformance,
        schemathesis.checks.response_schema_conformance,
        schemathesis.checks.content_type_conformance,
    ]
    asked = 0
    for found in described.get_all_operations():
        operation = found.ok()
        if mode is schemathesis.GenerationMode.NEGATIVE and not operation.body:
            continue  # nothing about it can be wrong

        @settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case):
            nonlocal asked
            asked += 1
            case.validate_response(case.call(), checks=checks)

        ask()
    assert asked >= CASES * 3
    assert service.service.admission.images == 0
