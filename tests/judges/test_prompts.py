from __future__ import annotations

import re

import pytest
from hypothesis import given

from curate.core.errors import InputError
from curate.judges.prompts import policy_hash, question_for, render_policy
from curate.policies.policy import Category, Policy, load_policy
from curate.policies.prompt_import import parse_policy_text
from tests.support.policy_cases import WEAPONS, valid_policies

IMPORTED = """\
Given an image, do this.

## O1: Illegal Weapons or Substance Abuse
  It should not:
    * Show guns
      or knives.
    * Sell guns.
  It can:
    - Show museums.

**O2: Fire**
**Category declared as non-violating**
There are no restrictions on fire.
  1. Show arson.

O3: Water
Should not:
- Show floods.
Can:
- Show rain.

NA: None applying

Assessment Steps:
1. Rating ...

{"rating": ...}
"""


def policy(**changes: object) -> Policy:
    return load_policy({**WEAPONS, **changes})


def with_category(base: Policy, code: str, **changes: object) -> Policy:
    category = base.categories[code].model_copy(update=changes)
    return base.model_copy(update={"categories": {**base.categories, code: category}})


@given(valid_policies)
@pytest.mark.slow
def test_rendering_and_importing_gives_the_same_categories(policy: Policy) -> None:
    text = render_policy(policy)
    imported = parse_policy_text(text, policy.name)
    assert imported.categories == {code: _as_stated(c) for code, c in policy.categories.items()}
    assert list(imported.categories) == list(policy.categories)
    assert render_policy(imported) == text
    assert render_policy(imported.model_copy(update={"text": None})) == text


def _as_stated(category: Category) -> Category:
    """A text lists all of a non-violating category as allowed and no longer tells the two lists apart.

    What a category is reported as by a service is no part of the text.
    """
    stated = category.model_copy(update={"moderation": ()})
    if stated.enforced:
        return stated
    return stated.model_copy(update={"should_not": (), "can": category.should_not + category.can})


def test_the_prompt_has_headings_lists_steps_and_a_template_in_order() -> None:
    text = render_policy(policy())
    marks = [
        "O1: Weapons\nShould not:\n- Show guns.\n- Sell guns.\nCan:\n- Show museums.\n\nO2: Fire",
        "\n\nNA: None applying\n\n",
        "\n1. Rating:",
        "\n2. Category:",
        "\n3. Rationale:",
        '    "rating": one of ["Safe", "Unsafe"],\n',
        '"O2: Fire (and \\"smoke\\")", "NA: None applying"],\n',
        '    "rationale": ',
    ]
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)


def test_a_non_violating_category_lists_everything_as_allowed_and_cannot_be_violated() -> None:
    off = with_category(policy(), "O1", enforced=False)
    block = render_policy(off).split("\n\n")[1].split("\n")
    assert "allowed" in block[1]
    assert block[2:] == ["Can:", "- Show guns.", "- Sell guns.", "- Show museums."]
    question = question_for(off, "unsafe", 0.2, 300)
    assert question.categories == ("O1: Weapons", 'O2: Fire (and "smoke")', "NA: None applying")
    assert question.violable == ('O2: Fire (and "smoke")',)
    assert (question.rationale, question.rationale_above, question.rationale_chars) == ("unsafe", 0.2, 300)
    assert question.text == render_policy(off)


def test_the_hash_follows_the_text_alone() -> None:
    assert policy_hash(policy()) == policy_hash(policy(name="renamed"))
    assert policy_hash(policy()) != policy_hash(with_category(policy(), "O1", enforced=False))


def test_an_imported_text_is_understood_in_its_variations_and_kept_verbatim() -> None:
    imported = parse_policy_text(IMPORTED, "official")
    assert imported.categories == {
        "O1": Category(
            name="Illegal Weapons or Substance Abuse",
            should_not=("Show guns or knives.", "Sell guns."),
            can=("Show museums.",),
        ),
        "O2": Category(name="Fire", can=("Show arson.",), enforced=False),
        "O3": Category(name="Water", should_not=("Show floods.",), can=("Show rain.",)),
    }
    assert render_policy(imported) == IMPORTED


def test_switching_a_category_of_an_imported_text_rewrites_its_lines_alone() -> None:
    off = with_category(parse_policy_text(IMPORTED, "official"), "O1", enforced=False)
    before, after = IMPORTED.split("**O2")[0], render_policy(off).split("**O2")[0]
    assert render_policy(off).split("**O2")[1] == IMPORTED.split("**O2")[1]
    assert after != before
    assert after.startswith("Given an image, do this.\n\n## O1: Illegal Weapons or Substance Abuse\n")
    assert after.endswith("\n- Show guns or knives.\n- Sell guns.\n- Show museums.\n\n")
    assert not parse_policy_text(render_policy(off), "again").categories["O1"].enforced


def test_changes_that_a_text_cannot_follow_are_refused() -> None:
    imported = parse_policy_text(IMPORTED, "official")
    renamed = with_category(imported, "O3", name="Floods")
    fewer = imported.model_copy(update={"categories": {"O1": imported.categories["O1"]}})
    for wrong, named in ((renamed, "O3: Floods"), (fewer, "O2: Fire")):
        with pytest.raises(InputError, match=f"'{named}' does not agree with the policy's text"):
            render_policy(wrong)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("O", "Q-", "no category found"),
        ("O3: Water", "O1: Water", "line 16: O1 is there twice, first in line 3"),
        ("  It can:\n", "  It can:\nMaybe.\n", "line 9: 'Maybe.' is no heading"),
        ("Can:\n", "Should not:\n", "line 19: O3 has this list twice"),
        ("Should not:\n- Show f", "- Show f", "line 17: '- Show floods.' is no heading"),
        ("Should not:\n- Show f", "This is not allowed.\n- Show f", "line 17: 'This is not allowed.' is no heading"),
        ("  1. Show arson.", "Should not:\n - Burn.", "line 14: O2 is declared non-violating and has a list"),
        ("{", "O4: Late\nShould not:\n- x\n{", "line 27: a category stands behind line 22"),
        ("Show rain.", "Show <image>.", "holds <image>"),
    ],
)
def test_a_text_that_cannot_be_placed_is_refused_with_its_line(old: str, new: str, message: str) -> None:
    assert old in IMPORTED
    with pytest.raises(InputError, match=re.escape(message)):
        parse_policy_text(IMPORTED.replace(old, new), "official")
