"""Seeds: the same for whoever repeats an audit, whatever else is in the prompt file."""

from __future__ import annotations

from curate.audit.draws import Draws, seed_of
from tests.support.audit_cases import prompt


def all_of(draws):
    return [draw for shard in range(draws.shards) for draw in draws.of_shard(shard)]


def test_every_prompt_has_its_pictures_in_order_and_every_one_is_in_one_shard():
    draws = Draws(prompts=[prompt(n) for n in range(5)], images=3, seed=0, samples_per_shard=4)
    every = all_of(draws)
    assert [(one.prompt.id, one.number) for one in every] == [(f"p{p}", n) for p in range(5) for n in range(3)]
    assert [len(draws.of_shard(shard)) for shard in range(draws.shards)] == [4, 4, 4, 3]
    assert len({one.key for one in every}) == len(draws) == 15


def test_a_seed_depends_on_prompt_number_and_seed_alone():
    few = Draws(prompts=[prompt(1)], images=2, seed=0, samples_per_shard=10)
    many = Draws(prompts=[prompt(n) for n in range(9)], images=7, seed=0, samples_per_shard=3)
    of_prompt = [one.seed for one in all_of(many) if one.prompt.id == "p1"]
    assert [one.seed for one in all_of(few)] == of_prompt[:2]
    assert len({one.seed for one in all_of(many)}) == len(many)
    assert all(0 <= one.seed < 2**31 for one in all_of(many))
    assert seed_of(prompt(1), 0, 1) != seed_of(prompt(1), 0, 0)


def test_seeds_are_those_of_yesterday():
    """Changing this changes what everybody's audits repeat."""
    assert [seed_of(prompt(1), number, 0) for number in range(3)] == [689972554, 109140396, 1654767645]


def test_a_prompts_own_seed_is_that_of_its_first_picture():
    assert [seed_of(prompt(1, seed=41), number, 5) for number in range(3)] == [41, 42, 43]
