from __future__ import annotations

import copy
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import given, settings
from omegaconf import OmegaConf
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from curate.cli.commands import policy as command
from curate.cli.hydra_config import compose_policy
from curate.core.errors import InputError
from curate.judges.prompts import render_policy
from curate.policies.policy import Policy, load_policy
from curate.policies.policy_file import check_duplicate_keys, policy_yaml
from curate.policies.prompt_import import parse_policy_text
from tests.support.policy_cases import WEAPONS, valid_policies

NAMES = {
    "O1": "Hate, Humiliation, Harassment",
    "O2": "Violence, Harm, or Cruelty",
    "O3": "Sexual Content",
    "O4": "Nudity Content",
    "O5": "Criminal Planning",
    "O6": "Weapons or Substance Abuse",
    "O7": "Self-Harm",
    "O8": "Animal Cruelty",
    "O9": "Disasters or Emergencies",
}


def changed(path: str, value: object) -> dict[str, object]:
    """WEAPONS with the value at a dotted path replaced."""
    data = copy.deepcopy(WEAPONS)
    *parents, last = path.split(".")
    place: dict = data
    for parent in parents:
        place = place[parent]
    place[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("categories.o3", WEAPONS["categories"]["O1"], "categories.o3: not a category code"),
        ("categories.O-3", WEAPONS["categories"]["O1"], "categories.O-3: not a category code"),
        ("categories.NA", WEAPONS["categories"]["O1"], "categories.NA: NA is reserved"),
        ("categories.O1.should_not", [], "categories.O1.should_not: is empty"),
        ("categories.O1.can", [], "categories.O1.can: is empty"),
        ("categories.O1", {"name": "Weapons", "can": ["Show."]}, "categories.O1.should_not: is missing"),
        ("categories.O1.can", ["fine", "an <image> here"], r"categories.O1.can\[1\]: holds <image>"),
        ("categories.O1.name", "x <|image_pad|>", r"categories.O1.name: holds <\|image_pad\|>"),
        ("categories.O1.should_not", ["<|vision_start|>"], r"should_not\[0\]: holds <\|vision_start\|>"),
        ("text", "O1: Weapons\n<|im_end|>", r"text: holds <\|im_end\|>"),
        ("categories.O1.can", ["a\x00b"], r"can\[0\]: holds the control character U\+0000"),
        ("categories.O1.can", ["a\nb"], r"can\[0\]: holds the control character U\+000A"),
        ("categories.O1.can", ["  "], r"can\[0\]: is blank"),
        ("categories.O2.name", "weapons", "categories.O2.name: 'weapons' is also the name of O1"),
        ("categories.O2.name", "None applying", "categories.O2.name: .* is also the name of NA"),
        ("categories.O1.enforced", "perhaps", "categories.O1.enforced: .*boolean"),
        ("categories.O1.shall_not", ["x"], "categories.O1.shall_not: "),
        (
            "categories.O1.moderation",
            ["weapons"],
            "categories.O1.moderation: 'weapons' is none of OpenAI's: harassment",
        ),
        ("categories", {}, "categories: "),
        ("categories.O1", None, "categories.O1: "),
        ("name", "../up", "name: use letters"),
    ],
)
def test_a_wrong_policy_is_refused_in_one_line_that_names_the_place(path: str, value: object, place: str) -> None:
    with pytest.raises(InputError, match=place) as caught:
        load_policy(changed(path, value))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("policy ")


def test_a_policy_that_enforces_nothing_is_refused() -> None:
    data = changed("categories.O1.enforced", False)
    data["categories"]["O2"]["enforced"] = False
    with pytest.raises(InputError, match="no category is enforced"):
        load_policy(data)


def test_a_name_is_taken_from_the_argument_where_the_data_has_none() -> None:
    assert load_policy({"categories": WEAPONS["categories"]}, "mine").name == "mine"


def test_doubled_keys_are_found_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("name: p\ncategories:\n  O1: {name: a}\n  O2: {name: b}\n  O1: {name: c}\n")
    with pytest.raises(InputError, match=r"p\.yaml, line 5: 'O1' is there twice"):
        check_duplicate_keys(file)
    file.write_text("name: p\ncategories:\n  O1: {name: a}\n  O2: {name: a}\n")
    check_duplicate_keys(file)


@settings(max_examples=30)
@given(valid_policies)
@pytest.mark.slow
def test_yaml_composes_to_an_equal_policy(policy: Policy) -> None:
    imported = policy.model_copy(update={"text": render_policy(policy) + "\n ${x} \\${y}\r\n"})
    data = OmegaConf.to_container(OmegaConf.create(yaml.safe_load(policy_yaml(imported))), resolve=True)
    assert load_policy(data) == imported


def test_a_policy_from_elsewhere_reads_nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "ENVSECRET")
    file = tmp_path / "p.yaml"
    texts = ["x ${oc.env:MY_TOKEN}", "${packaged:data}", r"a \${oc.env:MY_TOKEN}", "${model.path}", "${"]
    file.write_text(
        yaml.safe_dump({"name": "p", "categories": {"O1": {"name": "${oc.env:HOME}", "should_not": texts}}})
    )
    (category,) = compose_policy([f"policy={file}"])[0].categories.values()
    assert category.name == "${oc.env:HOME}"
    assert category.should_not[:2] == ("x ${oc.env:MY_TOKEN}", "${packaged:data}")
    assert category.should_not[3:] == ("${model.path}", "${")
    assert "ENVSECRET" not in render_policy(compose_policy([f"policy={file}"])[0])


