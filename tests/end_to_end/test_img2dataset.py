"""Shards that img2dataset itself writes, from pictures that a server on this machine hands out.

Its pins conflict with vLLM's, so it lives in an environment of its own; see requirements/img2dataset.txt.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset

from curate.runs.plan import make_plan
from tests.support.source_cases import dataset, picture, read
from tests.support.waiting import HANG_SECONDS

IMG2DATASET = Path(__file__).parents[2] / ".cache" / "img2dataset" / "bin" / "img2dataset"
COUNT = 11

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not IMG2DATASET.exists(), reason="img2dataset is not installed: make test does it"),
]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Nothing: requests are not the test's output."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "www"
    folder.mkdir()
    for i in range(COUNT):
        (folder / f"{i}.jpg").write_bytes(picture(i))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def shards(server: str, tmp_path: Path) -> Path:
    """A folder as img2dataset leaves it: tars, and beside each its statistics and its metadata."""
    urls = [f"{server}/{i}.jpg" for i in range(COUNT)]
    urls[4] = f"{server}/missing.jpg"
    rows = {"URL": urls, "TEXT": [f"picture {i}" for i in range(COUNT)], "punsafe": [i / 10 for i in range(COUNT)]}
    pq.write_table(pa.table(rows), tmp_path / "urls.parquet")
    command = [
        str(IMG2DATASET), f"--url_list={tmp_path}/urls.parquet", "--input_format=parquet", "--url_col=URL",
        "--caption_col=TEXT", '--save_additional_columns=["punsafe"]', "--output_format=webdataset",
        f"--output_folder={tmp_path}/shards", "--resize_mode=no", "--disable_all_reencoding=True",
        "--processes_count=1", "--thread_count=2",
        "--number_sample_per_shard=4", "--enable_wandb=False",
        "--disallowed_header_directives=[]",
    ]  # fmt: skip
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    environment["NO_ALBUMENTATIONS_UPDATE"] = "1"
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=HANG_SECONDS)
    return tmp_path / "shards"


def test_its_shards_go_through_unchanged(shards: Path) -> None:
    assert {path.suffix for path in shards.iterdir()} == {".tar", ".json", ".parquet"}
    settings = dataset(shards)
    plan = make_plan(settings)
    assert [Path(shard.url) for shard in plan.shards] == sorted(shards.glob("*.tar"))
    found = [sample for shard in plan.shards for sample in read(shard, settings)[0]]
    expected = [
        sample
        for path in sorted(shards.glob("*.tar"))
        for sample in webdataset.WebDataset(str(path), shardshuffle=False)
    ]
    assert len(found) == COUNT - 1
    assert [(s.key, s.image, dict(s.sidecar)) for s in found] == [
        (e["__key__"], e["jpg"], {"json": e["json"], "txt": e["txt"]}) for e in expected
    ]
    assert {s.image for s in found} == {picture(i) for i in range(COUNT) if i != 4}
    for sample in found:
        assert sample.meta["caption"] == f"picture {round(float(str(sample.meta['punsafe'])) * 10)}"
        assert str(sample.meta["url"]).startswith("http://127.0.0.1")
        assert sample.meta["status"] == "success"
