"""Pipelines that speak to `vllm serve`: the server with curate's engine arguments, and one script a pipeline."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from curate.engines.vllm_args import engine_args
from curate.judges.checkpoints import resolve_model_path
from curate.judges.verdicts import ANSWER_PREFIX, answer_regex, max_answer_tokens
from curate.settings.run import Settings
from tests.benchmarks.generating import judged, prompt_of
from tests.benchmarks.judging import Judged, engine_environment, question

PEERS = Path(__file__).parent / "peers"
PYTHON = Path(__file__).parents[2] / ".cache/bench-contenders/bin/python"
MODEL = "judge"
_NO_FLAGS = ("model", "use_tqdm_on_load", "disable_log_stats")  # said otherwise, or the server's default
READY_SECONDS, SCRIPT_SECONDS = 300.0, 300.0


class ScriptFailed(Exception):
    """A pipeline's script did not end well; holds the last line it said."""


@contextmanager
def served(settings: Settings, folder: Path) -> Iterator[str]:
    """URL of a server that runs the model until the context is left; `folder` is for what it reads.

    Raises:
        ScriptFailed: it does not start.
    """
    template = folder / "template.jinja"
    template.write_text(_template(settings), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # What `vllm serve` runs; that command itself asks for a package named vllm, which the CPU build is not.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *_arguments(settings), f"--port={port}"]
    command += [f"--chat-template={template}", "--chat-template-content-format=openai"]
    log = subprocess.DEVNULL
    environment = engine_environment(VLLM_SERVER_DEV_MODE="1")  # or its caches cannot be emptied
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _await_ready(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def forget(url: str) -> None:
    """Empty the server's caches, so that pictures judged before are new to it."""
    for cache in ("prefix", "encoder"):
        request = urllib.request.Request(f"{url.removesuffix('/v1')}/reset_{cache}_cache", method="POST")
        with urllib.request.urlopen(request, timeout=30):
            pass


def run_script(
    script: str, task: Mapping[str, Any], folder: Path, settings: Settings
) -> tuple[float, dict[str, Judged]]:
    """Seconds that a pipeline took, and its verdicts.

    Raises:
        ScriptFailed: it ended badly, or not within five minutes.
    """
    path = folder / "task.json"
    path.write_text(json.dumps(task), encoding="utf-8")
    command = [str(PYTHON), str(PEERS / f"{script}.py"), str(path)]
    said = json.loads(_output(command).splitlines()[-1])
    asked = question(settings)
    # A picture that a pipeline dropped has no answer that could be parsed.
    keys = [path.stem for path in Path(task["folder"]).iterdir()]
    return said["seconds"], {key: judged(said["answers"].get(key) or "", asked) for key in keys}


def _output(command: list[str]) -> str:
    """What a script prints; in a session of its own, since pipelines end their process groups when they are done."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, error = process.communicate(timeout=SCRIPT_SECONDS)
    except subprocess.TimeoutExpired as late:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise ScriptFailed(f"not done within {SCRIPT_SECONDS:.0f} s") from late
    if process.returncode:
        raise ScriptFailed((error.strip().splitlines() or ["no reason given"])[-1])
    return out


def task_for(url: str, pictures: Path, settings: Settings) -> dict[str, Any]:
    """What a script is told: the same question, under a grammar of the whole answer."""
    asked = question(settings)
    grammar = {"structured_outputs": {"regex": "\\{" + ANSWER_PREFIX[1:] + answer_regex(asked)}}
    return {
        "url": url,
        "model": MODEL,
        "folder": str(pictures),
        "text": asked.text,
        "in_flight": settings.engine.max_requests,
        "options": {
            "temperature": 0.0,
            "max_tokens": max_answer_tokens(asked) + len(ANSWER_PREFIX),
            "extra_body": grammar,
        },
    }


def _template(settings: Settings) -> str:
    """A chat template that gives curate's prompt: the checkpoint's own cannot put a policy in front of its picture."""
    mark = "THE POLICY"
    asked = replace(question(settings), text=mark)
    before, after = prompt_of(settings, asked).removesuffix(ANSWER_PREFIX).split(mark)
    text = "(messages[0]['content'] | selectattr('type', 'equalto', 'text') | first)['text']"
    return f"{{{{ {json.dumps(before)} + {text} + {json.dumps(after)} }}}}"


def _arguments(settings: Settings) -> list[str]:
    """curate's engine arguments as the server's command line has them."""
    args = engine_args(settings.model, settings.engine, resolve_model_path(settings.model), cpu=True)
    flags = [_flag(n.replace("_", "-"), v) for n, v in args.items() if n not in _NO_FLAGS]
    return [f"--model={args['model']}", f"--served-model-name={MODEL}", *flags]


def _flag(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name}={json.dumps(value) if isinstance(value, dict) else value}"


def _await_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise ScriptFailed("vllm serve does not start")
