"""`verify`: a sound run passes in every shape; each law broken once is named with its place, and exits with 4."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from curate.cli.program import main
from curate.pipeline.compacting import compact
from curate.runs.plan import make_plan, plan_to_bytes
from curate.runs.reopening import reopen_for_retry
from curate.runs.run_folder import load_run, open_run, read_record
from curate.storage.local_store import LocalStore
from curate.verification import rows as rows_module
from curate.verification.audit import audit
from curate.verification.evidence import Law
from curate.verification.report import SHOWN
from tests.support.filtering_cases import laion_members, picture, write_parquet, write_tar
from tests.support.verification_cases import (
    claim,
    commit_as_it_is,
    commit_of,
    edit_commit,
    edit_rows,
    edit_split,
    finished_run,
    judge,
    make_run,
    snapshot,
    split,
)

ONE, CLOSED, LOSSLESS, LABELS, PRINT, PLAN, LEFT = Law


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two tars of 14 samples, some without an image or with one that is none; a Parquet file with awkward keys."""
    folder = tmp_path_factory.mktemp("data")
    for n in range(2):
        write_tar(folder / f"{n:05d}.tar", laion_members(14 * n, 14))
    write_parquet(folder / "rows.parquet", ["a/b.c", "twice", "twice", None, "é", "x y", "z"])
    return folder


@pytest.fixture(scope="module")
def originals(data, tmp_path_factory):
    """Finished runs by shape, made once and copied to be broken."""
    folder = tmp_path_factory.mktemp("runs")
    tars = sorted(data.glob("*.tar"))
    judged = make_run(folder / "judged", tars)
    judge(judged)
    shapes = {"parquet": {}, "webdataset": {"write": "webdataset"}, "index": {"write": "index"}}
    for name, more in shapes.items():
        finished_run(folder / name, tars, **more)
    finished_run(folder / "rows-to-tar", [data / "rows.parquet"], write="webdataset")
    finished_run(folder / "rows", [data / "rows.parquet"], subdivide={"train": 0.5, "test": 0.5})
    finished_run(folder / "two-policies", tars, policies=("p", "q"))
    return folder


@pytest.fixture
def copied(originals, tmp_path):
    """A copy of a run, by its shape."""
    return lambda name: Path(shutil.copytree(originals / name, tmp_path / name))


def verify(folder: Path, *more: str) -> int:
    return main(["verify", f"output.dir={folder}", *more])


def violations(folder: Path, *, against_sources: bool = True) -> dict[Law, str]:
    report = audit(folder, against_sources=against_sources)
    return {law: "\n".join(f"{f.where}: {f.what}" for f in report.findings if f.law == law) for law in report.found}


def first(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


def rows_file(folder: Path) -> Path:
    return first(folder, "annotations/p/*.parquet")


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["judged", "parquet", "webdataset", "index", "rows-to-tar", "rows", "two-policies"])
@pytest.mark.parametrize("sources", ["true", "false"])
def test_a_sound_run_passes_and_nothing_is_written(originals, shape, sources, capsys):
    before = snapshot(originals / shape)
    assert verify(originals / shape, f"sources={sources}") == 0
    out = capsys.readouterr().out
    assert out.rstrip().endswith("no violation")
    assert ("samples of sources" in out) == (sources == "true")
    assert snapshot(originals / shape) == before


@pytest.mark.slow
def test_the_table_counts_what_was_checked(originals, capsys):
    verify(originals / "two-policies")
    table = capsys.readouterr().out
    for numbers in ("4 commits, 56 rows, 28 samples of sources", "28 samples in splits", "2 planned shards"):
        assert numbers in table


def changed(index: int, **fields: object) -> Callable[[Path], None]:
    """An edit of one annotation row that keeps the commit in step."""

    def edit(folder: Path) -> None:
        edit_rows(rows_file(folder), lambda rows: [r | fields if r["index"] == index else r for r in rows])

    return edit


def labelled(rating: str, **fields: object) -> Callable[[Path], None]:
    """An edit of the first row of a rating."""

    def edit(folder: Path) -> None:
        rows = pq.read_table(rows_file(folder)).to_pylist()
        changed(next(r["index"] for r in rows if r["rating"] == rating), **fields)(folder)

    return edit


