"""The server engine against a small HTTP server that answers as told, and against vLLM's own."""

import asyncio
import base64
import io
import json
import math
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import httpx
import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from curate.core.errors import EngineDead, InputError, RequestRejected
from curate.core.types import Question, Rating
from curate.engines.chat_response import p_unsafe_of
from curate.engines.factory import make_engine
from curate.engines.server import PngRenderer, ServerEngine
from curate.judges.verdicts import parse_answer
from curate.settings.engine import EngineSettings
from curate.settings.model import ModelSettings
from tests.support.waiting import HANG_SECONDS, wait_until

CATEGORIES = ("O1: Hate, Humiliation, Harassment", "O2: Violence, Harm, or Cruelty", "NA: None applying")
QUESTION = Question(policy="p", text="Assess the image.", categories=CATEGORIES, violable=CATEGORIES[:2])
SAFE = '{\n    "rating": "Safe",\n    "category": "NA: None applying",\n    "rationale": "A street."\n}'
PIXELS = np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)
PAYLOAD = PngRenderer().render(Image.fromarray(PIXELS), "0" * 64, QUESTION)


def completion(text: str = SAFE, unsafe: float | None = 0.25, **choice) -> dict:
    """A chat completion; `unsafe` is the probability of the token "Unsafe" at the rating."""
    body = {
        "choices": [{"message": {"content": text}, "finish_reason": "stop", **choice}],
        "usage": {"prompt_tokens": 90, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 64}},
    }
    if unsafe is not None:
        alternatives = [
            {"token": "Safe", "logprob": math.log(1 - unsafe)},
            {"token": "Unsafe", "logprob": math.log(unsafe)},
        ]
        tokens = [{"token": t, "logprob": 0.0, "top_logprobs": []} for t in ("{\n", '    "rating": "')]
        tokens.append({**alternatives[0], "top_logprobs": alternatives})
        body["choices"][0]["logprobs"] = {"content": tokens}
    return body


class Script:
    """Answers of the small server, in order; the last one for ever. Records what it was sent."""

    def __init__(self, *answers, models=("guard",), models_status=200):
        self.answers = list(answers) or [completion()]
        self.models = {"data": [{"id": name} for name in models]}
        self.models_status = models_status
        self.bodies: list[dict] = []
        self.keys: list[str | None] = []

    async def list_models(self, request):
        self.keys.append(request.headers.get("Authorization"))
        return web.json_response(self.models, status=self.models_status)

    async def complete(self, request):
        self.bodies.append(await request.json())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            return await answer(request)
        status, body, headers = answer if isinstance(answer, tuple) else (200, answer, {})
        return web.json_response(body, status=status, headers=headers)


@asynccontextmanager
async def running(script: Script):
    app = web.Application(client_max_size=2**26)
    app.router.add_get("/v1/models", script.list_models)
    app.router.add_post("/v1/chat/completions", script.complete)
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"
    finally:
        await runner.cleanup()


def engine(url, *, dialect="vllm", retries=2, back_off=0.001, timeout=HANG_SECONDS, **model) -> ServerEngine:
    args = {"dialect": dialect, "retries": retries, "back_off": back_off}
    settings = EngineSettings(name="server", url=url, timeout=timeout, max_requests=4, args=args)
    return ServerEngine(ModelSettings(name="guard", **{"path": "guard", **model}), settings)


def judge(script: Script, question=QUESTION, times=1, start=True, **options):
    """The answers, or what was raised, and the engine's metrics."""

    async def scenario():
        async with running(script) as url:
            judged = engine(url, **options)
            try:
                if start:
                    await judged.start()
                tasks = [judged.judge(PAYLOAD, question) for _ in range(times)]
                return await asyncio.gather(*tasks, return_exceptions=True), judged.metrics()
            finally:
                await judged.close()

    return asyncio.run(scenario())


def test_a_model_that_reads_the_policy_first_is_refused():
    settings = EngineSettings(name="server", url="http://127.0.0.1:9/v1")
    with pytest.raises(InputError, match=r"model\.layout=policy_first: .* use engine=vllm"):
        make_engine(ModelSettings(name="guard", path="guard", layout="policy_first"), settings)


def test_scores_of_categories_are_refused():
    settings = EngineSettings(name="server", url="http://127.0.0.1:9/v1")
    with pytest.raises(InputError, match=r"model\.category_scores=true: .* use engine=vllm"):
        make_engine(ModelSettings(name="guard", path="guard", category_scores=True), settings)


