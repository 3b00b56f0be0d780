"""Texts of others are bounded and harmless; numbers say no more digits than they have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.report.words import count, line, percent, plain_percent, several_lines, share, unique


@given(st.text(st.characters(), max_size=400), st.integers(2, 50))
def test_a_line_is_bounded_on_one_line_and_fit_for_xml(text, most):
    shown = line(text, most)
    assert len(shown) <= most
    assert not any(c < " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff" for c in shown)
    assert not any(ord(c) & 0xFFFE == 0xFFFE or "\ufdd0" <= c <= "\ufdef" for c in shown)
    shown.encode()


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\ufffe", "\U0010ffff", "\ud800", "\u202e", "\u200b"])
def test_what_would_act_is_written_out(character):
    assert line(f"a{character}b") == f"a{ascii(character)[1:-1]}b"
    assert several_lines(f"a\n{character}b") == f"a\n{ascii(character)[1:-1]}b"


def test_a_text_of_a_gigabyte_costs_no_more_than_its_beginning():
    assert line("x" * 10**8, 10) == "xxxxxxxxx…"
    assert len(several_lines("x\n" * 10**7, 100)) == 100


@pytest.mark.parametrize(
    ("fraction", "said"),
    [(0, "0 %"), (1, "100 %"), (0.353, "35.3 %"), (0.0008, "0.08 %"), (0.00001, "under 0.01 %"), (0.999999, "99.99 %")],
)
def test_shares(fraction, said):
    assert percent(fraction) == said


def test_a_share_of_nothing():
    assert share(0, 0) == "none"
    assert count(1234567) == "1,234,567"
    assert plain_percent(0.0005) == "0.05 %"


def test_labels_that_are_alike_are_told_apart():
    assert unique(["a", "b", "a"]) == ["a", "b", "a (2)"]