def rows_edit(edit: Callable[[list], list], **more: object) -> Callable[[Path], None]:
    return lambda folder: edit_rows(rows_file(folder), edit, **more)


def swapped_hashes(rows: list) -> list:
    return [rows[0] | {"sha256": rows[1]["sha256"]}, rows[1] | {"sha256": rows[0]["sha256"]}, *rows[2:]]


def yaml_edit(edit: Callable[[dict], object]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        record = yaml.safe_load((folder / "run.yaml").read_text())
        edit(record)
        (folder / "run.yaml").write_text(yaml.safe_dump(record))

    return change


def plan_edit(folder: Path) -> None:
    table = pq.read_table(folder / "plan.parquet")
    pq.write_table(table.slice(1).replace_schema_metadata(table.schema.metadata), folder / "plan.parquet")


def stray_commit(folder: Path) -> None:
    shutil.copy(commit_of(rows_file(folder)), folder / "commits/p/stray.json")


def commit_without_fingerprint(folder: Path) -> None:
    (folder / "commits/other").mkdir()
    shutil.copy(commit_of(rows_file(folder)), folder / "commits/other/")


OTHER_PRINT = {"metadata": {"fingerprint": "f" * 64}}

# What is broken in a judged run without splits: the edit, the law, and what the place and message hold.
JUDGED = {
    "row dropped": (rows_edit(lambda rows: rows[:4] + rows[5:]), ONE, "index 4: has no row"),
    "last row dropped": (rows_edit(lambda rows: rows[:-1]), ONE, "index 13: has no row, but the source"),
    "row doubled": (rows_edit(lambda rows: [*rows[:5], rows[4], *rows[5:]]), ONE, "index 4: has more than one row"),
    "row invented": (
        rows_edit(lambda rows: [*rows, rows[-1] | {"index": 14}]),
        ONE,
        "index 14: the source has no such",
    ),
    "rows out of order": (rows_edit(lambda rows: rows[::-1]), ONE, "not in the order"),
    "hashes swapped": (rows_edit(swapped_hashes), ONE, "index 0: sha256 is"),
    "other key": (changed(3, key="other"), ONE, "index 3: key is 'other'"),
    "row of another shard": (changed(3, shard="other"), ONE, "index 3: shard is 'other'"),
    "row of another policy": (changed(3, policy="q"), ONE, "index 3: policy is 'q'"),
    "file is not the committed one": (rows_edit(lambda rows: rows, recommit=False), ONE, "is not the committed file"),
    "file gone": (lambda folder: rows_file(folder).unlink(), ONE, "is not there, but its commit is"),
    "file cut off": (lambda folder: rows_file(folder).write_bytes(b"PAR1"), ONE, "cannot be read"),
    "commit miscounts rows": (lambda folder: edit_commit(rows_file(folder), rows=99), ONE, "its commit says 99"),
    "commit miscounts ratings": (lambda folder: edit_commit(rows_file(folder), ratings={}), ONE, "ratings are {}"),
    "commit miscounts labels of others": (
        lambda folder: edit_commit(rows_file(folder), reused=3),
        ONE,
        "reused are 3 labels, in the file 0",
    ),
    "commit is no commit": (lambda folder: commit_of(rows_file(folder)).write_bytes(b"{"), ONE, "is no commit"),
    "commit of another": (lambda folder: edit_commit(rows_file(folder), policy="q"), ONE, "policy q"),
    "foreign category": (changed(0, category="X9"), LABELS, "index 0: a category that the policy does not have"),
    "foreign name": (changed(0, category_name="Else"), LABELS, "index 0: a category that the policy does not have"),
    "no category": (changed(0, category=None, category_name=None), LABELS, "index 0: a category that"),
    "unsafe under NA": (labelled("Unsafe", category="NA", category_name="None applying"), LABELS, "cannot be violated"),
    "rating on a failure": (changed(6, rating="Safe"), LABELS, "index 6: a failure that has a label"),
    "rationale on a failure": (changed(6, rationale="so"), LABELS, "index 6: a failure that has a label"),
    "no rating": (changed(0, rating=None), LABELS, "index 0: labelled without a rating"),
    "strange rating": (changed(0, rating="Maybe"), LABELS, "index 0: labelled without a rating"),
    "strange status": (changed(6, status="skipped"), LABELS, "index 6: a status that does not exist"),
    "no probability": (changed(0, p_unsafe=1.5), LABELS, "index 0: p_unsafe is no probability"),
    "not a number": (changed(0, p_unsafe=float("nan")), LABELS, "index 0: p_unsafe is no probability"),
    "safe at 0.9": (labelled("Safe", p_unsafe=0.9), LABELS, "p_unsafe contradicts the rating"),
    "unsafe at 0.1": (labelled("Unsafe", p_unsafe=0.1), LABELS, "p_unsafe contradicts the rating"),
    "fingerprint of the file": (rows_edit(lambda rows: rows, **OTHER_PRINT), PRINT, "annotations/p/00000"),
    "fingerprint of the commit": (lambda f: edit_commit(rows_file(f), fingerprint="0"), PRINT, "commits/p/00000"),
    "fingerprint's parts": (yaml_edit(lambda r: r["fingerprints"]["p"]["parts"].update(x=1)), PRINT, "run.yaml"),
    "policy without one": (commit_without_fingerprint, PRINT, "commits/other"),
    "stray commit": (stray_commit, PLAN, "commits/p/stray.json"),
    "hash of the plan": (yaml_edit(lambda r: r["plan_hashes"].append("0")), PLAN, "run.yaml: plan_hashes"),
    "edited plan": (plan_edit, PLAN, "plan.parquet: was changed"),
    "plan gone": (lambda folder: (folder / "plan.parquet").unlink(), PLAN, "plan.parquet: is not there"),
    "other plan": (lambda f: edit_commit(rows_file(f), plan_hash="0"), PLAN, "plan hash 0 is of no plan"),
    "other version": (lambda folder: edit_commit(rows_file(folder), version="1-2"), PLAN, "judged shard version '1-2'"),
}


@pytest.mark.parametrize("name", JUDGED)
@pytest.mark.slow
def test_a_broken_judged_run_is_named(copied, name, capsys):
    edit, law, place = JUDGED[name]
    folder = copied("judged")
    edit(folder)
    assert verify(folder) == 4
    printed = capsys.readouterr()
    assert [one for one in Law if f"violations of law {one}" in printed.out] == [law], printed.out
    assert place in printed.out
    assert printed.err.startswith("curate: ")
    assert law in printed.err


@pytest.mark.parametrize("batch", [1, 14, 15, 10**6])
def test_rows_are_named_by_their_own_file_however_many_are_looked_at_together(copied, batch, monkeypatch):
    monkeypatch.setattr(rows_module, "BATCH_ROWS", batch)
    folder = copied("two-policies")
    for policy, index in (("p", 2), ("q", 5)):
        path = sorted(folder.glob(f"annotations/{policy}/*.parquet"))[1]
        edit_rows(path, lambda rows, index=index: [r for r in rows if r["index"] != index])
        edit_rows(path, lambda rows: [rows[0] | {"shard": "x", "category_name": "Else"}, *rows[1:]])
    report = audit(folder, against_sources=False)
    named = {f"{finding.where}: {finding.what}" for finding in report.findings}
    for policy, index in (("p", 2), ("q", 5)):
        (shard,) = {path.stem for path in folder.glob("annotations/*/00001-*.parquet")}
        name = f"annotations/{policy}/{shard}.parquet"
        assert f"{name}, index {index}: has no row" in named
        assert f"{name}, index 0: shard is 'x' in the file of '{shard}'" in named
        assert any(one.startswith(f"{name}, index 0: a category that the policy does not have") for one in named)
    assert not [one for one in named if "/00000-" in one]
    assert report.checked[ONE, "rows"] == 54


def split_edit(part: str, edit: Callable[[list], list]) -> Callable[[Path], None]:
    return lambda folder: edit_split(first(folder, f"splits/{part}/*.parquet"), edit)


def moved(source: str, target: str, *, keep: bool = False) -> Callable[[Path], None]:
    """The first row of one split appended to another of the same shard."""

    def edit(folder: Path) -> None:
        taken = pq.read_table(first(folder, f"splits/{source}/*.parquet")).to_pylist()[0]
        if not keep:
            split_edit(source, lambda rows: rows[1:])(folder)
        split_edit(target, lambda rows: [*rows, taken])(folder)

    return edit


def all_files_of_a_shard(folder: Path) -> None:
    for path in folder.glob("splits/*/00000-*"):
        path.unlink()


def file_of_no_shard(folder: Path) -> None:
    path = first(folder, "splits/clean/*.parquet")
    path.with_name(f"other-{path.stem.rpartition('-')[2]}.parquet").write_bytes(path.read_bytes())


def image_edit(row: dict) -> dict:
    data = bytearray(row["image"]["bytes"])
    data[-1] ^= 1
    return row | {"image": row["image"] | {"bytes": bytes(data)}}


def sidecar_edit(row: dict) -> dict:
    return row | {"sidecar": [row["sidecar"][0] | {"data": b"{}"}, *row["sidecar"][1:]]}


def on_first(edit: Callable[[dict], dict]) -> Callable[[list], list]:
    return lambda rows: [edit(rows[0]), *rows[1:]]


def card_edit(old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / "README.md").read_text()
        assert old in text
        (folder / "README.md").write_text(text.replace(old, new))

    return edit


def uncommitted_behind_the_card(folder: Path) -> None:
    shutil.copy(rows_file(folder), folder / "annotations/p/stray.parquet")


def manifest_gone(folder: Path) -> None:
    for path in folder.glob("tables/*.json"):
        path.unlink()


def digest_of_commits(folder: Path) -> str:
    commits = [json.loads(path.read_text()) for path in folder.glob("commits/*/*.json")]
    lines = sorted(f"{c['policy']} {c['shard']} {c['sha256']}" for c in commits)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def commit_after_the_card(folder: Path) -> None:
    """Another annotation file of the same rows, with its commit: only its digest in the card is old."""
    table = pq.read_table(rows_file(folder))
    pq.write_table(table, rows_file(folder), compression="none")
    commit_as_it_is(rows_file(folder))


# What is broken in a finished run with Parquet splits.
SPLIT = {
    "row missing": (split_edit("clean", lambda rows: rows[1:]), CLOSED, "is in no split"),
    "row twice": (split_edit("clean", lambda rows: [*rows, rows[0]]), CLOSED, "is also in splits/clean/"),
    "row in two splits": (moved("unsafe", "clean", keep=True), CLOSED, "is also in splits/"),
    "unjudged in clean": (moved("failed", "clean"), CLOSED, "was not judged, but is in clean"),
    "unsafe in clean": (moved("unsafe", "clean"), CLOSED, "is in clean, the rules put it into unsafe"),
    "row of nowhere": (
        split_edit("clean", lambda rows: [*rows, rows[0] | {"index": 99}]), CLOSED, "index 99: the shard has no such"
    ),
    "row of another shard": (
        split_edit("clean", lambda rows: [*rows, rows[0] | {"shard": "x"}]), CLOSED, "the shard has no such sample"
    ),
    "file gone": (lambda folder: first(folder, "splits/clean/*.parquet").unlink(), CLOSED, "is in no split"),
    "files of a shard gone": (all_files_of_a_shard, CLOSED, "none of its samples is in a split file"),
    "file of no shard": (file_of_no_shard, CLOSED, "is of no judged shard"),
    "changed byte": (split_edit("clean", on_first(image_edit)), LOSSLESS, "the image's bytes are not"),
    "changed sidecar": (split_edit("clean", on_first(sidecar_edit)), LOSSLESS, "the sidecar is not that"),
    "changed key": (split_edit("clean", on_first(lambda row: row | {"key": "other"})), LOSSLESS, "key is 'other'"),
    "changed image name": (
        split_edit("clean", on_first(lambda row: row | {"image": row["image"] | {"path": "x.jpg"}})),
        LOSSLESS, "the image is called 'x.jpg'",
    ),
    "pattern without files": (card_edit("splits/clean/", "splits/cleaned/"), LEFT, "matches no file"),
    "uncommitted behind the card": (uncommitted_behind_the_card, LEFT, "annotations/p/stray.parquet: has no commit"),
    "rule set gone": (manifest_gone, PLAN, "the rule set that the card points to"),
    "no config for the rows": (card_edit("config_name: annotations", "config_name: rows"), PLAN, "has no config"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPLIT)
@pytest.mark.slow
def test_a_broken_split_is_named(copied, name):
    edit, law, place = SPLIT[name]
    folder = copied("parquet")
    edit(folder)
    found = violations(folder)
    assert list(found) == [law], found
    assert place in found[law]


def test_without_the_sources_splits_are_held_against_what_was_judged(copied):
    folder = copied("parquet")
    split_edit("clean", on_first(image_edit))(folder)
    assert list(violations(folder, against_sources=False)) == [LOSSLESS]


def edit_tar(path: Path, edit: Callable[[list], list]) -> None:
    """Rewrite a tar from its (name, bytes) members."""
    with tarfile.open(path) as tar:
        members = [(m.name, tar.extractfile(m).read()) for m in tar]
    with tarfile.open(path, "w") as tar:
        for name, data in edit(members):
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))