def test_the_picture_arrives_as_it_was_decoded_and_first():
    script = Script()
    judge(script)
    (first,) = (body["messages"][0]["content"] for body in script.bodies)
    assert [part["type"] for part in first] == ["image_url", "text"]
    assert first[1]["text"] == QUESTION.text
    head, _, data = first[0]["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), PIXELS)
    assert pickle.loads(pickle.dumps(PngRenderer))().render(Image.fromarray(PIXELS), "", QUESTION) == PAYLOAD


def test_an_answer_with_its_probability_and_tokens():
    (answer,), metrics = judge(Script())
    assert (answer.text, answer.label_mass) == (SAFE, None)
    assert answer.p_unsafe == pytest.approx(0.25)
    assert (answer.prompt_tokens, answer.cached_tokens, answer.output_tokens) == (90, 64, 20)
    assert metrics == {
        "requests": 1, "retries": 0, "prompt_tokens": 90, "cached_tokens": 64, "generation_tokens": 20
    }  # fmt: skip


def test_vllms_dialect_holds_the_answer_to_the_trained_layout():
    script = Script()
    judge(script, processor={"max_pixels": 1000})
    body = script.bodies[0]
    regex = re.compile(body["structured_outputs"]["regex"])
    assert regex.fullmatch(SAFE)
    assert not regex.fullmatch(SAFE.replace("NA: None applying", "O9: of no policy"))
    assert not regex.fullmatch(SAFE.replace("Safe", "Unsafe"))
    assert not regex.fullmatch(" " + SAFE)
    assert (body["logprobs"], body["top_logprobs"], body["temperature"]) == (True, 20, 0.0)
    assert body["mm_processor_kwargs"] == {"max_pixels": 1000}
    assert body["max_tokens"] > len(SAFE) / 3


def test_the_openai_dialect_sends_a_schema_and_nothing_of_vllm():
    script = Script()
    judge(script, dialect="openai")
    body = script.bodies[0]
    schema = body["response_format"]["json_schema"]["schema"]
    assert "NA: None applying" in json.dumps(schema)
    assert not {"structured_outputs", "top_k", "mm_processor_kwargs", "max_tokens"} & set(body)


def test_without_logprobs_the_probability_is_unknown():
    (answer,), _ = judge(Script(completion(unsafe=None)))
    assert (answer.text, answer.p_unsafe) == (SAFE, None)


def test_a_safe_answer_above_the_bound_is_asked_for_its_rationale():
    bare = SAFE.replace(',\n    "rationale": "A street."', "")
    question = replace(QUESTION, rationale="unsafe", rationale_above=0.2)
    script = Script(completion(bare, 0.25), completion(SAFE, 0.9))
    (answer,), metrics = judge(script, question)
    assert answer.text == SAFE
    assert answer.p_unsafe == pytest.approx(0.25)
    assert (answer.prompt_tokens, answer.cached_tokens, answer.output_tokens) == (180, 128, 40)
    assert metrics["requests"] == 2
    first, second = (re.compile(body["structured_outputs"]["regex"]) for body in script.bodies)
    assert first.fullmatch(bare)
    assert not second.fullmatch(bare)
    assert second.fullmatch(SAFE)
    below = Script(completion(bare, 0.1))
    assert judge(below, question)[1]["requests"] == 1


def test_an_answer_cut_in_its_rationale_is_completed():
    (answer,), _ = judge(Script(completion(SAFE[:-8], finish_reason="length")))
    assert parse_answer(answer.text, QUESTION).rating is Rating.SAFE


def test_a_refusal_without_text_is_left_to_the_parser():
    (answer,), _ = judge(Script(completion(None, None)))
    assert answer.text == ""


@pytest.mark.parametrize("trouble", [
    (429, {"error": {"message": "slow down"}}, {"Retry-After": "0"}),
    (503, {}, {}),
    (500, {"error": "oops"}, {}),
])  # fmt: skip
def test_passing_trouble_costs_no_answer(trouble):
    script = Script(trouble, trouble, completion())
    (answer,), metrics = judge(script)
    assert answer.text == SAFE
    assert (metrics["requests"], metrics["retries"]) == (3, 2)
    assert script.bodies[0] == script.bodies[2]


async def hang_up(request):
    request.transport.close()
    return web.Response()


async def never(request):
    await asyncio.sleep(5)


@pytest.mark.parametrize("trouble", [hang_up, never, (502, {}, {})])
@pytest.mark.slow
def test_lasting_trouble_means_a_dead_engine(trouble):
    (error,), metrics = judge(Script(trouble), timeout=0.1)
    assert isinstance(error, EngineDead)
    assert "3 times in a row" in str(error)
    assert metrics["requests"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("trouble", [hang_up, never])
def test_a_lost_or_late_answer_is_asked_for_again(trouble):
    (answer,), metrics = judge(Script(trouble, completion()), timeout=1)
    assert answer.text == SAFE
    assert metrics["retries"] == 1


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_the_server_will_not_take_is_rejected_at_once(status):
    (error,), metrics = judge(Script((status, {"error": {"message": "prompt\ntoo long"}}, {})))
    assert isinstance(error, RequestRejected)
    assert str(error) == f"{status}: prompt too long"
    assert metrics["requests"] == 1


@pytest.mark.parametrize(
    "answer", [(401, {}, {}), (404, {}, {}), {}, {"choices": []}, [], {"choices": [{"message": 3}]}]
)
def test_what_no_server_answers_means_a_dead_engine(answer):
    (error,), metrics = judge(Script(answer))
    assert isinstance(error, EngineDead)
    assert metrics["requests"] == 1


def test_no_more_connections_than_requests_allowed():
    inside, most = 0, 0
    together = asyncio.Barrier(4)

    async def count(request):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await together.wait()  # as many as are allowed, however slowly they come
        await asyncio.sleep(0.02)  # for one more, were it allowed
        inside -= 1
        return web.json_response(completion())

    answers, _ = judge(Script(count), times=12)
    assert [a.text for a in answers] == [SAFE] * 12
    assert most == 4


@pytest.mark.parametrize(("script", "message"), [
    (Script(models=("a", "b")), "does not serve 'guard' but a, b: set engine.api_model"),
    (Script(models_status=401), "into the environment as OPENAI_API_KEY"),
    (Script(models_status=404), "usually ends in /v1"),
])  # fmt: skip
def test_a_server_that_cannot_be_used_is_named_before_work_starts(script, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        judge(script)
    assert "\n" not in str(caught.value)


def test_a_server_that_lists_no_models():
    script = Script()
    script.models = {"models": []}
    with pytest.raises(InputError, match="no list of models"):
        judge(script)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "127.0.0.1/v1", "http://[::1/v1"])
def test_no_server_at_all(url):
    async def start():
        idle = engine(url)
        try:
            await idle.start()
        finally:
            await idle.close()

    with pytest.raises(InputError, match=r"no server at engine\.url=.*mend the URL"):
        asyncio.run(start())


def test_no_url():
    with pytest.raises(InputError, match=r"engine\.url is not set"):
        engine(None)


def test_the_key_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    script = Script()
    judge(script)
    monkeypatch.delenv("OPENAI_API_KEY")
    judge(script)
    assert script.keys == ["Bearer secret", None]


def tokens_of(*texts: str, at: int, alternatives: dict[str, float]) -> list[dict]:
    top = [{"token": t, "logprob": math.log(p) if p else -9999.0} for t, p in alternatives.items()]
    return [{"token": t, "logprob": 0.0, "top_logprobs": top if i == at else []} for i, t in enumerate(texts)]


@pytest.mark.parametrize(("tokens", "expected"), [
    (tokens_of('{\n    "rating": "', "Un", "safe", at=1,
               alternatives={"Un": 0.3, "U": 0.1, "Safe": 0.4, "Sa": 0.2}), 0.4),
    (tokens_of('{\n', ' "rating', '":', ' "Safe', at=3,
               alternatives={' "Safe': 0.6, ' "': 0.3, ' "Unsafe': 0.2}), 0.25),
    (tokens_of('{"rating":"Safe","', at=0, alternatives={'{"rating":"Safe","': 0.9, '{"rating':  0.1}), 0.0),
    (tokens_of('{\n    "rating": "', "Unsafe", at=1, alternatives={"Unsafe": 0.5, "Safe": 0.0, "Sure": 0.5}), 1.0),
    (tokens_of('{\n    "rating": "', at=0, alternatives={}), None),
    ([], None),
], ids=["pieces", "quote-inside", "one-token", "masked", "no-rating", "nothing"])  # fmt: skip
def test_the_probability_does_not_depend_on_how_tokens_are_cut(tokens, expected):
    assert p_unsafe_of(tokens) == (None if expected is None else pytest.approx(expected))


# --- vLLM's own server ------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def vllm_server(tmp_path_factory):
    """URL of vLLM's server with a tiny random LLaVA-OneVision. By module: `vllm serve` asks for the metadata of a
    package named vllm, which the CPU build has not."""
    from curate.testing.tiny_models import build

    folder = tmp_path_factory.mktemp("server")
    model = build(folder / "model", "llava_onevision")
    url = f"http://127.0.0.1:{(port := free_port())}/v1"
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", "guard", "--max-num-seqs", "4"]
    command += [
        "--enforce-eager",
        "--enable-prompt-tokens-details",
        "--limit-mm-per-prompt",
        '{"image": 1, "video": 0}',
    ]
    env = {
        "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "2",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "TORCH_COMPILE_DISABLE": "1", "VLLM_NO_USAGE_STATS": "1",
    }  # fmt: skip
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env={**os.environ, **env}, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            wait_until(
                lambda: answers(f"{url}/models"),
                "vLLM's server did not answer",
                alive=process,
                every=0.5,
                details=lambda: log.read_text()[-3000:],
            )
            yield url
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(url).status_code == 200
    return False


def judge_at(url: str, pictures, question=QUESTION, **model):
    async def scenario():
        judged = engine(url, timeout=HANG_SECONDS, **model)
        try:
            await judged.start()
            payloads = [PngRenderer().render(picture, "", question) for picture in pictures]
            return await asyncio.gather(*(judged.judge(p, question) for p in payloads), return_exceptions=True)
        finally:
            await judged.close()

    return asyncio.run(scenario())


@pytest.mark.vllm
def test_vllm_judges_pictures(vllm_server):
    rng = np.random.default_rng(5)
    pictures = [Image.fromarray(rng.integers(0, 256, (60 + 40 * i, 100, 3), dtype=np.uint8)) for i in range(4)]
    question = replace(QUESTION, rationale_chars=30)
    full = judge_at(vllm_server, pictures, question)
    bare = judge_at(vllm_server, pictures, replace(question, rationale="none"))
    safe_too = judge_at(vllm_server, pictures, replace(question, rationale="unsafe", rationale_above=0.0))
    for one, without, second in zip(full, bare, safe_too, strict=True):
        assert parse_answer(one.text, question).rationale
        assert parse_answer(without.text, replace(question, rationale="none")).rationale is None
        assert parse_answer(second.text, question).rationale
        assert 0 < one.p_unsafe < 1
        assert one.p_unsafe == pytest.approx(without.p_unsafe, abs=0.02)
        assert one.prompt_tokens > 50
        assert without.output_tokens < one.output_tokens
    assert sum(a.cached_tokens for a in bare) > 0
    assert len({a.prompt_tokens for a in full}) > 1


@pytest.mark.vllm
def test_vllm_rejects_what_is_too_long_and_lives_on(vllm_server):
    picture = [Image.fromarray(PIXELS)]
    (error,) = judge_at(vllm_server, picture, replace(QUESTION, text="word " * 9000))
    assert isinstance(error, RequestRejected)
    (answer,) = judge_at(vllm_server, picture, replace(QUESTION, rationale="none"))
    assert parse_answer(answer.text, replace(QUESTION, rationale="none"))
    with pytest.raises(InputError, match="does not serve"):
        judge_at(vllm_server, picture, path="other")


def test_neither_password_nor_key_is_in_what_is_said_of_a_server(monkeypatch):
    """Rows keep the reason of a failure."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-5ec2e75ec2e7")
    script = Script((400, {"error": {"message": "no such key: sk-5ec2e75ec2e7"}}, {}))
    (refused,), _ = judge(script)
    assert isinstance(refused, RequestRejected)
    dead = ServerEngine(
        ModelSettings(name="guard", path="guard"),
        EngineSettings(name="server", url="http://me:5ec2e7pw@127.0.0.1:9/v1", args={"retries": 0}),
    )
    with pytest.raises(EngineDead) as failed:
        asyncio.run(dead.judge(PAYLOAD, QUESTION))
    for said in (str(refused), str(failed.value)):
        assert "5ec2e7" not in said
