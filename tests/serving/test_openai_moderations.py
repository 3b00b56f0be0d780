"""OpenAI's contract, by OpenAI's own client."""

from __future__ import annotations

import asyncio

import openai
import pytest

from curate.policies.policy import MODERATION
from tests.support.services import part, png, serving

KEY = {"api_key": "none", "max_retries": 0}
UNSAFE, SAFE = png(3), png(1)
"""By what the fake engine draws from their hashes under the policy `llavaguard`."""


@pytest.fixture(scope="module")
def service():
    with serving("policies=[llavaguard,kids]") as running:
        yield running


@pytest.fixture(scope="module")
def client(service):
    return openai.OpenAI(base_url=f"{service.url}/v1", **KEY)


def by_rating(service, wanted, policy="llavaguard"):
    """A picture that gets this rating."""
    for seed in range(200):
        row = service.judge(png(seed), policy=policy).json()
        if row["rating"] == wanted and (wanted == "Safe" or row["category"] in ("O2", "O3", "O6")):
            return png(seed), row
    raise AssertionError("no such picture")


def test_a_picture_has_every_category_and_the_policys_own(service, client):
    image, row = by_rating(service, "Unsafe")
    response = client.moderations.create(input=[part(image)])
    (result,) = response.results
    assert response.id == f"modr-{response._request_id}"
    assert response.model == "builtin"
    assert result.flagged
    categories = result.categories.model_dump(by_alias=True)
    codes = [f"O{n}" for n in range(1, 10)]
    assert set(categories) - {name for name in categories if "_" in name} == {*MODERATION, *codes}
    assert None not in categories.values()
    policy = service.service.settings.policies["llavaguard"]
    named = {*policy.categories[row["category"]].moderation, row["category"]}
    assert {name for name in (*MODERATION, *codes) if categories[name]} == named
    scores = result.category_scores.model_dump(by_alias=True)
    assert all(scores[name] == (row["p_unsafe"] if name in named else 0.0) for name in (*MODERATION, *codes))
    assert result.model_extra["curate"] == row


@pytest.mark.slow
def test_with_scores_of_categories_each_has_its_own_and_what_several_stand_for_their_sum():
    filters = ["filter.by_category.O3.unsafe=0.02"]
    with serving("policy=llavaguard", "model.category_scores=true", *filters) as running:
        client = openai.OpenAI(base_url=f"{running.url}/v1", **KEY)
        policy = running.service.settings.policies["llavaguard"]
        by_score = 0
        for seed in range(30):
            (result,) = client.moderations.create(input=[part(png(seed))]).results
            said, scores = result.model_extra["curate"], result.category_scores.model_dump(by_alias=True)
            own = {code: scores[code] for code in policy.categories}
            assert own == said["category_scores"]
            assert sum(own.values()) == pytest.approx(said["p_unsafe"], rel=1e-4)
            for name in MODERATION:
                standing = [own[code] for code, one in policy.categories.items() if name in one.moderation]
                assert scores[name] == pytest.approx(min(1.0, sum(standing)))
            flags = result.categories.model_dump(by_alias=True)
            assert flags["O3"] == (result.flagged and (said["category"] == "O3" or own["O3"] >= 0.02))
            by_score += result.flagged and said["rating"] == "Safe"
        assert by_score > 1, "pictures that were called Safe"


def test_what_the_policy_does_not_cover_is_told_apart_from_what_is_not_flagged(client):
    (result,) = client.moderations.create(input=[part(SAFE)]).results
    applied = result.category_applied_input_types.model_dump(by_alias=True)
    assert applied["sexual/minors"] == applied["harassment/threatening"] == applied["self-harm/intent"] == []
    assert applied["violence"] == applied["sexual"] == applied["O1"] == ["image"]


def test_a_safe_picture_is_not_flagged_in_any_category(service, client):
    image, _ = by_rating(service, "Safe")
    (result,) = client.moderations.create(input=[part(image)]).results
    assert result.flagged is False
    assert not any(result.categories.model_dump(by_alias=True).values())


