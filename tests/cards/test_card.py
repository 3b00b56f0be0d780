"""What `datasets` makes of a run's folder."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from curate.cards.card import publish_cards
from curate.core.types import Rating
from curate.filtering import write_parquet as parquet_format
from curate.filtering.stage import prepare
from curate.settings.filter import FilterSettings
from curate.storage.local_store import LocalStore
from tests.support.filtering_cases import (
    MODEL,
    Case,
    by_number,
    commit,
    judged,
    laion_members,
    write_parquet,
    write_tar,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of `datasets` for each test, kept over all its loads."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    return tmp_path / "cache"


@pytest.fixture
def case(tmp_path: Path) -> Case:
    tar = write_tar(tmp_path / "a.tar", laion_members(0, 30))
    parquet = write_parquet(tmp_path / "b.parquet", [f"p{n}" for n in range(12)])
    return judged(tmp_path / "one" / "run", [tar, parquet], label="label")


def load(case: Case, *names: str) -> datasets.Dataset:
    return datasets.load_dataset(str(case.root), *names, split="train")


def keys(case: Case, name: str) -> list[str]:
    return load(case, name)["key"][:]


def written_keys(case: Case, split: str) -> list[str]:
    return [
        k for f in sorted((case.root / "splits" / split).glob("*.parquet")) for k in pq.read_table(f)["key"].to_pylist()
    ]


def test_annotations_and_splits_load_and_images_are_pil(case: Case):
    result = case.filter()
    annotations = load(case, "annotations")
    assert len(annotations) == result.samples == len(case.rows["house"])
    clean = load(case, "clean")
    assert len(clean) == result.splits["clean"] > 0
    rows = {row.key: row for row in case.rows["house"]}
    for row in clean:
        assert isinstance(row["image"], Image.Image)
        assert row["image"].load()
        assert row["rating"] == rows[row["key"]].rating == Rating.SAFE
    raw = clean.cast_column("image", datasets.Image(decode=False))
    assert all(Image.open(io.BytesIO(row["image"]["bytes"])).size[1] == 8 for row in raw)


def test_clean_is_the_default(case: Case):
    case.filter()
    assert load(case)["key"][:] == written_keys(case, "clean")


def test_broken_images_of_failed_do_not_break_the_loading(case: Case):
    result = case.filter()
    failed = list(load(case, "failed"))
    assert len(failed) == result.splits["failed"]
    assert any(row["image"] and row["image"]["bytes"] == b"no image" for row in failed)
    assert any(row["image"] is None for row in failed)


def test_empty_splits_are_left_out(case: Case):
    case.filter()
    assert datasets.get_dataset_config_names(str(case.root)) == ["annotations", "clean", "unsafe", "failed"]


def test_each_policy_has_its_annotations(tmp_path: Path):
    case = judged(tmp_path / "run", [write_tar(tmp_path / "a.tar", laion_members(0, 6))], policies=("house", "kids"))
    case.filter()
    assert len(load(case, "annotations")) == 12
    assert set(load(case, "annotations-kids")["policy"]) == {"kids"}


def test_only_committed_annotations_are_loaded(case: Case):
    """A file without a commit, as a worker leaves it that died between the two, does not count."""
    case.store.delete(f"commits/house/{case.shards[1].id}.json")
    case.filter()
    assert set(load(case, "annotations")["shard"]) == {case.shards[0].id}
    assert "**Not finished:** 1 shards" in case.files()["README.md"].decode()


def test_parts_of_clean_are_splits(case: Case):
    result = case.filter(subdivide={"train": 0.5, "validation": 0.25, "test": 0.25})
    found = datasets.load_dataset(str(case.root), "clean")
    expected = {part.split("/")[1]: n for part, n in result.parts.items() if "/" in part}
    assert {name: len(part) for name, part in found.items()} == expected


@pytest.mark.slow
def test_a_second_load_after_a_new_filter_is_not_stale(case: Case):
    for unsafe in (0.9, 0.2, 0.5, 0.9):
        case.filter(thresholds={"unsafe": unsafe})
        assert keys(case, "clean") == written_keys(case, "clean")


def test_a_second_load_after_new_annotations_is_not_stale(case: Case):
    # With tars, nothing else in the run's card changes.
    case.filter(write="webdataset")
    assert "Unsafe" in load(case, "annotations")["rating"]
    for shard in case.shards:
        rows = [replace(r, rating=r.rating and Rating.SAFE) for r in case.rows["house"] if r.shard == shard.id]
        commit(case.store, "house", shard, rows)
    case.filter(write="webdataset")
    assert set(load(case, "annotations")["rating"]) == {"Safe", None}


def test_a_folder_of_the_same_name_elsewhere_is_another_data_set(case: Case, tmp_path: Path):
    case.filter()
    other = judged(
        tmp_path / "two" / "run",
        [Path(shard.url) for shard in case.shards],
        lambda sample, policy: by_number(sample, policy) | ({"p_unsafe": 0.01} if sample.index == 1 else {}),
    )
    other.filter()
    assert case.root.name == other.root.name
    scores = [load(c, "annotations").filter(lambda row: row["index"] == 1)["p_unsafe"][:] for c in (case, other)]
    assert scores[0] != scores[1]
    assert [len(c.files()) for c in (case, other)] == [10, 9]


@pytest.mark.slow
def test_other_processes_see_the_new_rows(case: Case, cache: Path):
    script = (
        "import datasets, sys; datasets.disable_progress_bars(); datasets.config.HF_DATASETS_CACHE = sys.argv[2]\n"
        "print(*datasets.load_dataset(sys.argv[1], 'clean', split='train')['key'])"
    )
    case.filter(thresholds={"unsafe": 0.9})
    before = keys(case, "clean")
    case.filter(thresholds={"unsafe": 0.2})
    command = [sys.executable, "-c", script, str(case.root), str(cache)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert found == written_keys(case, "clean") != before


def test_tar_splits_have_a_card_of_their_own(case: Case):
    result = case.filter(write="webdataset", subdivide={"train": 0.5, "test": 0.5})
    assert datasets.get_dataset_config_names(str(case.root)) == ["annotations"]
    card = yaml.safe_load(case.files()["splits/clean/README.md"].decode().split("---\n")[1])
    assert card["configs"][0]["data_files"] == [
        {"split": name, "path": f"{name}/*-{result.digest}.tar"} for name in ("train", "test")
    ]


def test_tar_splits_load_through_their_card(tmp_path: Path):
    members = [m for m in laion_members(0, 20) if int(m[0][:9]) % 7 < 5]
    case = judged(tmp_path / "run", [write_tar(tmp_path / "a.tar", members)])
    result = case.filter(write="webdataset")
    clean = datasets.load_dataset(str(case.root / "splits/clean"), split="train")
    assert len(clean) == result.splits["clean"]
    assert all(isinstance(row["jpg"], Image.Image) for row in clean)


def test_the_cards_features_are_the_files_own(case: Case):
    case.filter()
    for split, decode in (("clean", True), ("failed", False)):
        described = datasets.load_dataset_builder(str(case.root), split).info.features
        assert described == datasets.Features.from_dict(parquet_format.features(decode=decode))
        assert described.arrow_schema.remove_metadata() == parquet_format.SCHEMA
    file = next((case.root / "splits/clean").glob("*.parquet"))
    assert datasets.Features.from_arrow_schema(pq.read_schema(file)) == datasets.Features.from_dict(
        parquet_format.features(decode=True)
    )


def test_the_card_says_what_happened(case: Case):
    result = case.filter(thresholds={"unsafe": 0.6, "review": 0.4})
    card = case.files()["README.md"].decode()
    assert f"| clean | {result.splits['clean']} |" in card
    assert f"| engine_failure | {result.statuses['engine_failure']} |" in card
    assert "judged by **a-model** under 1 safety\npolicy" in card
    assert f"| failed | not judged: undecodable | {result.statuses['undecodable']} |" in card
    assert "| class 0 |" in card
    assert "knows drawings alone" not in card


def test_the_cards_say_first_what_users_of_the_labels_must_know(case: Case):
    settings = FilterSettings(splits={"clean": "true"}, write="webdataset")
    case.filter(splits={"clean": "true"}, write="webdataset")
    stage = prepare(case.store, settings, case.dataset, case.shards, case.policies)
    result = case.filter(splits={"clean": "true"}, write="webdataset")
    model = MODEL.model_copy(update={"warning": "It knows drawings alone."})
    assert isinstance(case.store, LocalStore)
    for name in publish_cards(case.store, settings, case.dataset, model, case.policies, stage.commits, result):
        assert "> **It knows drawings alone.**" in case.files()[name].decode()


def test_a_file_of_failed_says_by_itself_that_its_images_stay_bytes(case: Case):
    case.filter()

    def loaded(split: str) -> list[object]:
        files = f"{case.root}/splits/{split}/*.parquet"
        return [row["image"] for row in datasets.load_dataset("parquet", data_files=files, split="train")]

    assert all(isinstance(image, dict | None) for image in loaded("failed"))
    assert all(isinstance(image, Image.Image) for image in loaded("clean"))
