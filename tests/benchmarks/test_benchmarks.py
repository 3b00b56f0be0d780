"""What benchmarks are measured and shown with; the benchmarks themselves run with `make bench`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks import table, versions
from tests.benchmarks.judging import Judged, differences, unlike
from tests.benchmarks.measuring import Ratio, Result, alternate_timed, fitting
from tests.benchmarks.resident import ContenderFailed, resident
from tests.support.counting_contender import counting


def test_contenders_take_turns_and_the_first_round_does_not_count() -> None:
    asked: list[str] = []

    def contender(name: str, seconds: float) -> Callable[[], float]:
        return lambda: asked.append(name) or seconds

    result = Result(name="x", unit="images/s", checked="")
    alternate_timed({"a": contender("a", 2.0), "b": contender("b", 4.0)}, 8, result, repeats=2)
    assert asked == ["a", "b"] * 3
    assert result.rates == {"a": [4.0, 4.0], "b": [2.0, 2.0]}
    assert result.ratio("a", "b") == 2.0


def test_a_ratio_is_taken_between_neighbours_in_time() -> None:
    result = Result(name="x", unit="images/s", checked="", rates={"a": [2.0, 20.0, 3.0], "b": [1.0, 10.0, 1.0]})
    assert result.ratio("a", "b") == 2.0


@pytest.mark.parametrize(
    ("ratio", "kept"),
    [
        (Ratio(value=0.9), True),
        (Ratio(value=0.9, at_least=1.0), False),
        (Ratio(value=1.7, at_most=1.6), False),
        (Ratio(value=1.0, at_least=1.0), True),
    ],
)
def test_a_ratio_knows_whether_its_bound_is_kept(ratio: Ratio, kept: bool) -> None:
    assert ratio.kept is kept


@pytest.mark.slow
def test_a_version_is_compared_with_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(versions, "SHARDS", 1)
    monkeypatch.setattr(versions, "EACH", 3)
    versions.compare(versions.HERE, 1)
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(versions.WORKS)


def test_the_number_of_pictures_follows_the_pace_within_bounds() -> None:
    assert [fitting(pace, 10, fewest=20, most=100) for pace in (1, 5, 50)] == [20, 50, 100]


def test_differences_are_counted_by_part() -> None:
    one = {"a": Judged("Safe", "NA", "x", p_unsafe=0.49), "b": Judged("Safe", "O1", "y", p_unsafe=0.1)}
    other = {"a": Judged("Unsafe", "NA", "x"), "b": Judged("Safe", "O2", "z")}
    assert unlike(one, other) == 0.0
    assert unlike(one, {**other, "b": Judged("Unsafe", "O1", "y")}) == 0.5
    assert differences(one, other) == (
        "of 2 pictures 1 ratings (1 of them with p_unsafe within 0.02 of one half), "
        "1 categories and 1 rationales differ"
    )


def test_a_resident_contender_keeps_its_state_and_its_environment() -> None:
    with resident(counting, {"CONTENDER": "x"}) as ask:
        assert [ask("CONTENDER").answer, ask("CONTENDER").answer] == [(1, "x"), (2, "x")]
        with pytest.raises(ContenderFailed, match="KeyError: 'NOT_SET_ANYWHERE'"):
            ask("NOT_SET_ANYWHERE")
        assert ask("CONTENDER").answer == (4, "x")
    assert "CONTENDER" not in os.environ


def test_results_are_shown_between_the_markers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, results = tmp_path / "performance.md", tmp_path / "results"
    results.mkdir()
    page.write_text(f"# Title\n\n{table.BEGIN}\nold\n{table.END}\n\n## After\n")
    monkeypatch.setattr(table, "PAGE", page)
    monkeypatch.setattr(table, "RESULTS", results)
    result = Result(name="end_to_end", unit="images/s", checked="all equal", rates={"curate": [1.0, 3.0, 2.0]})
    result.ratios["curate to other"] = Ratio(value=0.91, at_least=1.0)
    result.skipped["another"] = "not installed"
    machine = {"cores": 2, "processor": "a processor", "memory_gb": 25.1}
    (results / "end_to_end.json").write_text(json.dumps(result.to_record() | {"machine": machine}))
    table.write()
    table.write()
    text = page.read_text()
    assert text.startswith("# Title\n\n<!--")
    assert text.endswith("-->\n\n## After\n")
    assert "old" not in text
    assert text.count("### End to end") == 1
    assert "| curate | 2 | 1 to 3 |" in text
    assert "| curate to other | 0.91 | at least 1 | **missed** |" in text
    assert "- not run: another (not installed)" in text


def test_rates_are_shown_as_shares_of_the_floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"{table.BEGIN}\n{table.END}\n")
    monkeypatch.setattr(table, "PAGE", page)
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    result = Result(name="x", unit="images/s", checked="", rates={"curate": [2.0], "alone": [4.0]}, floor="alone")
    (tmp_path / "x.json").write_text(json.dumps(result.to_record() | {"machine": {"cores": 2, "processor": "one"}}))
    table.write()
    assert "| curate | 2 | 2 to 2 | 0.5 |\n| alone | 4 | 4 to 4 | 1 |" in page.read_text()