@pytest.mark.slow
def test_a_category_that_is_allowed_is_not_covered():
    with serving("policy=llavaguard", "policy.categories.O7.enforced=false") as running:
        (result,) = running.moderate(SAFE).json()["results"]
    assert result["category_applied_input_types"]["self-harm"] == []
    assert result["category_applied_input_types"]["O7"] == []


def test_several_pictures_have_a_result_each_in_their_order(service, client):
    images = [png(n) for n in range(10)]
    results = client.moderations.create(input=[part(image) for image in images]).results
    alone = [service.judge(image).json() for image in images]
    assert [result.model_extra["curate"] for result in results] == alone
    assert len({one["sha256"] for one in alone}) == 10


@pytest.mark.slow
def test_the_asynchronous_client_and_many_requests_at_once(service):
    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", **KEY) as client:
            return await asyncio.gather(*(client.moderations.create(input=[part(png(n))]) for n in range(40)))

    found = [response.results[0].model_extra["curate"]["sha256"] for response in asyncio.run(ask())]
    assert found == [service.judge(png(n)).json()["sha256"] for n in range(40)]


def test_a_policy_and_a_rationale_are_asked_for_in_the_extra_body(client):
    (result,) = client.moderations.create(
        input=[part(UNSAFE)], extra_body={"policy": "kids", "rationale": True}
    ).results
    said = result.model_extra["curate"]
    assert said["policy"] == "kids"
    assert said["rationale"].startswith("Drawn from the hash")


@pytest.mark.parametrize("given", ["a text", ["a text", "another"], [{"type": "text", "text": "a text"}], []])
def test_text_alone_is_refused_as_openai_refuses(client, given):
    with pytest.raises(openai.BadRequestError) as refused:
        client.moderations.create(input=given)
    assert refused.value.code == "text_not_supported"
    assert refused.value.param.startswith("input")
    assert refused.value.type == "invalid_request_error"


def test_text_beside_a_picture_is_not_judged_and_says_so(client):
    (result,) = client.moderations.create(input=[{"type": "text", "text": "a prompt"}, part(SAFE)]).results
    assert {kind for kinds in result.category_applied_input_types.model_dump().values() for kind in kinds} == {"image"}


def test_a_text_among_strings_is_refused_and_a_data_url_is_a_picture(service, client):
    url = part(SAFE)["image_url"]["url"]
    assert client.moderations.create(input=url).results[0].model_extra["curate"] == service.judge(SAFE).json()
    with pytest.raises(openai.BadRequestError, match="text"):
        client.moderations.create(input=[url, "a text"])


def test_too_many_pictures(client):
    with pytest.raises(openai.BadRequestError) as refused:
        client.moderations.create(input=[part(png(n)) for n in range(17)])
    assert refused.value.code == "too_many_images"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[]", "invalid_value"),
        (b'{"input": 3}', "invalid_value"),
        (b'{"input": [{"type": "video", "url": "x"}]}', "invalid_value"),
        (b'{"input": [{"type": "image_url"}]}', "invalid_value"),
        (b'{"input": [{"type": "image_url", "image_url": {"url": "data:image/png,x"}}]}', "invalid_image_url"),
        (b'{"input": [{"type": "image_url", "image_url": {"url": "data:;base64,@@@"}}]}', "invalid_base64"),
        (b'{"input": [{"type": "image_url", "image_url": {"url": ""}}]}', "empty_image"),
        (b'{"input": "data:image/png;base64,AAAA", "policy": "nobody"}', "unknown_policy"),
        (b'{"input": "data:image/png;base64,AAAA", "rationale": "some"}', "invalid_value"),
        (b"\xff\xfe", "invalid_json"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(service, body, code):
    response = service.client.post("/v1/moderations", content=body)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["code"] == code
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
