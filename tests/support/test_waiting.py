"""Waiting ends with the condition, with the process it needs, or with a message."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support import waiting
from tests.support.waiting import wait_until


@pytest.fixture(params=[True, False], ids=["text", "bytes"])
def failed(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen]:
    """A process that has ended with an error."""
    command = [sys.executable, "-c", "raise SystemExit('the disk is gone')"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=request.param) as process:
        process.wait()
        yield process


def test_it_looks_until_the_condition_is_met():
    looks = []
    wait_until(lambda: looks.append(0) or len(looks) == 3, "too few looks", every=0)
    assert len(looks) == 3


def test_a_process_that_ended_too_early_fails_with_its_errors(failed: subprocess.Popen):
    with pytest.raises(AssertionError, match="no claim before its process ended with code 1:\nthe disk is gone\nlog"):
        wait_until(lambda: False, "no claim", alive=failed, details=lambda: "log")


def test_children_that_keep_the_errors_open_hold_nothing_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(waiting, "_LAST_WORDS_SECONDS", 0.1)
    command = ["sh", "-c", "echo gone >&2; sleep 3600 & exit 3"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as process:
        process.wait()
        with pytest.raises(AssertionError, match="ended with code 3:\ngone"):
            wait_until(lambda: False, "no claim", alive=process)
        os.killpg(process.pid, signal.SIGKILL)


def test_a_process_may_end_once_the_condition_is_met(failed: subprocess.Popen):
    wait_until(lambda: True, "no claim", alive=failed)


def test_what_hangs_is_ended(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(waiting, "HANG_SECONDS", 0)
    with pytest.raises(AssertionError, match="no claim in 0 s\nthe queue"):
        wait_until(lambda: False, "no claim", every=0.001, details=lambda: "the queue")
