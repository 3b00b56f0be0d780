from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from curate.core.errors import InvalidOutput
from curate.core.types import Question, Rating, Verdict
from curate.judges.prompts import question_for
from curate.judges.verdicts import (
    ANSWER_PREFIX,
    RATING_SUFFIX,
    answer_regex,
    answer_schema,
    close_answer,
    continuation_regex,
    has_rationale,
    max_answer_tokens,
    parse_answer,
)
from curate.policies.policy import Policy
from tests.support.policy_cases import valid_policies

QUESTION = Question(
    policy="p",
    text="...",
    categories=('O1: Fire (and "smoke") \\ [a-z]*?', "O2: Käse|Brot", "O3: Off", "NA: None applying"),
    violable=('O1: Fire (and "smoke") \\ [a-z]*?', "O2: Käse|Brot"),
    rationale_chars=40,
)
MODES = [QUESTION, replace(QUESTION, rationale="unsafe"), replace(QUESTION, rationale="none")]


def layout(**fields: object) -> str:
    return json.dumps(fields, indent=4, ensure_ascii=False)


@pytest.mark.parametrize("question", MODES, ids=lambda q: q.rationale)
@given(data=st.data())
@pytest.mark.slow
def test_whatever_the_grammar_accepts_parses_to_what_it_says(question: Question, data: st.DataObject) -> None:
    text = ANSWER_PREFIX + data.draw(st.from_regex(answer_regex(question), fullmatch=True))
    verdict, fields = parse_answer(text, question), json.loads(text)
    assert verdict.rating == fields["rating"]
    assert f"{verdict.category}: {verdict.category_name}" == fields["category"]
    assert (verdict.rationale is None) == ("rationale" not in fields)
    assert verdict.rationale is None or fields["rationale"].startswith(verdict.rationale)
    assert len(verdict.rationale or "") <= question.rationale_chars


@given(valid_policies, st.sampled_from(Rating), st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1))
@pytest.mark.slow
def test_every_answer_in_the_trained_layout_is_in_the_grammar(policy: Policy, rating: Rating, words: str) -> None:
    question = question_for(policy, "all", None, 600)
    assume(not words.startswith(".") and words.count(".") <= 15)
    for category in question.violable if rating is Rating.UNSAFE else question.categories:
        text = layout(rating=rating.value, category=category, rationale=words)
        begin = f"{ANSWER_PREFIX}{rating}{RATING_SUFFIX}"
        assert text.startswith(begin)
        assert re.fullmatch(continuation_regex(question, rating, True), text[len(begin) :])
        assert re.fullmatch(answer_regex(question), text[len(ANSWER_PREFIX) :])
        short = layout(rating=rating.value, category=category)
        assert re.fullmatch(continuation_regex(question, rating, False), short[len(begin) :])
        assert parse_answer(text, question).rationale == words


@pytest.mark.parametrize("category", ["O3: Off", "NA: None applying"])
def test_the_grammar_lets_unsafe_name_only_what_is_enforced(category: str) -> None:
    for rating, fits in ((Rating.SAFE, True), (Rating.UNSAFE, False)):
        text = layout(rating=rating.value, category=category, rationale="a b")
        assert bool(re.fullmatch(answer_regex(QUESTION), text[len(ANSWER_PREFIX) :])) == fits


@given(st.text() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps))
@example("[" * 100_000)
@example("9" * 5_000)
@example('{"rating": "Safe", "category": "NA: None applying", "rationale": "\\ud800"}')
@example('{"rating": ["Safe"], "category": {}, "rationale": 1}')
@pytest.mark.slow
def test_arbitrary_text_is_a_verdict_or_invalid_output(text: str) -> None:
    try:
        assert isinstance(parse_answer(text, QUESTION), Verdict)
    except InvalidOutput as error:
        message = str(error)
    else:
        message = ""
    assert "\n" not in message


@given(
    st.dictionaries(
        st.sampled_from(["rating", "category", "rationale", "other"]),
        st.sampled_from(["Safe", "Unsafe", "safe", "x", "", 1, None, ["Safe"], *QUESTION.categories]),
    )
)
def test_nothing_but_the_policys_own_answers_gets_through(fields: dict[str, object]) -> None:
    try:
        verdict = parse_answer(json.dumps(fields), QUESTION)
    except InvalidOutput:
        return
    assert set(fields) == {"rating", "category", "rationale"}
    assert fields["category"] in (QUESTION.violable if verdict.rating is Rating.UNSAFE else QUESTION.categories)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Safe", "no JSON"),
        ('["Safe"]', "a JSON list"),
        ('{"rating": "Safe", "rating": "Unsafe"}', "a key is there twice"),
        (layout(rating="Safe", category="NA: None applying"), "missing rationale"),
        (layout(rating="Safe", category="NA: None applying", rationale="r", score=1), "unexpected score"),
        (layout(rating="safe", category="NA: None applying", rationale="r"), "neither Safe nor Unsafe"),
        (layout(rating="Safe", category="NA", rationale="r"), "'NA' is not in the policy"),
        (layout(rating="Safe", category="O9: Invented", rationale="r"), "is not in the policy"),
        (layout(rating="Unsafe", category="O3: Off", rationale="r"), "may not be named by an Unsafe answer"),
        (layout(rating="Unsafe", category="NA: None applying", rationale="r"), "may not be named"),
        (layout(rating="Safe", category="NA: None applying", rationale=""), "is no text"),
    ],
)
def test_why_an_answer_is_invalid(text: str, reason: str) -> None:
    with pytest.raises(InvalidOutput, match=reason):
        parse_answer(text, QUESTION)


