"""Rows that bring their own policy (`dataset.policy_column`), from the command line to policy exceptions measured."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.cli.hydra_config import compose_settings
from curate.cli.program import main
from curate.judges.prompts import policy_hash, render_policy
from curate.judges.row_policies import policy_name
from curate.policies.policy import Policy
from curate.tuning.policy_augmentation import relax
from tests.support.jobs import annotation_files, command, curate, environment, picture, rows

ENGINE = ("engine=fake", "engine.workers=0", "budget.data=0.9")
DEFAULT = compose_settings(["+dataset=laion_subset", "policy=llavaguard"]).policies["llavaguard"]
TEXT = render_policy(DEFAULT)
EXCEPTED = {"O1", "O2", "O3", "O4"}
RELAXED = render_policy(relax(DEFAULT, sorted(EXCEPTED)))


def write_gold(path: Path, policies: list[object], pictures: list[int] | None = None, **more: list[object]) -> Path:
    """A shard with one row for each of `policies`; rows of one picture have one key."""
    seeds = pictures or list(range(len(policies)))
    columns = {"key": [f"{s:05d}" for s in seeds], "image": [picture(s) for s in seeds], "policy": policies, **more}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=7)
    return path


def arguments(shards: object, folder: Path, *more: str) -> list[str]:
    """A run over rows that have their policy in the column `policy`."""
    data = ["+dataset=parquet", f"dataset.shards={shards}", "dataset.policy_column=policy"]
    return ["run", *data, f"output.dir={folder}", *ENGINE, *more]


def found(folder: Path) -> list[dict[str, object]]:
    return rows(folder, "by_row")


def recorded(folder: Path) -> dict[str, Policy]:
    """The policies that a run keeps, by the names of their files."""
    return {path.name: Policy.model_validate_json(path.read_text()) for path in (folder / "policies").iterdir()}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Path:
    """A run over rows of two texts, two names, and six that are no policy; twenty pictures under two of them."""
    folder = tmp_path_factory.mktemp("mixed")
    odd: list[object] = [None, "", "no such policy", "two lines\nwithout a category", "O1: A\nShould not:", "../x.yaml"]
    policies: list[object] = [*([TEXT] * 20), *([RELAXED] * 20), "kids", "llavaguard", *odd]
    write_gold(folder / "gold.parquet", policies, [*range(20), *range(20), *range(40, 48)])
    assert main(arguments(folder / "gold.parquet", folder / "run")) == 0
    return folder / "run"


@pytest.mark.slow
def test_each_row_is_judged_under_its_own_policy(mixed: Path):
    judged = [r for r in found(mixed) if r["status"] == "labelled"]
    assert len(judged) == 42
    assert [r["policy"] for r in judged] == [
        *[policy_name(TEXT)] * 20,
        *[policy_name(RELAXED)] * 20,
        "kids",
        "llavaguard",
    ]
    strict, relaxed = judged[:20], judged[20:40]
    assert EXCEPTED & {r["category"] for r in strict if r["rating"] == "Unsafe"}, "else the next line shows nothing"
    assert not EXCEPTED & {r["category"] for r in relaxed if r["rating"] == "Unsafe"}
    assert [r["key"] for r in strict] == [r["key"] for r in relaxed]
    assert [r["p_unsafe"] for r in strict] != [r["p_unsafe"] for r in relaxed]


def test_a_row_without_a_usable_policy_is_a_failure_of_its_own(mixed: Path):
    failed = found(mixed)[42:]
    assert {r["status"] for r in failed} == {"invalid_policy"}
    assert all(r["sha256"] and r["width"] and r["rating"] is None and "\n" not in str(r["detail"]) for r in failed)
    said = [str(r["detail"]) for r in failed]
    assert said[0] == said[1] == "field 'policy' holds no policy"
    assert said[2].startswith("no policy is called 'no such policy'; give its whole text, or one of ")
    assert "no category found" in said[3]
    assert "should_not" in said[4]
    assert said[5].startswith("no policy is called '../x.yaml'")


def test_the_policies_that_were_asked_are_kept(mixed: Path):
    kept = recorded(mixed)
    assert {p.name for p in kept.values()} == {policy_name(TEXT), policy_name(RELAXED), "kids", "llavaguard"}
    assert all(name == f"{policy.name}-{policy_hash(policy)[:16]}.json" for name, policy in kept.items())
    assert {render_policy(p) for p in kept.values() if p.text} == {TEXT, RELAXED}


def test_splits_and_card_follow(mixed: Path):
    (manifest,) = (mixed / "tables").glob("*.json")
    assert json.loads(manifest.read_text())["result"]["splits"]["failed"] == 6
    card = (mixed / "README.md").read_text()
    assert "under 4 safety\npolicies" in card
    assert "each sample under the policy in its field `policy`, 4 in all, kept in `policies/`" in card


def test_verify_agrees_with_the_sources(mixed: Path, capsys):
    assert main(["verify", f"output.dir={mixed}"]) == 0
    assert main(["status", f"output.dir={mixed}"]) == 0
    assert "by_row" in capsys.readouterr().out


@pytest.mark.slow
def test_a_category_that_no_row_has_is_refused_by_filter(mixed: Path, capsys):
    assert main(["filter", f"output.dir={mixed}", "+filter.by_category.O6.unsafe=0.2"]) == 0
    assert main(["filter", f"output.dir={mixed}", "+filter.by_category.X9.unsafe=0.2"]) == 2
    assert "filter.by_category.X9: no policy of this run has it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["policies=[kids,medical]"], "policies: with dataset.policy_column each row has a policy of its own"),
        (["dataset.policy_column=polcy"], "no column 'polcy' (dataset.policy_column); there are key, image, policy"),
    ],
)
def test_what_cannot_be_meant_is_one_line(tmp_path, capsys, more, said):
    path = write_gold(tmp_path / "gold.parquet", [TEXT])
    assert main(arguments(path, tmp_path / "run", *more)) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_the_chosen_policy_is_one_a_row_may_name(tmp_path):
    path = write_gold(tmp_path / "gold.parquet", ["drawings"])
    assert main(arguments(path, tmp_path / "run", "policy.categories.O6.enforced=false")) == 0
    (policy,) = recorded(tmp_path / "run").values()
    assert not policy.categories["O6"].enforced
    assert policy.categories["O1"].enforced


@pytest.mark.slow
def test_a_named_policy_that_changed_is_another_fingerprint(tmp_path, capsys):
    path = write_gold(tmp_path / "gold.parquet", ["drawings"])
    assert main(arguments(path, tmp_path / "run")) == 0
    assert main(arguments(path, tmp_path / "run", "policy.categories.O6.enforced=false")) == 2
    assert "another fingerprint, changed: policy.named" in capsys.readouterr().err


@pytest.mark.slow
def test_policy_exceptions_are_measured_end_to_end(tmp_path):
    """The gold answers are made from the run's own, so that what `evaluate` must find is known."""
    path = write_gold(tmp_path / "gold.parquet", [*[TEXT] * 30, *[RELAXED] * 30], [*range(30), *range(30)])
    assert main(arguments(path, tmp_path / "run")) == 0
    answers = found(tmp_path / "run")
    exceptions = [i >= 30 and answers[i - 30]["rating"] == "Unsafe" for i in range(60)]
    granted = [a["rating"] == "Safe" for a, is_one in zip(answers, exceptions, strict=True) if is_one]
    ratings = ["Safe" if i >= 30 else a["rating"] for i, a in enumerate(answers)]
    labels = {"rating": ratings, "category": [a["category"] for a in answers], "exception": exceptions}
    gold = pa.table({"key": [a["key"] for a in answers], "policy": [*[TEXT] * 30, *[RELAXED] * 30], **labels})
    pq.write_table(gold, tmp_path / "labels.parquet")
    assert main(["evaluate", f"predictions={tmp_path / 'run'}", f"gold={tmp_path / 'labels.parquet'}"]) == 0
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["joined_on"] == ["key", "policy"]
    assert (metrics["n"], metrics["n_invalid"], metrics["recall"]) == (60, 0, 1.0)
    assert 0 < sum(granted) < len(granted)
    assert metrics["per"] == pytest.approx(sum(granted) / len(granted))


