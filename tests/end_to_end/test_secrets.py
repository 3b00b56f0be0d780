"""Secrets of a storage are in no file of a run and in no message, and a run goes on with others."""

from __future__ import annotations

import http.server
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from curate.runs.plan import plan_from_bytes, plan_of, plan_to_bytes
from tests.support.http_server import serving
from tests.support.jobs import command, environment, fake_run, rows, write_tar
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.slow

FIRST, SECOND = "5ec2e7f1f1f1", "0ther5ec2e7f2"
OLD_ID = "0-0123abcd"


class _Signed(http.server.SimpleHTTPRequestHandler):
    """Serves files to whoever has a signature of `valid`, and names the one that was refused."""

    valid: frozenset[str] = frozenset()

    def do_GET(self) -> None:
        if self._may():
            super().do_GET()

    def do_HEAD(self) -> None:
        if self._may():
            super().do_HEAD()

    def log_message(self, *args: object) -> None:
        """Silence."""

    def translate_path(self, path: str) -> str:
        return os.path.join(self.folder, path.partition("?")[0].lstrip("/"))

    def _may(self) -> bool:
        if any(f"X-Amz-Signature={signature}" in self.path for signature in self.valid):
            return True
        self.send_error(403, f"refused {self.path}")
        return False


def run(*arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment(), timeout=HANG_SECONDS, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def holding(folder: Path, *secrets: str) -> list[str]:
    """Names of files with one of `secrets` in them."""
    found = (p for p in folder.rglob("*") if p.is_file() and any(s.encode() in p.read_bytes() for s in secrets))
    return sorted(str(path) for path in found)


def signed(server: str, signature: str) -> str:
    return f"{server}/{{0..1}}.tar?X-Amz-Date={signature[:3]}&X-Amz-Signature={signature}"


@pytest.fixture
def server(tmp_path):
    for n in range(2):
        write_tar(tmp_path / f"{n}.tar", range(10 * n, 10 * n + 10))
    valid: set[str] = {FIRST}
    with serving(_Signed, folder=str(tmp_path), valid=valid) as address:
        yield address, valid


def test_a_run_goes_on_with_other_signatures(server, tmp_path):
    address, valid = server
    folder = tmp_path / "run"
    said = run(*fake_run(signed(address, FIRST), folder, "dataset.limit=5"))
    valid.clear()
    valid.add(SECOND)
    said += run(*fake_run(signed(address, SECOND), folder, "dataset.limit=null", "extend=true"))
    assert [row["key"] for row in rows(folder)] == [f"{n:09d}" for n in range(20)]
    refused = run("filter", f"output.dir={folder}", "filter.thresholds.unsafe=0.3", code=2)
    assert "0.tar?***: was given with a signature" in refused
    assert "dataset.shards=" in refused
    run("filter", f"output.dir={folder}", "filter.thresholds.unsafe=0.3", f"dataset.shards={signed(address, SECOND)}")
    said += run("verify", f"output.dir={folder}", f"dataset.shards={signed(address, SECOND)}")
    assert "no violation" in said
    assert holding(folder, FIRST, SECOND) == []
    assert FIRST not in said
    assert SECOND not in said


def test_what_a_server_refuses_is_told_without_the_signature(server, tmp_path):
    address, valid = server
    folder = tmp_path / "run"
    run(*fake_run(signed(address, FIRST), folder, "dataset.limit=5"))
    valid.clear()
    said = run(*fake_run(signed(address, SECOND), folder, "dataset.limit=null", "extend=true"), code=2)
    assert SECOND not in said
    assert holding(folder, FIRST, SECOND) == []


def test_a_run_that_was_begun_with_signatures_in_its_plan_goes_on_without_them(server, tmp_path):
    """As versions before wrote it: ids of eight digits, made of the signed URLs, which stand in plan and settings."""
    address, _ = server
    folder = tmp_path / "run"
    run(*fake_run(signed(address, FIRST), folder, "dataset.limit=5"))
    now = rows(folder)[0]["shard"]
    plan = plan_from_bytes((folder / "plan.parquet").read_bytes())
    query = signed("", FIRST).partition("?")[2]
    before = [replace(s, id=OLD_ID, url=s.url.replace("***", query)) for s in plan.shards]
    (folder / "plan.parquet").write_bytes(plan_to_bytes(plan_of(before, plan.limit)))
    for path in [*folder.glob("commits/*/*.json"), *folder.glob("annotations/*/*")]:
        if path.suffix == ".json":
            path.write_text(path.read_text().replace(now, OLD_ID))
        path.rename(path.with_name(path.name.replace(now, OLD_ID)))
    run(*fake_run(signed(address, FIRST), folder, "dataset.limit=5"))
    assert [shard.id for shard in plan_from_bytes((folder / "plan.parquet").read_bytes()).shards] == [OLD_ID]
    assert holding(folder, FIRST) == []


def test_options_of_a_storage_are_asked_for_again_where_they_are_used(tmp_path):
    write_tar(tmp_path / "0.tar", range(5))
    folder = tmp_path / "run"
    options = ("dataset.storage_options.key=AKIA5ec2e7", f"dataset.storage_options.secret={FIRST}")
    said = run(*fake_run(f"{tmp_path}/0.tar", folder, *options))
    assert holding(folder, FIRST, "AKIA5ec2e7") == []
    assert FIRST not in said
    run("filter", f"output.dir={folder}", "filter.thresholds.unsafe=0.3")  # a file needs none
    record = yaml.safe_load((folder / "run.yaml").read_text())
    assert record["settings"]["dataset"]["storage_options"] == {"key": "***", "secret": "***"}
    remote = tmp_path / "remote"
    shards = f"memory://{tmp_path}/0.tar"
    said = run(*fake_run(shards, remote, *options), code=2)
    assert FIRST not in said


def test_a_wrong_argument_is_quoted_without_its_secret(tmp_path):
    said = run("run", "+dataset=webdataset", f"dataset.storage_option.secret={FIRST}", code=2)
    assert FIRST not in said
