"""The service in a minute: starts it with the built-in safeguard, and judges three pictures of the sample with curl."""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from curate.core.package_files import packaged

PICTURES = 3


def main(more: list[str]) -> int:
    """Start it with `more` settings, ask it, and end it; the exit code."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    port = f"serve.port={url.rpartition(':')[2]}"
    command = [sys.executable, "-m", "curate", "serve", port, "serve.log=false", *more]
    print(f"$ {shlex.join(['python', *command[1:]])} &", flush=True)
    service = subprocess.Popen(command)
    try:
        while subprocess.run(["curl", "-sf", f"{url}/ready"], capture_output=True, check=False).returncode != 0:
            if service.poll() is not None:
                return service.returncode
            time.sleep(0.5)
        with tempfile.TemporaryDirectory() as folder:
            for picture in _pictures(Path(folder)):
                asked = ["curl", "-s", "-F", f"image=@{picture}", "-F", "rationale=true", f"{url}/v1/judge"]
                print(f"\n$ {shlex.join([*asked[:3], f'image=@{picture.name}', *asked[4:]])}", flush=True)
                if subprocess.run(asked, check=False).returncode != 0:
                    return 1
        print(flush=True)
        return 0
    finally:
        service.terminate()
        service.wait()


def _pictures(folder: Path) -> list[Path]:
    found = []
    with tarfile.open(packaged("data/laion_subset/00000.tar")) as tar:
        for member in tar:
            body = tar.extractfile(member) if member.name.endswith((".jpg", ".png", ".webp")) else None
            if body is not None and len(found) < PICTURES:
                found.append(folder / Path(member.name).name)
                found[-1].write_bytes(body.read())
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
