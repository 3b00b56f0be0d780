"""Tasks for Label Studio, by its own SDK, which lives in an environment of its own (requirements/label-studio.txt)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from curate.review import label_studio

PYTHON = Path(__file__).parents[2] / ".cache" / "label-studio" / "bin" / "python"
CATEGORIES = {"O1": 'Hate, "Harm" & <more>', "O6": "Weapons or Substance Abuse", "NA": "None applying"}
SAFE = {"task": "triage-0", "images": ["a.webp"], "rating": "Safe", "category": "NA", "p_unsafe": 0.3}
UNSAFE = {"task": "triage-1", "images": ["b.webp", "c.webp"], "rating": "Unsafe", "category": "O6", "p_unsafe": 0.8}

CHECK = """
import json, sys
from label_studio_sdk.label_interface import LabelInterface
config, tasks = json.load(sys.stdin)
interface = LabelInterface(config)
interface.validate()
errors = []
for task in tasks:
    assert interface.validate_task({"data": task["data"]})
    for prediction in task.get("predictions", []):
        errors += interface.validate_prediction(prediction, return_errors=True)
print(json.dumps(errors))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="Label Studio's SDK is not installed: make test does it"),
]


def errors(tasks, categories=CATEGORIES):
    given = json.dumps([label_studio.config(categories), tasks])
    done = subprocess.run([PYTHON, "-c", CHECK], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("model", [None, "llavaguard_7b"])
def test_tasks_and_predictions_fit_the_labelling_interface(model):
    assert errors(json.loads(label_studio.tasks([SAFE, UNSAFE], "audit/images", model))) == []


def test_the_sdk_would_say_so_if_they_did_not():
    tasks = json.loads(label_studio.tasks([SAFE | {"rating": "Perhaps"}], "audit/images", "llavaguard_7b"))
    (error,) = errors(tasks)
    assert "Perhaps" in error
