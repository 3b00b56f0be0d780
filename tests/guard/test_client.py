"""`Guard`: the same decisions from a process of its own and from a service elsewhere; nothing passes unjudged."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest
from PIL import Image

from curate.core.errors import InputError
from curate.guard import Decision, Guard, GuardUnavailable, GuardWarning
from tests.support.services import gif, png, serving
from tests.support.waiting import HANG_SECONDS, wait_until

FAKE = ["engine=fake", "engine.workers=0"]
IMAGES = [png(n) for n in range(12)]
pytestmark = pytest.mark.filterwarnings("ignore::curate.guard.GuardWarning")


@pytest.fixture(scope="module")
def service():
    with serving("policies=[llavaguard,kids]") as running:
        yield running


@pytest.fixture(scope="module")
def guard(service):
    with Guard(url=service.url) as made:
        yield made


@pytest.mark.slow
def test_a_process_of_its_own_decides_as_the_service_does(guard, tmp_path):
    with Guard(policy="llavaguard", overrides=FAKE) as own:
        assert own(IMAGES) == guard(IMAGES)
        assert asyncio.run(own.judge(IMAGES)) == guard(IMAGES)
    with Guard(policy="llavaguard", thresholds=0.0, overrides=FAKE) as strict:
        assert all(strict(IMAGES))
    file = tmp_path / "rules.yaml"
    file.write_text("defaults: [default, _self_]\nname: mine\nthresholds: {unsafe: 1.0, review: null}\n")
    with Guard(policy="llavaguard", thresholds=file, overrides=FAKE) as lax:
        assert not any(lax(IMAGES))


@pytest.mark.slow
def test_its_process_ends_with_it_and_with_the_program_whatever_becomes_of_that(tmp_path):
    program = (
        "from curate.guard import Guard\n"
        f"guard = Guard(overrides={FAKE!r})\n"
        "print(guard._own._process.pid, flush=True)\n"
        "input()\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    assert psutil.pid_exists(child)
    process.kill()
    process.wait()
    wait_until(lambda: not _lives(child), "the process that judges outlived the program")
    process.stdout.close()
    process.stdin.close()


def _lives(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
def test_what_is_wrong_is_told_at_once():
    with pytest.raises(InputError, match="policy=nobody"):
        Guard(policy="nobody", overrides=FAKE)
    with pytest.raises(InputError, match="no such filter"):
        Guard(thresholds="nobody", overrides=FAKE)


@pytest.mark.slow
def test_a_process_that_dies_is_no_pass():
    with Guard(overrides=FAKE) as guard:
        psutil.Process(guard._own._process.pid).kill()
        with pytest.raises(GuardUnavailable, match="gone"):
            guard(IMAGES)


def test_decisions_are_those_of_the_service_in_the_order_of_the_pictures(service, guard):
    decisions = guard(IMAGES)
    assert decisions == [Decision.of_json(service.judge(image).json()) for image in IMAGES]
    assert [one.sha256 for one in decisions] == [hashlib.sha256(image).hexdigest() for image in IMAGES]
    assert {bool(one) for one in decisions} == {True, False}


def test_pictures_are_given_as_they_are_at_hand(guard, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(IMAGES[0])
    decoded = Image.open(path)
    expected = guard(IMAGES[0])
    assert guard([str(path), path]) == expected * 2
    assert guard(path) == guard(str(path)) == expected
    assert len(guard([decoded, decoded.convert("CMYK"), decoded.convert("L")])) == 3
    assert guard([]) == []
    with pytest.raises(InputError, match="cannot be read"):
        guard("nowhere.png")


def test_a_policy_and_a_rationale(service):
    with Guard(url=service.url, policy="kids", rationale=True) as guard:
        (decision,) = guard(IMAGES[0])
    assert decision.policy == "kids"
    assert decision.rationale
    with pytest.raises(InputError, match="no 'nobody'"):
        Guard(url=service.url, policy="nobody")
    with pytest.raises(InputError, match="leave these out"):
        Guard(url=service.url, model="builtin")


@pytest.mark.parametrize(("image", "status"), [(gif(), "labelled"), (b"no picture", "unsupported_format")])
def test_a_picture_that_cannot_be_judged_is_blocked_and_says_why(guard, image, status):
    good, bad = guard([IMAGES[1], image])
    assert bad
    assert not bad.judged
    assert bad.status == status
    assert bad.detail
    assert good.judged


def test_in_an_event_loop_and_from_many_threads(guard):
    async def go():
        return await asyncio.gather(*(guard.judge([image]) for image in IMAGES))

    expected = guard(IMAGES)
    assert [one for (one,) in asyncio.run(go())] == expected
    found = {}
    threads = [threading.Thread(target=lambda n=n, i=i: found.update({n: guard(i)[0]})) for n, i in enumerate(IMAGES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[n] for n in range(len(IMAGES))] == expected


def test_what_is_known_of_the_model_is_told(service):
    with pytest.warns(GuardWarning, match="built-in safeguard"):
        Guard(url=service.url).close()


@pytest.mark.slow
def test_a_token(tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("me a-token-of-some-length\n")
    with serving("policy=llavaguard", tokens=str(tokens)) as service:
        with pytest.raises(GuardUnavailable, match="token"):
            Guard(url=service.url)
        with Guard(url=service.url, token="a-token-of-some-length") as guard:
            assert len(guard(IMAGES[0])) == 1


@pytest.mark.slow
def test_it_comes_again_when_it_is_told_to():
    with serving("policy=llavaguard", fake={"rate": 30}, max_held=2) as service, Guard(url=service.url) as guard:
        assert len(guard(IMAGES)) == len(IMAGES)
        assert 'status="429"' in service.client.get("/metrics").text


@pytest.mark.slow
def test_it_waits_no_longer_than_it_may():
    digest = hashlib.sha256(IMAGES[0]).hexdigest()
    with serving("policy=llavaguard", fake={"fail": {digest: "hang"}}) as service:
        with Guard(url=service.url, timeout=0.5) as guard, pytest.raises(GuardUnavailable, match=r"within 0\.5 s"):
            guard(IMAGES[0])
        wait_until(lambda: service.service.judge.in_flight == 0, "the place was kept")


@pytest.mark.slow
def test_a_service_that_is_gone_is_no_pass(service):
    with serving("policy=llavaguard") as other:
        guard = Guard(url=other.url)
    with pytest.raises(GuardUnavailable):
        guard(IMAGES[0])
    guard.close()
    with pytest.raises(GuardUnavailable, match="closed"):
        guard(IMAGES[0])
    with pytest.raises(GuardUnavailable, match="no service"):
        Guard(url=other.url)


@pytest.mark.slow
def test_closing_ends_whoever_waits():
    digest = hashlib.sha256(IMAGES[0]).hexdigest()
    with serving("policy=llavaguard", fake={"fail": {digest: "hang"}}) as service:
        guard, ends = Guard(url=service.url), []

        def ask():
            try:
                ends.append(guard(IMAGES[0]))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is no decision
                ends.append(error)

        waiting = threading.Thread(target=ask)
        waiting.start()
        wait_until(lambda: service.service.judge.in_flight == 1, "nothing was begun")
        guard.close()
        waiting.join(HANG_SECONDS)
        assert isinstance(ends[0], BaseException)


class Liar(BaseHTTPRequestHandler):
    """A service that answers what is no decision, which ours never does."""

    answer: bytes = b""
    status = 200

    def do_GET(self):
        self._say(b'{"policies": [], "warning": null}', 200)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self._say(self.answer, self.status)

    def _say(self, body, status):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


SAID = {
    "blocked": False,
    "status": "labelled",
    "policy": "p",
    "policy_hash": "h",
    "split": "clean",
    "decided_by": "",
    "rating": "Safe",
    "category": "NA",
    "category_name": "",
    "rationale": None,
    "p_unsafe": 0.1,
    "p_calibrated": None,
    "detail": None,
    "sha256": hashlib.sha256(IMAGES[0]).hexdigest(),
}


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, b""),
        (200, b"{}"),
        (200, b"[]"),
        (200, b"<html>"),
        (200, json.dumps(SAID | {"sha256": "another"}).encode()),
        (200, json.dumps(SAID | {"status": "undecodable"}).encode()),
        (500, json.dumps(SAID).encode()),
        (302, b""),
        (404, b"{}"),
        (422, json.dumps({"error": {"code": "undecodable"}, "curate": SAID | {"status": "undecodable"}}).encode()),
    ],
)
def test_what_is_no_decision_on_this_picture_is_no_pass(status, answer):
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answering", (Liar,), {"answer": answer, "status": status}))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        with Guard(url=f"http://127.0.0.1:{server.server_port}") as guard, pytest.raises(GuardUnavailable):
            guard(IMAGES[0])
    finally:
        server.shutdown()
        server.server_close()


def test_importing_it_is_light():
    program = (
        "import sys; from curate.guard import Guard\nprint({'torch', 'polars', 'vllm', 'fastapi'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
