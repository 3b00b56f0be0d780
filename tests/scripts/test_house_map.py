import ast
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def house_map():
    spec = importlib.util.spec_from_file_location("house_map", ROOT / "scripts" / "house_map.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["house_map"] = module  # dataclasses look there for their module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["house_map"]


def test_the_page_is_what_the_code_makes(house_map):
    text = house_map.PAGE.read_text(encoding="utf-8")
    assert house_map.page(text) == text, "run: python scripts/house_map.py write"


def test_a_function_that_is_gone_is_told(house_map):
    with pytest.raises(LookupError, match=r"runs\.plan\.no_plan: curate has no such function"):
        house_map._step("runs.plan.no_plan")


def test_circles_are_counted(house_map):
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}
    assert sorted(map(sorted, house_map._circles(arrows))) == [["a"], ["b", "c"], ["d"]]


def test_every_room_has_a_law_and_names_what_is_in_it(house_map):
    for room in house_map._layers():
        said = ast.get_docstring(ast.parse((ROOT / "curate" / room / "__init__.py").read_text(encoding="utf-8")))
        assert room == "testing" or "\nLaw: " in said, f"{room} has no law"
        if "| module |" not in said and "| file |" not in said:
            continue
        missing = [f.stem for f in (ROOT / "curate" / room).glob("*.py") if f.stem != "__init__" and f.stem not in said]
        assert missing == [], f"{room}'s __init__ does not speak of {missing}"
