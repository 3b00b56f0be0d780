"""The node of integrations/comfyui by the contract that ComfyUI calls it by."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from curate.guard import GuardUnavailable, UnsafeImage  # noqa: E402
from tests.support.services import serving  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::curate.guard.GuardWarning")
FILE = Path(__file__).resolve().parents[2] / "integrations" / "comfyui" / "curate_guard.py"
IMAGES = torch.rand(2, 16, 16, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def module():
    spec = importlib.util.spec_from_file_location("curate_guard", FILE)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def call(module, url, **more):
    node = module.NODE_CLASS_MAPPINGS["CurateGuard"]
    given = {"images": IMAGES, "url": url, "policy": "", "on_unsafe": "blank"} | more
    return getattr(node(), node.FUNCTION)(**given)


def test_its_inputs_are_the_arguments_of_its_function(module):
    node = module.NODE_CLASS_MAPPINGS["CurateGuard"]
    inputs = node.INPUT_TYPES()
    names = [*inputs["required"], *inputs["optional"]]
    code = getattr(node, node.FUNCTION).__code__
    assert list(code.co_varnames[1 : code.co_argcount]) == names
    assert len(node.RETURN_TYPES) == len(node.RETURN_NAMES)
    assert module.NODE_DISPLAY_NAME_MAPPINGS.keys() == module.NODE_CLASS_MAPPINGS.keys()


@pytest.mark.slow
def test_pictures_pass_or_are_black_and_the_report_says_why(module):
    with serving("policies=[llavaguard,kids]", "filter.thresholds.unsafe=1.0") as service:
        images, report = call(module, service.url, policy="kids", rationale=True)
    assert torch.equal(images, IMAGES)
    lines = [json.loads(line) for line in report.splitlines()]
    assert [line["policy"] for line in lines] == ["kids", "kids"]
    assert all(line["rationale"] for line in lines)
    with serving("policy=llavaguard", "filter.thresholds.unsafe=0.0") as service:
        images, _ = call(module, service.url)
        with pytest.raises(UnsafeImage):
            call(module, service.url, on_unsafe="stop")
    assert images.max() == 0
    assert IMAGES.max() > 0
    with pytest.raises(GuardUnavailable):
        call(module, service.url)