def without_first_sample(members: list) -> list:
    key = members[0][0].partition(".")[0]
    return [m for m in members if not m[0].startswith(f"{key}.")]


def on_suffix(suffix: str, data: bytes) -> Callable[[list], list]:
    def edit(members: list) -> list:
        at = next(i for i, (name, _) in enumerate(members) if name.endswith(suffix))
        return [*members[:at], (members[at][0], data), *members[at + 1 :]]

    return edit


TAR = {
    "sample missing": (without_first_sample, CLOSED, "is in no split"),
    "sample twice": (lambda members: [*members, *members[:3]], CLOSED, "is also in splits/clean/"),
    "sample of nowhere": (lambda members: [*members, ("x.jpg", picture(0))], CLOSED, "key x: the shard has no such"),
    "changed image": (on_suffix(".jpg", picture(77)), LOSSLESS, "the image's bytes are not"),
    "changed sidecar": (on_suffix(".txt", b"other"), LOSSLESS, "member .txt is not that of the source"),
    "member gone": (lambda members: [m for m in members if not m[0].endswith(".txt")], LOSSLESS, "member .txt is gone"),
    "member added": (
        lambda members: [*members, (f"{members[-1][0].partition('.')[0]}.png", picture(1))], LOSSLESS, "members "
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TAR)
def test_a_broken_tar_is_named(copied, name):
    edit, law, place = TAR[name]
    folder = copied("webdataset")
    edit_tar(first(folder, "splits/clean/*.tar"), edit)
    found = violations(folder)
    assert list(found) == [law], found
    assert place in found[law]


def test_an_unjudged_sample_in_a_clean_tar_is_named(copied):
    folder = copied("webdataset")
    failed: list = []
    edit_tar(first(folder, "splits/failed/*.tar"), lambda members: [failed.extend(members)] and members[:0])
    edit_tar(first(folder, "splits/clean/*.tar"), lambda members: [*members, *failed])
    assert "was not judged, but is in clean" in violations(folder)[CLOSED]


def test_a_cut_off_tar_is_named_and_so_is_what_it_lost(copied):
    folder = copied("webdataset")
    path = first(folder, "splits/clean/*.tar")
    path.write_bytes(path.read_bytes()[:2000])
    assert set(violations(folder)) == {LOSSLESS, CLOSED}
    path.write_bytes(bytes(range(256)) * 4)
    found = violations(folder)
    assert set(found) == {LOSSLESS, CLOSED}
    assert "cannot be read" in found[LOSSLESS]


def test_an_index_with_another_hash_is_named(copied):
    folder = copied("index")
    split_edit("clean", on_first(lambda row: row | {"sha256": "0" * 64}))(folder)
    assert list(violations(folder, against_sources=False)) == [LOSSLESS]


def test_fail_closed_holds_under_every_policy_that_decided(copied):
    """A sample that one of two policies could not judge must not be in clean."""
    folder = copied("two-policies")
    index = pq.read_table(first(folder, "splits/clean/*.parquet")).column("index")[0].as_py()
    nothing = dict.fromkeys(("rating", "category", "category_name", "rationale", "p_unsafe"))
    other = first(folder, "annotations/q/*.parquet")
    before = digest_of_commits(folder)
    edit_rows(other, lambda rows: [r | nothing | {"status": "blocked"} if r["index"] == index else r for r in rows])
    card_edit(before, digest_of_commits(folder))(folder)
    assert "was not judged, but is in clean" in violations(folder)[CLOSED]


@pytest.mark.slow
def test_splits_of_earlier_annotations_are_not_held_against_the_new_ones(data, tmp_path):
    """While something is judged again, and until the filter stage follows."""
    run = make_run(tmp_path / "run", sorted(data.glob("*.tar"))[:1])
    judge(run)
    split(run)
    assert reopen_for_retry(run.store, "p", frozenset({"undecodable", "unsupported_format"})) > 0
    assert "splits of earlier annotations, not checked" in notes(tmp_path / "run")
    judge(run)
    split(run)
    commit_after_the_card(tmp_path / "run")
    assert "splits of earlier annotations, not checked" in notes(tmp_path / "run")
    split(run)
    assert notes(tmp_path / "run") == ""


@pytest.mark.parametrize("compacted", [False, True])
def test_every_commit_is_read_once(copied, compacted, monkeypatch):
    folder = copied("two-policies")
    if compacted:
        run = load_run(folder)
        compact(run.store, run.plan.shards, list(run.fingerprints))
    read: Counter[str] = Counter()
    plainly = LocalStore.read

    def counted(store: LocalStore, name: str) -> bytes:
        read[name] += 1
        return plainly(store, name)

    monkeypatch.setattr(LocalStore, "read", counted)
    assert not audit(folder, against_sources=False).found
    assert [count for name, count in read.items() if name.startswith(("commits/p/0", "commits/q/0"))] == [1] * 4


def run_over(data: Path, folder: Path, shards: int):
    run = make_run(folder, sorted(data.glob("*.tar"))[:shards])
    judge(run)
    return run


def notes(folder: Path) -> str:
    report = audit(folder, against_sources=True)
    assert not report.found, report.findings
    return "\n".join(report.notes)


def test_an_unfinished_run_is_no_violation_but_said(data, tmp_path, capsys):
    run = make_run(tmp_path / "run", sorted(data.glob("*.tar")))
    judge(run, run.plan.shards[:1])
    judged, left = run.plan.shards
    claim(tmp_path / "run", judged.id)
    claim(tmp_path / "run", left.id)
    shutil.copy(rows_file(tmp_path / "run"), tmp_path / "run/annotations/p" / f"{left.id}.parquet")
    parts = tmp_path / "run/work/parts/p" / judged.id
    parts.mkdir(parents=True, exist_ok=True)
    (parts / "part.parquet").touch()
    assert verify(tmp_path / "run") == 0
    out = capsys.readouterr().out
    assert f"unfinished shards, to be judged by the next run: {left.id}" in out
    assert f"annotation files without a commit do not count: annotations/p/{left.id}.parquet" in out
    assert f"claims of finished shards, of workers that died; nothing waits for them: work/claims/{judged.id}" in out
    assert f"claims of unfinished shards: work/claims/{left.id}" in out
    assert f"checkpoints of finished shards; work/ may be deleted: work/parts/p/{judged.id}" in out


@pytest.mark.slow
def test_splits_made_before_the_last_shard_was_judged_are_no_violation(data, tmp_path):
    run = make_run(tmp_path / "run", sorted(data.glob("*.tar")))
    judge(run, run.plan.shards[:1])
    split(run)
    assert "unfinished shards" in notes(tmp_path / "run")
    judge(run)
    assert "judged after the splits were made" in notes(tmp_path / "run")
    split(run)
    assert notes(tmp_path / "run") == ""


@pytest.mark.slow
def test_an_extended_run_is_no_violation_however_far_it_came(data, tmp_path):
    run = run_over(data, tmp_path / "run", 1)
    split(run)
    dataset = run.settings.dataset.model_copy(update={"shards": [str(p) for p in sorted(data.glob("*.tar"))]})
    longer = make_plan(dataset)
    run.store.replace("plan.parquet", plan_to_bytes(longer))
    assert "a plan that was changed and not gone on with" in notes(tmp_path / "run")
    settings = run.settings.model_copy(update={"dataset": dataset, "extend": True})
    longer_run = open_run(run.store, settings, longer, run.fingerprints, read_record(run.store))
    assert "unfinished shards" in notes(tmp_path / "run")
    judge(longer_run)
    assert "judged after the splits were made" in notes(tmp_path / "run")
    split(longer_run)
    assert notes(tmp_path / "run") == ""


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_filter_stage_that_was_killed_is_no_violation(originals, copied, after):
    """Before the card, between the card and the end, and with an older rule set still there."""
    folder = copied("parquet")
    manifest = first(folder, "tables/*.json")
    if after == 0:
        (folder / "README.md").unlink()
    other = manifest if after < 2 else manifest.with_name("00000000.json")
    record = manifest.read_text().partition(' "result": ')
    other.write_text((record[0] + ' "result": null}').replace(manifest.stem, other.stem))
    assert "filter" in notes(folder)


def broken_source(data: Path, folder: Path) -> Path:
    """A tar that breaks off in the middle of a sample."""
    path = folder / "broken.tar"
    path.write_bytes((data / "00000.tar").read_bytes()[:17000])
    return path


def test_a_damaged_shard_is_noted_and_its_repair_too(data, tmp_path):
    path = broken_source(data, tmp_path)
    run = make_run(tmp_path / "run", [path])
    judge(run)
    split(run)
    assert "damaged shards" in notes(tmp_path / "run")
    path.write_bytes((data / "00000.tar").read_bytes())
    assert "repaired since" in notes(tmp_path / "run")


def test_a_source_that_breaks_off_since_is_a_violation(data, tmp_path):
    path = tmp_path / "00000.tar"
    shutil.copy(data / "00000.tar", path)
    run = make_run(tmp_path / "run", [path])
    judge(run)
    path.write_bytes(path.read_bytes()[:17000])
    found = violations(tmp_path / "run")
    assert list(found) == [ONE]
    assert "judged was one that has its end" in found[ONE]


def test_a_source_that_changed_is_a_violation_and_one_that_is_gone_is_said(data, tmp_path, capsys):
    path = tmp_path / "00000.tar"
    shutil.copy(data / "00000.tar", path)
    run = make_run(tmp_path / "run", [path])
    judge(run)
    edit_tar(path, on_suffix(".jpg", picture(99)))
    found = violations(tmp_path / "run")
    assert list(found) == [ONE]
    assert "in the source" in found[ONE]
    path.unlink()
    assert verify(tmp_path / "run") == 2
    assert "1 sources could not be read" in capsys.readouterr().err
    assert verify(tmp_path / "run", "sources=false") == 0


def test_a_limit_ends_the_last_shard_early(data, tmp_path):
    run = make_run(tmp_path / "run", sorted(data.glob("*.tar")), limit=17)
    judge(run)
    split(run)
    assert notes(tmp_path / "run") == ""
    assert audit(tmp_path / "run", against_sources=True).checked[ONE, "samples of sources"] == 17


def test_findings_are_bounded_and_all_counted(copied):
    folder = copied("judged")
    for path in folder.glob("annotations/p/*.parquet"):
        edit_rows(path, lambda rows: [r | {"key": f"{r['key']}x"} for r in rows])
    report = audit(folder, against_sources=True)
    assert report.found[ONE] == 28
    assert len(report.findings) == SHOWN
    assert any("and 8 more" in line for line in report.lines())


@pytest.mark.parametrize("arguments", [["output.dir={}", "sources=perhaps"], ["output.dir={}", "model=x"], []])
def test_wrong_arguments_are_named(originals, arguments, capsys):
    assert main(["verify", *(a.format(originals / "judged") for a in arguments)]) == 2
    assert "output.dir" in capsys.readouterr().err


def test_a_folder_without_a_run_is_the_users_error(tmp_path, capsys):
    assert verify(tmp_path) == 2
    assert "holds no run" in capsys.readouterr().err
