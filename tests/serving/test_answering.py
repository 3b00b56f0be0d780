"""Fail closed: whatever goes wrong ends in an error with the right code, never in a result, and frees its place."""

from __future__ import annotations

import hashlib
import struct
import threading
import zlib

import httpx
import openai
import pytest

from curate.core.errors import EngineDead
from tests.support.services import data_url, gif, part, png, serving
from tests.support.waiting import wait_until


def sha(image):
    return hashlib.sha256(image).hexdigest()


def bomb(side=100_000):
    """A PNG of a few kilobytes that declares ten thousand million pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 1_000_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def service():
    fail = {sha(png(900)): "invalid", sha(png(901)): "length", sha(png(902)): "reject"}
    with serving("policy=llavaguard", fake={"fail": fail}, max_body=4_000_000) as running:
        yield running


@pytest.mark.parametrize(
    ("image", "status", "code"),
    [
        (b"no picture at all", 422, "unsupported_format"),
        (png(1)[:60], 422, "undecodable"),
        (bomb(), 413, "too_many_pixels"),
        (gif(), 422, "partly_judged"),
        (png(900), 422, "invalid_output"),
        (png(901), 422, "invalid_output"),
        (png(902), 422, "rejected_by_engine"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/judge", "/v1/moderations", "/beta/litellm_basic_guardrail_api"])
def test_a_picture_that_is_not_judged_is_an_error(service, path, image, status, code):
    bodies = {
        "/v1/judge": {"image": data_url(image)},
        "/v1/moderations": {"input": [part(png(1)), part(image)]},
        "/beta/litellm_basic_guardrail_api": {"images": [data_url(png(1)), data_url(image)]},
    }
    response = service.client.post(path, json=bodies[path])
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.json()["curate"]["blocked"] is True
    assert "results" not in response.json()
    assert "action" not in response.json()
    assert service.service.admission.images == 0


def test_openais_client_raises_its_own_errors(service):
    client = openai.OpenAI(base_url=f"{service.url}/v1", api_key="x", max_retries=0)
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.moderations.create(input=[part(gif())])
    assert refused.value.code == "partly_judged"
    assert refused.value.param == "input[0]"


def test_a_request_that_is_too_long_is_refused_before_it_is_read(service):
    with connection(service) as declared:
        declared.sendall(b"POST /v1/judge HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        assert b" 413 " in declared.recv(4096)
    with connection(service) as undeclared:
        undeclared.sendall(b"POST /v1/judge HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(41):
            undeclared.sendall(b"186a0\r\n" + b"x" * 100_000 + b"\r\n")
        assert b" 413 " in undeclared.recv(4096)
    assert service.service.admission.nbytes == 0


def test_a_base64_of_a_gigabyte_is_never_held(service):
    """As much as the sockets' buffers take is sent; the service reads no further than its bound."""
    with connection(service) as giant:
        giant.sendall(b"POST /v1/judge HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        giant.sendall(b'40\r\n{"image": "data:image/png;base64,' + b"A" * 31 + b"\r\n")
        sent = 0
        try:
            while sent < 2**30:
                giant.sendall(b"100000\r\n" + b"A" * 2**20 + b"\r\n")
                sent += 2**20
        except OSError:
            pass
    assert sent < 2**30
    assert service.judge(png(1)).status_code == 200


@pytest.mark.slow
def test_a_request_that_does_not_arrive_is_given_up():
    with serving("policy=llavaguard", body_seconds=0.2) as service, connection(service) as slow:
        slow.sendall(b"POST /v1/judge HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert b" 408 " in slow.recv(4096)
        assert service.service.admission.images == 0


def connection(service):
    import socket

    return socket.create_connection(("127.0.0.1", service.service.serve.port))


@pytest.mark.slow
def test_an_answer_that_takes_too_long_is_an_error_that_may_be_tried_again():
    with serving("policy=llavaguard", fake={"latency": 0.3}, deadline=30) as service:
        slow = service.service.serve.model_copy(update={"deadline": 0.05})
        object.__setattr__(service.service, "serve", slow)
        response = service.judge(png(1))
        assert (response.status_code, response.json()["error"]["code"]) == (503, "deadline_exceeded")
        assert response.headers["retry-after"]
        wait_until(lambda: service.service.judge.in_flight == 0, "the picture kept its place")


@pytest.mark.slow
def test_too_much_at_once_is_refused_at_once_and_answered_later():
    images = [png(n) for n in range(12)]
    with serving("policy=llavaguard", fake={"rate": 20}, max_held=4) as service:
        found = []
        threads = [threading.Thread(target=lambda i=i: found.append(service.judge(i))) for i in images]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refused = [response for response in found if response.status_code == 429]
        assert refused
        assert all(response.headers["retry-after"] == "1" for response in refused)
        assert {response.json()["error"]["type"] for response in refused} == {"rate_limit_error"}
        assert {response.status_code for response in found} == {200, 429}
        assert service.judge(images[0]).status_code == 200
        several = service.moderate(*images[:5])
        assert several.status_code == 200, "where nothing else is held, one request always fits"


@pytest.mark.slow
def test_bytes_are_bounded_too():
    with serving("policy=llavaguard", fake={"rate": 5}, max_held_bytes=2000) as service:
        waiting = threading.Thread(target=lambda: service.judge(png(1)))
        waiting.start()
        wait_until(lambda: service.service.admission.images == 1, "the first was not let in")
        large = service.judge(png(2) + b"\0" * 3000)
        waiting.join()
        assert (large.status_code, large.json()["error"]["code"]) == (429, "overloaded")


@pytest.mark.slow
def test_a_client_that_hangs_up_frees_its_place():
    with serving("policy=llavaguard", fake={"fail": {sha(png(1)): "hang"}}) as service:
        body = b'{"image": "%s"}' % data_url(png(1)).encode()
        head = b"POST /v1/judge HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        with connection(service) as gone:
            gone.sendall(head + body)
            wait_until(lambda: service.service.judge.in_flight == 1, "nothing was begun")
        wait_until(lambda: service.service.judge.in_flight == 0, "the place was kept")
        assert service.service.admission.images == 0
        assert 'status="499"' in service.client.get("/metrics").text


@pytest.mark.slow
def test_a_picture_that_kills_the_engine_costs_itself_alone():
    killer, good = png(1), png(2)
    with serving("policy=llavaguard", fake={"fail": {sha(killer): "die"}}) as service:
        expected = service.judge(good).json()
        found = {}
        threads = [
            threading.Thread(target=lambda n=n, i=i: found.update({n: service.judge(i)}))
            for n, i in enumerate([killer, good])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (found[0].status_code, found[0].json()["error"]["code"]) == (422, "engine_failure")
        assert found[1].json() == expected


def test_an_engine_that_cannot_be_kept_alive_ends_the_service(monkeypatch):
    monkeypatch.setattr("curate.engines.supervised.MAX_RESTARTS", 0)
    killer = png(1)
    with serving("policy=llavaguard", fake={"fail": {sha(killer): "die"}}) as service:
        response = service.judge(killer)
        assert (response.status_code, response.json()["error"]["code"]) == (503, "engine_unavailable")
        service.join()
        assert isinstance(service.error, EngineDead)


@pytest.mark.slow
def test_nothing_is_answered_before_the_model_has_answered():
    with serving("policy=llavaguard", fake={"load": 0.5}, ready=False) as service:
        assert service.wait_until("/health", 200).json() == {"status": "alive"}
        early = service.judge(png(1))
        assert (early.status_code, early.json()["error"]["code"]) == (503, "not_ready")
        assert service.client.get("/ready").status_code == 503
        service.wait_until("/ready", 200)
        assert service.judge(png(1)).status_code == 200


@pytest.mark.slow
def test_at_its_end_it_finishes_what_it_has_and_takes_nothing_more():
    with serving("policy=llavaguard", fake={"latency": 0.5}) as service:
        found = []
        asking = threading.Thread(target=lambda: found.append(service.judge(png(1))))
        asking.start()
        wait_until(lambda: service.service.judge.in_flight == 1, "nothing was begun")
        service.stop()
        asking.join()
        assert found[0].status_code == 200
        with pytest.raises(httpx.TransportError):
            service.client.get("/health")
