"""What data are called that nobody named: readable, and the same whenever the same shards are given."""

from __future__ import annotations

import pytest

from curate.cli.hydra_config import compose_settings
from curate.settings.dataset_name import named_after

FAKE = ["engine=fake"]


@pytest.mark.parametrize(
    ("shards", "name"),
    [
        (["/data/cats/{00000..00127}.tar"], "cats"),
        (["/data/cats/00000.tar", "/data/cats/00001.tar"], "cats"),
        (["/data/cats/00000.tar"], "cats"),
        (["/data/cats"], "cats"),
        (["/data/cats/"], "cats"),
        (["/data/cats/*/x-*.tar"], "cats"),
        (["s3://bucket/laion/part-*.parquet"], "laion"),
        (["s3://bucket/part-*.parquet"], "bucket"),
        (["hf://datasets/user/birds/data/train-*.parquet"], "birds_data"),
        (["https://example.org/a/b.tar?signed=c/d"], "b"),
        (["/x/birds.tar"], "birds"),
        (["/x/birds.tar.gz"], "birds"),
        (["./mine/photos"], "photos"),
        (["../photos/."], "photos"),
        (["/data/imagenet/train"], "imagenet_train"),
        (["/data/{train,val}/x.tar"], "data"),
        (["/data/one", "/data/two"], "data"),
        (["/x/my cats & dogs.tar"], "my_cats_dogs"),
        (["/*.tar"], "dataset"),
    ],
)
def test_data_are_named_after_where_they_lie(shards, name):
    assert named_after(shards) == name


def test_data_of_the_working_folder_have_its_name(tmp_path, monkeypatch):
    (tmp_path / "holiday").mkdir()
    monkeypatch.chdir(tmp_path / "holiday")
    assert named_after(["*.tar"]) == named_after(["."]) == named_after([f"{tmp_path}/holiday/*.tar"]) == "holiday"


def test_names_on_the_hub():
    assert named_after(["user/pets"], on_hub=True) == "pets"
    assert named_after(["pets"], on_hub=True) == "pets"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "shards", "name"),
    [
        ("webdataset", "/data/cats/{00000..00127}.tar", "cats"),
        ("parquet", "s3://bucket/laion/part-*.parquet", "laion"),
        ("folder", "./mine/photos", "photos"),
    ],
)
def test_presets_of_formats_name_the_run_after_the_data(preset, shards, name):
    given = [f"+dataset={preset}", f"dataset.shards={shards}", *FAKE]
    settings = compose_settings(given)
    assert (settings.dataset.name, settings.output.dir) == (name, f"runs/{name}")
    assert compose_settings(given) == settings
    named = compose_settings([*given, "dataset.name=mine"])
    assert (named.dataset.name, named.output.dir) == ("mine", "runs/mine")
    assert compose_settings([*given, "output.dir=elsewhere"]).output.dir == "elsewhere"


@pytest.mark.slow
def test_presets_of_data_sets_keep_their_names():
    for preset in ("laion_subset", "imagenet_folder", "hf_dataset"):
        settings = compose_settings([f"+dataset={preset}", "dataset.shards=x/y.tar", *FAKE])
        assert (settings.dataset.name, settings.output.dir) == (preset, f"runs/{preset}")


def test_a_file_of_ones_own_may_leave_the_name_out(tmp_path):
    (tmp_path / "mine.yaml").write_text("format: webdataset\nshards: [/data/cats/0.tar, /data/cats/1.tar]\n")
    assert compose_settings([f"+dataset={tmp_path}/mine.yaml", *FAKE]).output.dir == "runs/cats"
