"""Manifests, and which data set reads somebody's pictures; whole audits of these are in the command's tests."""

from __future__ import annotations

import pytest

from curate.audit.own_pictures import preset_of, read_manifest
from curate.core.errors import InputError


def test_a_manifest_names_files_and_their_prompts(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("file_name,prompt,id,number,refused\na/1.png,a bear,,3,\nb,a bear,x,,too much\n")
    found = read_manifest(path)
    assert list(found) == ["a/1.png", "b"]
    assert (found["a/1.png"].prompt.text, found["a/1.png"].number) == ("a bear", 3)
    assert found["a/1.png"].prompt.id.startswith("text-")
    assert found["a/1.png"].prompt.set == "mine"
    assert (found["b"].prompt.id, found["b"].refused) == ("x", "too much")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("prompt\na\n", "no column `file_name`"),
        ("file_name,prompt\n,a\n", "line 2: no `file_name`"),
        ("file_name,prompt\na,\n", "line 2: no `prompt`"),
        ("file_name,prompt\na,x\na,y\n", "line 3: a is there twice"),
        ("file_name,prompt,number\na,x,-3\n", "line 2: `number` is '-3'"),
    ],
)
def test_what_is_wrong_with_it_is_one_line(tmp_path, content, said):
    (tmp_path / "m.csv").write_text(content)
    with pytest.raises(InputError, match=said):
        read_manifest(tmp_path / "m.csv")


def test_folders_of_images_and_shards_are_told_apart(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "0.tar").touch()
    presets = {name: preset_of(str(tmp_path / name)) for name in ("photos", "shards", "shards/{0..1}.tar", "a.parquet")}
    assert presets == {"photos": "folder", "shards": "files", "shards/{0..1}.tar": "files", "a.parquet": "files"}
