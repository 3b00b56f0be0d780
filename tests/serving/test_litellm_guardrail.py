"""LiteLLM's generic guardrail, by the request that its documentation shows."""

from __future__ import annotations

import pytest

from tests.support.services import data_url, png, serving

PATH = "/beta/litellm_basic_guardrail_api"


@pytest.fixture(scope="module")
def service():
    with serving("policies=[llavaguard,kids]") as running:
        yield running


def request(*images, **fields):
    return {
        "texts": ["a cat on a sofa"],
        "images": list(images),
        "request_data": {"user_api_key_alias": "me", "user_api_key_hash": "0" * 64},
        "input_type": "response",
        "litellm_call_id": "b0d3b1a8",
        "litellm_trace_id": None,
        "additional_provider_specific_params": {},
    } | fields


def test_one_blocked_picture_blocks_and_is_named(service):
    rows = [service.judge(png(n)).json() for n in range(30)]
    blocked = next(n for n, row in enumerate(rows) if row["blocked"])
    passed = next(n for n, row in enumerate(rows) if not row["blocked"])
    answer = service.client.post(PATH, json=request(data_url(png(passed)), data_url(png(blocked)))).json()
    assert answer["action"] == "BLOCKED"
    assert answer["blocked_reason"].startswith(f"images[1]: Unsafe, {rows[blocked]['category']}: ")
    assert answer["curate"] == [rows[passed], rows[blocked]]
    answer = service.client.post(PATH, json=request(data_url(png(passed)).partition(",")[2])).json()
    assert (answer["action"], answer["blocked_reason"]) == ("NONE", None)


def test_the_configuration_names_the_policy(service):
    fields = {"additional_provider_specific_params": {"policy": "kids"}}
    answer = service.client.post(PATH, json=request(data_url(png(1)), **fields)).json()
    assert answer["curate"][0]["policy"] == "kids"


@pytest.mark.parametrize("images", [{}, {"images": None}, {"images": []}])
def test_a_prompt_does_not_pass_as_judged_unless_the_configuration_lets_it(service, images):
    body = {name: value for name, value in request().items() if name != "images"} | images
    refused = service.client.post(PATH, json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "text_not_supported")
    body["additional_provider_specific_params"] = {"text_alone": "pass"}
    assert service.client.post(PATH, json=body).json() == {"action": "NONE"}


def test_a_picture_that_cannot_be_judged_is_an_error_and_not_a_pass(service):
    broken = service.client.post(PATH, json=request(data_url(png(1)), data_url(b"no picture")))
    assert (broken.status_code, broken.json()["error"]["param"]) == (422, "images[1]")