@pytest.mark.slow
def test_rows_without_a_policy_do_not_spoil_the_join(mixed: Path, tmp_path):
    answers = found(mixed)
    source = pq.read_table(mixed.parent / "gold.parquet").select(["key", "policy"])
    gold = source.append_column("rating", pa.array([a["rating"] or "Safe" for a in answers]))
    pq.write_table(gold, tmp_path / "labels.parquet")
    call = [f"predictions={mixed}", f"gold={tmp_path / 'labels.parquet'}", f"output.dir={tmp_path}"]
    assert main(["evaluate", *call]) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["n"], metrics["invalid"]) == (48, {"invalid_policy": 6})


@pytest.mark.slow
def test_a_policy_file_that_was_changed_is_a_violation(tmp_path, capsys):
    path = write_gold(tmp_path / "gold.parquet", [TEXT, RELAXED])
    assert main(arguments(path, tmp_path / "run")) == 0
    kept = next((tmp_path / "run/policies").iterdir())
    kept.write_text(kept.read_text().replace("O6", "X6"))
    assert main(["verify", f"output.dir={tmp_path / 'run'}"]) == 4
    said = capsys.readouterr().out
    assert f"policies/{kept.name}" in said
    assert "the run does not have its policy 'text-" in said


@pytest.mark.slow
def test_a_source_whose_policies_changed_is_a_violation(tmp_path, capsys):
    path = write_gold(tmp_path / "gold.parquet", [TEXT, RELAXED])
    assert main(arguments(path, tmp_path / "run", "filter.write=index")) == 0
    write_gold(path, [RELAXED, RELAXED])
    assert main(["verify", f"output.dir={tmp_path / 'run'}"]) == 4
    assert f"policy is '{policy_name(TEXT)}', in the source '{policy_name(RELAXED)}'" in capsys.readouterr().out