def test_a_policy_from_elsewhere_chooses_nothing_but_its_text(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    for line in ("model: {path: /x}", "_target_: os.system"):
        file.write_text(f"name: p\n{line}\ncategories:\n  O1: {{name: Hate}}\n")
        with pytest.raises(InputError, match=r"p\.yaml: '\w+' is no part of a policy, which has name, categories"):
            compose_policy([f"policy={file}"])
    for base in (
        "override /engine: fake",
        "/model: local",
        "../model/local",
        "/engine/fake",
        "llavaguard@_global_",
        "1",
    ):
        file.write_text(f"name: p\ndefaults: [{base}]\ncategories:\n  O1: {{name: Hate}}\n")
        with pytest.raises(InputError, match=r"p\.yaml: defaults: .* is no policy to build on; name one of"):
            compose_policy([f"policy={file}"])


def test_a_policy_in_a_file_is_built_on_a_shipped_one(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "defaults: [llavaguard, _self_]\nname: mine\ncategories: {O6: {should_not: ['Show any weapon for ${x}.']}}\n"
    )
    mine, base = (compose_policy([f"policy={name}"])[0] for name in (file, "llavaguard"))
    assert mine.name == "mine"
    assert mine.categories["O6"].should_not == ("Show any weapon for ${x}.",)
    assert {code: c for code, c in mine.categories.items() if code != "O6"} == {
        code: c for code, c in base.categories.items() if code != "O6"
    }


@pytest.mark.slow
@settings(max_examples=30)
@given(valid_policies)
def test_a_file_that_was_written_is_read_as_the_same_policy(policy: Policy) -> None:
    written = policy.model_copy(update={"text": render_policy(policy) + "\n ${oc.env:HOME} \\${y} \\\\${z}\n"})
    with TemporaryDirectory() as folder:
        file = Path(folder) / "p.yaml"
        file.write_text(policy_yaml(written), encoding="utf-8")
        assert compose_policy([f"policy={file}"])[0] == written


@pytest.mark.slow
def test_shipped_policies_keep_the_interface_strings_and_differ_as_they_say() -> None:
    shipped = {name: compose_policy([f"policy={name}"])[0] for name in ("llavaguard", "medical", "kids")}
    for name, policy in shipped.items():
        assert policy.name == name
        assert {code: c.name for code, c in policy.categories.items()} == NAMES
        assert list(policy.categories) == list(NAMES)
    assert all(c.enforced for c in shipped["llavaguard"].categories.values())
    assert [code for code, c in shipped["medical"].categories.items() if not c.enforced] == ["O4"]
    same = shipped["llavaguard"].categories["O8"]
    assert shipped["medical"].categories["O8"] == shipped["kids"].categories["O8"] == same
    assert shipped["kids"].categories["O6"].should_not != shipped["llavaguard"].categories["O6"].should_not


def test_show_prints_prompt_hash_and_switches_a_category_off(capsys: pytest.CaptureFixture[str]) -> None:
    command.main(["show", "policy.categories.O6.enforced=false", "model.path=/no/such/model"])
    shown = capsys.readouterr().out
    assert "O6: Weapons or Substance Abuse\nThis category is declared non-violating." in shown
    assert re.search(r"^tokens +unknown: ", shown, re.MULTILINE)
    assert re.search(r"^sha256 +[0-9a-f]{64}$", shown, re.MULTILINE)


def test_show_counts_the_tokens_of_the_models_own_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = Tokenizer(WordLevel({"unknown": 0}, unk_token="unknown"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    command.main(["show", f"model.path={tmp_path}", "model.name=tiny"])
    prompt, _, facts = capsys.readouterr().out.rpartition("\n\npolicy ")
    assert f"tokens      {len(prompt.split())} for tiny\n" in facts


def test_import_writes_a_policy_that_composes_and_renders_verbatim(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "Preface.\n\n**O1: Guns**\n**Should not:**\n   * Show guns.\n\nNA: None applying\n\nThe end. \n"
    (tmp_path / "official prompt.txt").write_text(text)
    output = tmp_path / "official.yaml"
    command.main(["import", str(tmp_path / "official prompt.txt"), f"output={output}"])
    assert "O1" in capsys.readouterr().out
    policy, _ = compose_policy([f"policy={output}"])
    assert policy.name == "official_prompt"
    assert render_policy(policy) == text
    assert policy == parse_policy_text(text, "official_prompt")
    with pytest.raises(InputError, match="is there already"):
        command.main(["import", str(tmp_path / "official prompt.txt"), f"output={output}"])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "say what to do"),
        (["print"], "say what to do"),
        (["import"], "0 files given"),
        (["import", "a", "b"], "2 files given"),
        (["import", "a", "to=b"], "unknown to"),
        (["import", "/no/such/file.txt"], "No such file"),
    ],
)
def test_wrong_arguments_of_the_command(argv: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        command.main(argv)


def test_what_a_category_is_reported_as_changes_no_prompt() -> None:
    policy, _ = compose_policy(["policy=llavaguard"])
    assert all(category.moderation for category in policy.categories.values())
    plain = {code: one.model_copy(update={"moderation": ()}) for code, one in policy.categories.items()}
    assert render_policy(policy.model_copy(update={"categories": plain})) == render_policy(policy)
    text = render_policy(policy)
    imported = parse_policy_text(text, "imported")
    reported = {code: one.model_copy(update={"moderation": ("hate",)}) for code, one in imported.categories.items()}
    assert render_policy(imported.model_copy(update={"categories": reported})) == text