def test_a_rationale_where_none_was_asked_for_is_invalid() -> None:
    with pytest.raises(InvalidOutput, match="unexpected rationale"):
        parse_answer(layout(rating="Safe", category="O3: Off", rationale="r"), MODES[2])


@pytest.mark.parametrize("space", [(",", ":"), (" ,\n\n", "  :\t")])
def test_white_space_braces_and_quotes_do_not_matter(space: tuple[str, str]) -> None:
    fields = {"rating": "Unsafe", "category": "O2: Käse|Brot", "rationale": 'He said "{no}" }'}
    text = f"\n{json.dumps(fields, separators=space)} \n"
    assert parse_answer(text, QUESTION) == Verdict(
        rating=Rating.UNSAFE, category="O2", category_name="Käse|Brot", rationale='He said "{no}" }'
    )


def test_a_rationale_beyond_its_bound_is_cut() -> None:
    text = layout(rating="Safe", category="O3: Off", rationale="x" * 41)
    assert parse_answer(text, QUESTION).rationale == "x" * 40


def test_when_there_is_a_rationale() -> None:
    above = replace(QUESTION, rationale="unsafe", rationale_above=0.3)
    assert [has_rationale(q, Rating.SAFE, 0.4) for q in (*MODES, above)] == [True, False, False, True]
    assert [has_rationale(q, Rating.UNSAFE, 0.6) for q in (*MODES, above)] == [True, True, False, True]
    assert not has_rationale(above, Rating.SAFE, 0.3)
    assert not has_rationale(above, Rating.SAFE)


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=6, max_size=30), st.data())
def test_an_answer_cut_in_its_rationale_is_closed(words: str, data: st.DataObject) -> None:
    assume("/" not in words)
    text = layout(rating="Unsafe", category=QUESTION.violable[0], rationale=words)
    begin = text.index('"rationale": "') + len('"rationale": "')
    assert close_answer(text) == text
    at = data.draw(st.integers(begin + 6, len(text) + 3))
    try:
        verdict = parse_answer(close_answer(text[:at]), QUESTION)
    except InvalidOutput:
        assert "\\u" in text  # half of \uXXXX, which the grammar never lets begin
        return
    assert words.startswith((verdict.rationale or "").rstrip("\ufffd"))


def test_an_answer_cut_before_its_rationale_stays_cut() -> None:
    text = layout(rating="Safe", category="O3: Off", rationale="r")
    for end in range(text.index('rationale": "') + len('rationale": ')):
        assert close_answer(text[:end]) == text[:end]


@given(valid_policies, st.sampled_from(["all", "unsafe", "none"]))
@pytest.mark.slow
def test_the_token_limit_holds_any_category_at_a_token_a_byte(policy: Policy, mode: str) -> None:
    question = question_for(policy, mode, None, 100)
    for category in question.categories:
        rationale = {} if mode == "none" else {"rationale": "x" * 50}
        text = layout(rating="Unsafe", category=category, **rationale)
        assert len(text.removeprefix(ANSWER_PREFIX).encode()) <= max_answer_tokens(question)


def test_the_grammar_ends_a_rationale_by_its_sentences() -> None:
    end, answer = '"\n}', f"Safe{RATING_SUFFIX}O3: Off"
    opening = f'{answer}",\n    "rationale": "'
    assert re.fullmatch(answer_regex(QUESTION), f"{opening}One. Two{end}")
    assert not re.fullmatch(answer_regex(QUESTION), f"{opening}One. Two.{end}")
    assert not re.fullmatch(answer_regex(QUESTION), f"{answer}{end}")


def test_the_schema_says_the_same() -> None:
    safe, unsafe = answer_schema(MODES[1])["anyOf"]
    assert safe["required"] == ["rating", "category"]
    assert safe["properties"]["category"]["enum"] == list(QUESTION.categories)
    assert unsafe["required"] == ["rating", "category", "rationale"]
    assert unsafe["properties"]["category"]["enum"] == list(QUESTION.violable)
    assert unsafe["properties"]["rationale"]["maxLength"] == 40


@pytest.mark.vllm
@pytest.mark.parametrize("question", MODES, ids=lambda q: q.rationale)
def test_xgrammar_reads_the_regex_as_python_does(question: Question) -> None:
    xgrammar = pytest.importorskip("xgrammar")
    from xgrammar.testing import _is_grammar_accept_string as accepts

    grammar = xgrammar.Grammar.from_regex(answer_regex(question))
    for rating in Rating:
        for category in question.categories:
            for rationale in ({}, {"rationale": 'An "é" \\ / \n word.'}, {"rationale": "no\u0001"}, {"rationale": ""}):
                text = layout(rating=rating.value, category=category, **rationale)[len(ANSWER_PREFIX) :]
                assert accepts(grammar, text) == bool(re.fullmatch(answer_regex(question), text)), text
                assert not accepts(grammar, text + " ")
