"""Nothing that users rely on changes unseen: prompts, fingerprints, and every byte of a run's result.

The built-in sample is judged by the fake engine. Where a change is meant, `python -m
tests.end_to_end.test_golden` writes golden.json anew, and the commit says why.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import fsspec
import pytest

from curate.cli.hydra_config import compose_settings
from curate.cli.program import main
from curate.core.package_files import packaged
from curate.judges.prompts import question_for
from curate.judges.questions import questions_in_general
from curate.runs.fingerprint import fingerprint
from curate.settings.config_groups import group_names

GOLDEN = Path(__file__).with_name("golden.json")
DATA = "+dataset=laion_subset"
# The run's own account of itself: who did it when, how fast.
PASSING = ("run.yaml", "plan.parquet", "commits", "metrics", "work")


def digest(content: bytes | str) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def prompts() -> dict[str, str]:
    """What is asked under every policy, in every mode of rationales."""
    found = {}
    for name in group_names("policy"):
        (policy,) = compose_settings([DATA, f"policy={name}"]).policies.values()
        for mode in ("all", "unsafe", "none"):
            question = question_for(policy, mode, None, 600)
            found[f"{name} {mode}"] = digest(repr(question))
    return found


def fingerprints() -> dict[str, str]:
    """Of every shipped model as if its weights were here, under every policy; and of rows that bring their own."""
    found = {}
    for name in group_names("model"):
        more = ["model.path=anywhere"] if name == "local" else []
        for choice in (*(f"policy={p}" for p in group_names("policy")), "dataset.policy_column=policy"):
            settings = compose_settings([DATA, f"model={name}", choice, *more])
            (question,) = questions_in_general(settings)
            known = {"weights": "golden"}
            found[f"{name} {choice}"] = fingerprint(
                question, settings.model, known, settings.engine, settings.dataset, own_dtype=None
            ).digest
    return found


def files(write: str) -> dict[str, str]:
    """What a run over the sample leaves, by its place; the sample lies where it has the same name on every machine."""
    sample = fsspec.filesystem("memory")
    for path in sorted(Path(packaged("data/laion_subset")).iterdir()):
        sample.pipe(f"/golden/{path.name}", path.read_bytes())
    shards = "[memory://golden/0000*.tar,memory://golden/images-*.parquet]"
    with tempfile.TemporaryDirectory() as folder:
        arguments = [f"dataset.shards={shards}", "engine=fake", "engine.workers=0", f"filter.write={write}"]
        assert main(["run", DATA, "policies=[drawings,kids]", *arguments, f"output.dir={folder}/run"]) == 0
        found = sorted(path for path in Path(folder, "run").rglob("*") if path.is_file())
        names = {str(path.relative_to(f"{folder}/run")): path for path in found}
        return {name: digest(path.read_bytes()) for name, path in names.items() if name.split("/")[0] not in PASSING}


PARTS = {
    "prompts": prompts,
    "fingerprints": fingerprints,
    "parquet": lambda: files("parquet"),
    "webdataset": lambda: files("webdataset"),
    "index": lambda: files("index"),
}

QUICK = ("prompts",)


@pytest.mark.parametrize(
    "part", [pytest.param(part, marks=() if part in QUICK else pytest.mark.slow) for part in PARTS]
)
def test_it_is_as_it_was(part):
    assert PARTS[part]() == json.loads(GOLDEN.read_text())[part]


if __name__ == "__main__":
    content = {name: part() for name, part in PARTS.items()}
    GOLDEN.write_text(json.dumps(content, indent=1) + "\n")
    sys.exit(0)