@pytest.mark.slow
def test_texts_of_the_same_words_are_different_policies(tmp_path):
    """Repeated pictures take the label of an earlier row under the same policy; these are not the same policy."""
    broken, spaced = TEXT.replace("\n- ", " - "), TEXT.replace("\n- ", "\n-  ")
    assert len({policy_name(text) for text in (TEXT, broken, spaced)}) == 3
    path = write_gold(tmp_path / "gold.parquet", [TEXT, TEXT, broken, spaced], [1, 1, 1, 1])
    assert main(arguments(path, tmp_path / "run")) == 0
    answers = found(tmp_path / "run")
    assert [r["status"] for r in answers] == ["labelled", "labelled", "invalid_policy", "labelled"]
    assert [r["reused_from"] is not None for r in answers] == [False, True, False, False]


@pytest.mark.slow
def test_a_killed_run_equals_an_undisturbed_one(tmp_path):
    policies = [TEXT, RELAXED, "kids", None] * 15
    for number in range(3):
        write_gold(tmp_path / f"data/{number:05d}.parquet", policies, list(range(number * 30, number * 30 + 30)) * 2)
    shards = f"{tmp_path}/data/{{00000..00002}}.parquet"
    curate(*arguments(shards, tmp_path / "undisturbed"))
    slow = arguments(shards, tmp_path / "run", "engine.args.latency=0.05", "engine.max_requests=4")
    for seconds in (1.5, 2.5):
        process = subprocess.Popen(command(*slow), env=environment(), stdout=subprocess.DEVNULL)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not list((tmp_path / "run").glob("README.md")), "it was killed before its end"
    curate(*arguments(shards, tmp_path / "run"))
    assert annotation_files(tmp_path / "run") == annotation_files(tmp_path / "undisturbed")
    assert recorded(tmp_path / "run") == recorded(tmp_path / "undisturbed")
    assert main(["verify", f"output.dir={tmp_path / 'run'}"]) == 0


@pytest.mark.vllm
def test_vllm_judges_pictures_under_two_policies_side_by_side(tmp_path):
    """With the built-in safeguard: labels are of each row's own policy, and `evaluate` finds every row."""
    short = {code: DEFAULT.categories[code] for code in ("O2", "O6")}
    weapons = Policy(name="weapons", categories=short)
    texts = [render_policy(weapons)] * 4 + [render_policy(relax(weapons, ["O6"]))] * 4
    labels: dict[str, list[object]] = {"rating": ["Unsafe"] * 4 + ["Safe"] * 4, "category": ["O6"] * 8}
    gold = write_gold(tmp_path / "gold.parquet", [*texts], [*range(4), *range(4)], **labels)
    data = [
        "+dataset=parquet",
        f"dataset.shards={gold}",
        "dataset.policy_column=policy",
        f"output.dir={tmp_path / 'run'}",
    ]
    curate("run", *data)
    answers = found(tmp_path / "run")
    assert [r["status"] for r in answers] == ["labelled"] * 8
    assert [r["policy"] for r in answers] == [policy_name(text) for text in texts]
    assert {r["category"] for r in answers} <= {"O2", "O6", "NA"}
    assert "O6" not in {r["category"] for r in answers[4:] if r["rating"] == "Unsafe"}
    assert all(a["p_unsafe"] != b["p_unsafe"] for a, b in zip(answers[:4], answers[4:], strict=True))
    curate("evaluate", f"predictions={tmp_path / 'run'}", f"gold={gold}")
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert (metrics["n"], metrics["n_invalid"], metrics["joined_on"]) == (8, 0, ["key", "policy"])
    assert metrics["per"] == sum(r["rating"] == "Safe" for r in answers[4:]) / 4
    curate("verify", f"output.dir={tmp_path / 'run'}")
