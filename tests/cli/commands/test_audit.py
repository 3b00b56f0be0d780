"""The command as a person starts it: whole audits with the fake engine, kills, and one line for what is wrong.

Labels are drawn from a hash (engine=fake). The images API is a stub (tests/support/images_api.py).
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from curate.audit.prompts import read_prompts
from curate.cli.program import main
from tests.support.audit_cases import write_prompts
from tests.support.images_api import MODEL, images_api
from tests.support.jobs import command, curate, environment, picture
from tests.support.waiting import HANG_SECONDS, wait_until

pytest.importorskip("openai", reason="openai is a dependency of development")

FAKE = ("engine=fake", "engine.workers=0")


def by_api(api, prompts, folder, *more):
    generator = ["generator=openai", f"generator.url={api.url}", f"generator.api_model={MODEL}"]
    small = ["generator.samples_per_shard=7", "generator.batch=3"]
    return ["audit", f"prompts={prompts}", *generator, *small, f"output.dir={folder}", *FAKE, *more]


def tars(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "images").glob("*"))}


def outcomes(folder):
    return pl.read_parquet(folder / "outcomes.parquet")


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    path = write_prompts(tmp_path_factory.mktemp("prompts") / "mine.jsonl", 8, sets=("cats", "dogs"))
    rows = [
        {"id": "bad", "prompt": "forbidden things", "set": "cats"},
        {"id": "long", "prompt": "far too long", "set": "dogs"},
        {"id": "own seed", "prompt": "ein Bär", "set": "dogs", "seed": 77, "negative_prompt": "rain"},
    ]
    path.write_text(path.read_text() + "".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def api():
    with images_api() as api:
        yield api


@pytest.fixture(scope="module")
def finished(api, prompts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("audits") / "stub"
    api.requests.clear()
    done = curate(*by_api(api, prompts, folder, "images=3", "policies=[kids,drawings]"))
    return folder, done, list(api.requests)


@pytest.mark.slow
def test_every_picture_is_asked_for_once_and_has_one_outcome_under_each_policy(finished):
    folder, _, requests = finished
    assert len(requests) == 33
    found = outcomes(folder)
    assert found.height == 66
    assert found.select("policy", "prompt_id", "number").is_unique().all()
    fates = Counter(found.filter(pl.col("policy") == "kids")["fate"].to_list())
    assert fates == {"judged": 27, "refused": 3, "failed": 3}
    refused = found.filter(pl.col("fate") == "refused")
    assert refused["prompt_id"].unique().to_list() == ["bad"]
    assert all("rejected by the safety system" in one for one in refused["reason"])


@pytest.mark.slow
def test_an_outcome_says_what_the_request_was(finished):
    folder, _, requests = finished
    found = outcomes(folder).filter(pl.col("policy") == "kids")
    asked = {(one["prompt"], one["seed"]) for one in requests}
    assert set(found.select("prompt", "seed").iter_rows()) == asked
    own = found.filter(pl.col("prompt_id") == "own seed")
    assert own["seed"].to_list() == [77, 78, 79]
    assert own["negative_prompt"].to_list() == ["rain"] * 3
    assert found["generator"].unique().to_list() == [MODEL]


@pytest.mark.slow
def test_unsafe_is_what_the_run_sends_to_unsafe(finished):
    folder, _, _ = finished
    found = outcomes(folder)
    rows = pl.concat([pl.read_parquet(p) for p in sorted(folder.glob("run/annotations/*/*.parquet"))])
    rated = rows.filter(pl.col("rating") == "Unsafe").group_by("policy").len().sort("policy").rows()
    assert found.filter("unsafe").group_by("policy").len().sort("policy").rows() == rated
    table = pl.read_parquet(folder / "table.parquet")
    whole = table.filter((pl.col("prompt_set") == "") & (pl.col("category") == "any")).sort("policy")
    assert whole.select("policy", "unsafe").rows() == rated
    assert whole["prompts"].to_list() == [11, 11]


@pytest.mark.slow
def test_the_run_in_it_holds_all_laws(finished):
    folder, _, _ = finished
    curate("verify", f"output.dir={folder}/run")


@pytest.mark.slow
def test_the_page_and_the_terminal_say_the_same(finished):
    folder, done, _ = finished
    page = (folder / "audit.md").read_text()
    row = pl.read_parquet(folder / "table.parquet").filter(pl.col("policy") == "kids").row(0, named=True)
    share = f"{row['share']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"
    assert share in page
    assert share in done.stdout
    assert "kids: 27 of 33 pictures judged, 3 refused, 3 failed" in done.stdout
    assert "### prompt set cats" in page
    assert "Labels are drawn from a hash" in page


@pytest.mark.slow
def test_the_record_names_every_file_and_a_second_start_changes_nothing(finished, api, prompts):
    import hashlib

    folder, _, _ = finished
    record = yaml.safe_load((folder / "audit.yaml").read_text())
    named = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in record["files"]}
    assert record["files"] == named
    assert {
        *(f"images/{name}" for name in tars(folder)),
        "outcomes.parquet",
        "table.parquet",
        "prompts.parquet",
    } <= named.keys()
    api.requests.clear()
    curate(*by_api(api, prompts, folder, "images=3", "policies=[kids,drawings]"))
    assert api.requests == []
    assert yaml.safe_load((folder / "audit.yaml").read_text()) == record


@pytest.mark.slow
def test_whoever_has_the_folder_can_repeat_it(finished, api, tmp_path):
    """The command that audit.yaml holds, with the prompts in the folder, gives the same pictures and the same table."""
    import shlex

    folder, _, _ = finished
    again = shlex.split(yaml.safe_load((folder / "audit.yaml").read_text())["command"])
    assert again[:4] == ["python", "-m", "curate", "audit"]
    curate("audit", *(a.replace("ANOTHER", str(tmp_path / "again")) for a in again[4:]))
    assert tars(tmp_path / "again") == tars(folder)
    keep = pl.exclude("shard")
    assert outcomes(tmp_path / "again").select(keep).equals(outcomes(folder).select(keep))
    assert (tmp_path / "again" / "table.parquet").read_bytes() == (folder / "table.parquet").read_bytes()


@pytest.mark.slow
def test_two_audits_side_by_side(finished, api, prompts, tmp_path):
    folder, _, _ = finished
    other = tmp_path / "other"
    more = ["images=3", "policies=[kids,drawings]", "generator.args.style=vivid"]
    done = curate(*by_api(api, prompts, other, *more, f"against={folder}"))
    assert "kids: 27 pairs of pictures" in done.stdout
    at_end = (other / "against-stub.parquet").read_bytes()
    compared = curate("audit", "compare", str(folder), str(other), f"output.dir={tmp_path}")
    assert (tmp_path / "against-stub.parquet").read_bytes() == at_end
    assert compared.stdout.splitlines()[1] in done.stdout
    table = pl.read_parquet(other / "against-stub.parquet")
    whole = table.filter((pl.col("policy") == "kids") & (pl.col("category") == "any") & (pl.col("prompt_set") == ""))
    first, second = (
        outcomes(f).filter((pl.col("policy") == "kids") & (pl.col("fate") == "judged"))["unsafe"].sum()
        for f in (folder, other)
    )
    assert whole.select("unsafe_first", "unsafe_second", "pairs").row(0) == (first, second, 27)
    assert (other / "against-stub.md").read_text().startswith(f"# {MODEL} and {MODEL}")


@pytest.mark.slow
def test_other_thresholds_need_no_picture_anew(api, prompts, tmp_path):
    given = by_api(api, prompts, tmp_path / "stub", "images=1")
    curate(*given)
    assert not outcomes(tmp_path / "stub").filter(pl.col("fate") == "judged")["unsafe"].all()
    api.requests.clear()
    curate(*given, "filter.thresholds.unsafe=0")
    assert api.requests == []
    assert outcomes(tmp_path / "stub").filter(pl.col("fate") == "judged")["unsafe"].all()


@pytest.mark.slow
def test_a_folder_that_was_moved_goes_on_where_it_lies_now(api, prompts, tmp_path):
    curate(*by_api(api, prompts, tmp_path / "old", "images=1"))
    before = outcomes(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    api.requests.clear()
    given = by_api(api, prompts, tmp_path / "new", "images=1")
    told = curate(*given, code=2).stderr
    moved = f"dataset.moved={{{tmp_path}/old: {tmp_path}/new}}"
    assert moved.replace("{", "'{", 1).replace("}", "}'", 1) in told
    curate(*given, moved)
    assert api.requests == []
    assert outcomes(tmp_path / "new").equals(before)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_kills_cost_no_finished_piece_and_change_no_byte(finished, prompts, tmp_path, seed):
    """SIGKILL at random moments, to the program itself, until one start comes to its end."""
    folder, _, _ = finished
    chance = random.Random(seed)
    with images_api() as api:
        slow = api.answer
        api.answer = lambda body, key: (time.sleep(0.05), slow(body, key))[1]
        arguments = by_api(api, prompts, tmp_path / "stub", "images=3", "policies=[kids,drawings]")
        kills, code = 0, None
        while code is None:
            process = subprocess.Popen(
                command(*arguments), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
            try:
                patience = HANG_SECONDS if kills == 4 else chance.uniform(3.5, 8.0)
                code = process.wait(patience)
            except subprocess.TimeoutExpired:
                assert kills < 4
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
            assert code in (None, 0), process.stderr.read()
        asked = Counter(json.dumps(one, sort_keys=True) for one in api.requests)
    assert tars(tmp_path / "stub") == tars(folder)
    keep = pl.exclude("shard")
    assert outcomes(tmp_path / "stub").select(keep).equals(outcomes(folder).select(keep))
    assert len(asked) == 33
    assert sum(asked.values()) <= 33 + 3 * kills  # the batch in the making


@pytest.mark.slow
def test_kills_of_a_real_pipeline_change_no_byte(tmp_path):
    """diffusers in batches of two, killed in the middle of its first and of a later shard, while it denoises."""
    pytest.importorskip("diffusers", reason="diffusers is a dependency of development")
    from tests.support.tiny_pipelines import tiny_stable_diffusion

    tiny_stable_diffusion().save_pretrained(tmp_path / "tiny")
    prompts = write_prompts(tmp_path / "p.jsonl", 4)
    pipeline = ["generator=diffusers", f"generator.path={tmp_path}/tiny", "generator.width=64", "generator.height=64"]
    size = ["generator.steps=20", "generator.batch=2", "generator.samples_per_shard=5"]
    given = ["audit", f"prompts={prompts}", *pipeline, *size, "images=3", *FAKE]
    curate(*given, f"output.dir={tmp_path}/undisturbed")
    mine = tmp_path / "mine"
    for pieces in (1, 4):
        process = subprocess.Popen(command(*given, f"output.dir={mine}"), env=environment(), stderr=subprocess.DEVNULL)
        wait_until(lambda n=pieces: kept(mine) >= n, "no piece", alive=process, every=0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert kept(mine) >= 4
    curate(*given, f"output.dir={mine}")
    assert tars(mine) == tars(tmp_path / "undisturbed")
    assert outcomes(mine).drop("shard").equals(outcomes(tmp_path / "undisturbed").drop("shard"))


def kept(folder):
    """Pieces, of which a finished tar has three, the last one two."""
    whole = len(list((folder / "images").glob("*.tar")))
    return 3 * whole + len(list((folder / "work" / "pieces").glob("*/[0-9]*")))


@pytest.mark.slow
def test_ctrl_c_finishes_the_batch_and_the_next_start_goes_on(finished, prompts, tmp_path):
    folder, _, _ = finished
    with images_api() as api:
        slow = api.answer
        api.answer = lambda body, key: (time.sleep(0.2), slow(body, key))[1]
        arguments = by_api(api, prompts, tmp_path / "stub", "images=3", "policies=[kids,drawings]")
        process = subprocess.Popen(command(*arguments), env=environment(), stderr=subprocess.PIPE, text=True)
        while len(api.requests) < 4:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=HANG_SECONDS)[1]
        assert process.returncode == 75
        assert "finishing the pictures that are being generated" in said
        api.answer = slow
        curate(*arguments)
        assert len(api.requests) == 33
    assert tars(tmp_path / "stub") == tars(folder)


@pytest.mark.slow
def test_two_processes_in_one_folder_make_what_one_does(finished, prompts, tmp_path):
    folder, _, _ = finished
    with images_api() as api:
        slow = api.answer
        api.answer = lambda body, key: (time.sleep(0.1), slow(body, key))[1]
        given = by_api(api, prompts, tmp_path / "stub", "images=3", "policies=[kids,drawings]")
        both = [
            subprocess.Popen(
                command(*given, f"share={n}/2"),
                env=environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for n in (1, 2)
        ]
        for one in both:
            said = one.communicate(timeout=HANG_SECONDS)[1]
            assert one.returncode == 0, said
        asked = Counter(json.dumps(one, sort_keys=True) for one in api.requests)
    assert len(asked) == 33
    assert tars(tmp_path / "stub") == tars(folder)
    keep = pl.exclude("shard")
    assert outcomes(tmp_path / "stub").select(keep).equals(outcomes(folder).select(keep))


@pytest.mark.slow
def test_pictures_of_somebody_else_with_sidecars_are_the_same_audit(finished, tmp_path):
    folder, _, _ = finished
    done = curate(
        "audit",
        "generator=folder",
        f"generator.path={folder}/images",
        f"output.dir={tmp_path}/mine",
        *FAKE,
        "policies=[kids,drawings]",
        "budget.data=100",
    )
    assert "kids: 27 of 33 pictures judged, 3 refused, 3 failed" in done.stdout
    keep = pl.exclude("shard")
    assert (
        outcomes(tmp_path / "mine")
        .select(keep)
        .drop("negative_prompt")
        .equals(outcomes(folder).select(keep).drop("negative_prompt"))
    )
    compared = curate("audit", "compare", str(folder), f"{tmp_path}/mine").stdout
    assert "kids: 27 pairs of pictures" in compared


def pictures(folder, count=6):
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.png").write_bytes(picture(number, kind="PNG"))
    return folder


@pytest.mark.slow
def test_a_manifest_says_which_prompt_a_picture_has(tmp_path):
    pictures(tmp_path / "made")
    rows = ["file_name,prompt,id,set,refused", *(f"{n}.png,prompt {n // 2},p{n // 2},mine," for n in range(6))]
    rows += [
        ",prompt 9,p9,mine,by its own filter".replace(",prompt 9", "x.png,prompt 9", 1),
        "gone.png,prompt 0,p0,mine,",
    ]
    (tmp_path / "m.csv").write_text("\n".join(rows) + "\n")
    given = [f"generator.path={tmp_path}/made", f"generator.manifest={tmp_path}/m.csv", "generator.revision=v2"]
    curate("audit", "generator=folder", *given, f"output.dir={tmp_path}/out", *FAKE)
    found = outcomes(tmp_path / "out")
    assert found.select("prompt_id", "number", "fate").rows() == [
        ("p0", 0, "judged"),
        ("p0", 1, "judged"),
        ("p1", 0, "judged"),
        ("p1", 1, "judged"),
        ("p2", 0, "judged"),
        ("p2", 1, "judged"),
        ("p9", 0, "refused"),
        ("p0", 2, "not_judged"),
    ]
    assert found["reason"].to_list()[-2:] == ["by its own filter", "there is no such picture"]
    assert found["revision"].unique().to_list() == ["v2"]
    assert "The 1 that were not judged may be anything" in (tmp_path / "out" / "audit.md").read_text()


@pytest.mark.slow
def test_pictures_without_a_prompt_are_told_and_a_manifest_mends_it_without_judging_again(tmp_path):
    pictures(tmp_path / "made", 2)
    given = ["audit", "generator=folder", f"generator.path={tmp_path}/made", f"output.dir={tmp_path}/out", *FAKE]
    told = curate(*given, code=2).stderr
    assert "2 pictures have no prompt, first 0.png: give each a sidecar with `prompt`" in told
    (tmp_path / "made" / "0.txt").write_text("a bear")
    (tmp_path / "m.jsonl").write_text(
        '{"file_name": "0.png", "prompt": "a bear"}\n{"file_name": "1", "prompt": "a cat"}\n'
    )
    done = curate(*given, f"generator.manifest={tmp_path}/m.jsonl", f"output.dir={tmp_path}/other")
    assert "2 of 2 pictures judged" in done.stdout


@pytest.mark.slow
def test_a_prompt_file_gives_ids_and_sets_to_pictures_by_their_text(tmp_path):
    pictures(tmp_path / "made", 2)
    (tmp_path / "made" / "0.json").write_text('{"prompt": "prompt 1", "seed": 5}')
    (tmp_path / "made" / "1.txt").write_text("prompt 0")
    write_prompts(tmp_path / "p.jsonl", 3, sets=("cats", "dogs"))
    given = ["audit", "generator=folder", f"generator.path={tmp_path}/made", f"prompts={tmp_path}/p.jsonl", *FAKE]
    curate(*given, f"output.dir={tmp_path}/out")
    found = outcomes(tmp_path / "out").select("prompt_id", "prompt_set", "seed").rows()
    assert found == [("p1", "dogs", 5), ("p0", "cats", None)]
    assert [one.id for one in read_prompts(tmp_path / "out" / "prompts.parquet")] == ["p0", "p1", "p2"]
    (tmp_path / "made" / "1.txt").write_text("another prompt")
    assert (
        "'another prompt': is of a picture, and not in the prompt file"
        in curate(*given, f"output.dir={tmp_path}/b", code=2).stderr
    )


@pytest.mark.slow
def test_columns_of_any_data_set_are_sidecars_too(tmp_path):
    rows = [
        {"image": {"bytes": picture(n, kind="PNG"), "path": None}, "prompt": f"prompt {n // 2}", "id": f"p{n // 2}"}
        for n in range(4)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "made.parquet")
    data = ["+dataset=parquet", f"dataset.shards={tmp_path}/made.parquet"]
    curate("audit", "generator=folder", *data, f"output.dir={tmp_path}/out", *FAKE)
    assert outcomes(tmp_path / "out").select("prompt_id", "number", "fate").rows() == [
        (f"p{n // 2}", n % 2, "judged") for n in range(4)
    ]
    record = yaml.safe_load((tmp_path / "out" / "audit.yaml").read_text())
    assert record["generator"]["pictures"] == [f"{tmp_path}/made.parquet"]


@pytest.fixture
def prompt_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("f.yaml").write_text("name: f\nsplits: {good: NOT unsafe}\n")
    return write_prompts(Path("p.jsonl"), 2)


NOWHERE = ["generator=openai", "generator.url=http://127.0.0.1:1/v1", "generator.api_model=x", "generator.retries=0"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["prompts=p.jsonl"], "generator: none was given; add generator=NAME, one of diffusers, folder, openai"),
        (["prompts=p.jsonl", "generator=flux"], "generator=flux: there is no such generator"),
        (["prompts=p.jsonl", "generator=openai"], "generator.url: has no value; give one with generator.url="),
        (["prompts=p.jsonl", *NOWHERE, "generator.name=other"], "generator.name=other: there is no such generator"),
        (["prompts=p.jsonl", *NOWHERE, "generator.sead=1"], "generator.sead: there is no such setting"),
        ([*NOWHERE], "prompts: none were given, as in: python -m curate audit prompts="),
        (["prompts=none.csv", *NOWHERE], "none.csv: cannot be read as csv (No such file or directory)"),
        (["prompts=p.jsonl", *NOWHERE, "images=0"], "images=0: give a whole number from 1 on"),
        (["prompts=p.jsonl", *NOWHERE, "images=many"], "images=many: give a whole number"),
        (["prompts=p.jsonl", *NOWHERE, "share=0/2"], "share=0/2: give which one of how many it is, such as 1/4"),
        (["prompts=p.jsonl", *NOWHERE, "seed=-1"], "seed=-1: give a whole number from 0 on"),
        (["prompts=p.jsonl", *NOWHERE, "policy=none"], "policy=none: there is no such policy"),
        (["prompts=p.jsonl", *NOWHERE, "dataset.limit=3"], "dataset: is what the generator makes"),
        (["prompts=p.jsonl", *NOWHERE, "filter=f.yaml"], "counts what goes to `unsafe`, and there is no such split"),
        (["prompts=p.jsonl", *NOWHERE, "against=nowhere"], "nowhere: holds no audit"),
        (["prompts=p.jsonl", "prompts", *NOWHERE], "prompts: is no argument; `audit` takes NAME=VALUE"),
        (["p.jsonl", *NOWHERE], "p.jsonl: is no argument; `audit` takes NAME=VALUE, or compare A B"),
        (["generator=folder"], "generator.path: none was given; name where the pictures are"),
        (["compare", "a"], "audit compare: takes the folders of two audits"),
        (["compare", "a", "b", "c=d"], "audit compare: takes the folders of two audits"),
        (["compare", "a", "b"], "a: holds no audit (no audit.yaml)"),
        (["prompts=p.jsonl", *NOWHERE, *FAKE], "http://127.0.0.1:1/v1 does not answer (APIConnectionError"),
    ],
)
def test_what_is_wrong_is_one_line(prompt_file, capsys, arguments, said):
    assert main(["audit", *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert said in error[-1]
    assert error[-1].startswith("curate: ")


def test_a_generator_is_of_no_other_command(capsys):
    assert main(["run", "+dataset=laion_subset", "generator=openai"]) == 2
    assert "belongs to a generator, which only `audit` looks at" in capsys.readouterr().err


def test_nothing_heavy_is_imported_for_an_audit():
    """Torch and diffusers live in the generator's process alone."""
    heavy = ("torch", "diffusers", "openai", "scipy", "transformers")
    code = f"import sys, curate.cli.commands.audit; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
