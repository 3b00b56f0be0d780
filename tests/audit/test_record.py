"""audit.yaml: nobody goes on with another audit in its folder."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from curate.audit.draws import Draws
from curate.audit.prompts import read_prompts
from curate.audit.record import audit_in, begin, generating, named_after, read_record
from curate.core.errors import InputError
from curate.settings.generator import GeneratorSettings
from curate.storage.local_store import LocalStore
from tests.support.audit_cases import IDENTITY, prompt

PROMPTS = [prompt(n) for n in range(3)]
DRAWS = Draws(prompts=PROMPTS, images=2, seed=0, samples_per_shard=5)
SETTINGS = GeneratorSettings(name="noise", path="models/noise")


def begun(store, *, draws=DRAWS, settings=SETTINGS, identity=IDENTITY, source="p.csv"):
    begin(store, generating(draws, settings, identity, source), draws.prompts)


def test_the_same_goes_on_whatever_its_prompt_file_is_called(tmp_path):
    store = LocalStore(tmp_path)
    begun(store)
    before = (tmp_path / "audit.yaml").read_bytes()
    begun(store, source="elsewhere/prompts.parquet", settings=SETTINGS.model_copy(update={"path": "/moved/noise"}))
    assert (tmp_path / "audit.yaml").read_bytes() == before
    assert read_prompts(tmp_path / "prompts.parquet") == PROMPTS


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"draws": replace(DRAWS, images=3)}, r"another images was begun here \(2, now 3\)"),
        ({"draws": replace(DRAWS, seed=1)}, r"another seed"),
        ({"draws": replace(DRAWS, prompts=PROMPTS[:2])}, r"another prompts\.number"),
        ({"draws": replace(DRAWS, prompts=[*PROMPTS[:2], prompt(2, text="x")])}, r"another prompts\.sha256"),
        ({"draws": replace(DRAWS, samples_per_shard=6)}, r"another samples_per_shard"),
        ({"identity": replace(IDENTITY, revision="r2")}, r"another generator\.revision was begun here \(r1, now r2\)"),
        ({"identity": replace(IDENTITY, parts={"steps": 3})}, r"another generator\.steps .* an output\.dir of its own"),
    ],
)
def test_another_is_refused_by_what_differs(tmp_path, changed, said):
    store = LocalStore(tmp_path)
    begun(store)
    with pytest.raises(InputError, match=said):
        begun(store, **changed)


def test_no_secret_is_written(tmp_path):
    identity = replace(IDENTITY, parts={"args": {"api_key": "hush-hush-hush", "style": "vivid"}})
    begun(
        LocalStore(tmp_path),
        settings=GeneratorSettings(url="https://me:hush-hush@host/v1?sig=hush-h"),
        identity=identity,
    )
    text = (tmp_path / "audit.yaml").read_text()
    assert "hush" not in text
    assert "vivid" in text


def test_a_folder_without_an_audit_and_one_of_a_later_version_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"mine: holds no audit \(no audit\.yaml\)"):
        audit_in("mine", LocalStore(tmp_path))
    (tmp_path / "audit.yaml").write_text(yaml.safe_dump({"layout": 99}))
    with pytest.raises(InputError, match="later version"):
        read_record(LocalStore(tmp_path))


def test_folders_are_named_after_generator_and_prompts(tmp_path):
    assert named_after(GeneratorSettings(path="me/sd v1"), tmp_path / "i2p.csv") == "sd_v1-i2p"
    assert named_after(GeneratorSettings(name="openai", api_model="a/b:c"), None) == "b_c"
