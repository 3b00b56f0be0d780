"""The service as a program: what it refuses at the start, what it logs, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from curate.cli.program import main
from tests.support.services import data_url, free_port, png, until_ready
from tests.support.waiting import HANG_SECONDS, wait_until

FAKE = ["engine=fake", "engine.workers=1"]


def start(*arguments, **streams):
    command = [sys.executable, "-m", "curate", "serve", *FAKE, *arguments]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **streams)


@pytest.mark.slow
def test_it_answers_logs_and_drains_at_a_signal():
    port = free_port()
    process = start(f"serve.port={port}", "+engine.args.latency=1.0", "policy=kids")
    until_ready(process, f"http://127.0.0.1:{port}")
    image = png(1)
    body = json.dumps({"image": data_url(image)}).encode()
    with socket.create_connection(("127.0.0.1", port)) as asking:
        asking.sendall(b"POST /v1/judge HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        held = "curate_images_held 1.0"
        wait_until(lambda: held in httpx.get(f"http://127.0.0.1:{port}/metrics").text, "nothing is held")
        process.send_signal(signal.SIGTERM)
        answer = b"".join(iter(lambda: asking.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"policy":"kids"' in answer
    out, err = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 0, err
    assert f"listening at http://127.0.0.1:{port}" in out
    assert "finishing 1 images in flight" in err
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert lines[-1]["endpoint"] == "/v1/judge"
    assert lines[-1]["status"] == 200
    assert data_url(image)[-40:] not in err


@pytest.mark.slow
def test_it_ends_with_whoever_started_it():
    port = free_port()
    process = start(f"serve.port={port}", "serve.until_stdin_ends=true", stdin=subprocess.PIPE)
    until_ready(process, f"http://127.0.0.1:{port}")
    process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve.host=0.0.0.0"], ["serve.host=0.0.0.0", "tokens are needed"]),
        (["serve.tokens=nowhere"], ["serve.tokens=nowhere", "cannot be read"]),
        (["serve.domains=[127.0.0.1]"], ["serve.domains", "no host's name"]),
        (["serve.passes=[unsave]"], ["serve.passes", "unsave", "clean"]),
        (["serve.passes=[failed]"], ["serve.passes", "failed"]),
        (["filter=laion"], ["filter.fields.punsafe", "no sidecar"]),
        (["serve.audit=/nowhere/a"], ["serve.audit", "cannot be written"]),
        (["serve.port=99999"], ["serve.port"]),
        (["serve.prot=1"], ["serve.prot", "did you mean serve.port"]),
        (["dataset.max_bytes=3"], ["dataset.max_bytes", "`serve` takes"]),
        (["serve=nobody"], ["serve=nobody", "default"]),
        (["filter.by_category.O77.unsafe=0.3"], ["O77"]),
    ],
)
@pytest.mark.slow
def test_what_is_wrong_is_one_line_before_a_model_is_loaded(arguments, said, capsys):
    assert main(["serve", *FAKE, *arguments]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert all(word in errors[0] for word in said), errors


def test_an_address_that_is_taken(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["serve", *FAKE, f"serve.port={taken.getsockname()[1]}"]) == 2
    assert "cannot listen at" in capsys.readouterr().err


def test_only_serve_takes_its_settings(capsys):
    assert main(["run", "+dataset=laion_subset", "serve.port=1"]) == 2
    assert "`serve`" in capsys.readouterr().err
