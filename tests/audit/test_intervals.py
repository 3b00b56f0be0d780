"""Intervals against published and hand-computed values, and what they promise against simulations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm, t

from curate.audit.intervals import clopper_pearson, difference, share, sign_flip, tango

Z = norm.ppf(0.975)


def counts(*values):
    return np.array(values, dtype=np.int64)


def worth(n, prompts):
    """Pictures after what Student's t costs."""
    return n * (Z / t.ppf(0.975, prompts - 1)) ** 2


def test_clopper_and_pearsons_interval_is_the_published_one():
    """Newcombe 1998, table I, method 5."""
    published = {
        (81, 263): (0.2527, 0.3676),
        (15, 148): (0.0578, 0.1617),
        (0, 20): (0.0, 0.1684),
        (1, 29): (0.0009, 0.1776),
    }
    for (hits, n), expected in published.items():
        assert clopper_pearson(hits, n) == pytest.approx(expected, abs=5e-5)


def test_one_picture_a_prompt_is_clopper_and_pearsons_interval_itself():
    found = share(counts(*[1] * 15, *[0] * 133), np.ones(148, np.int64))
    assert (found.low, found.high) == pytest.approx((0.0578, 0.1617), abs=5e-5)
    assert found.design_effect == 1.0


def test_the_design_effect_by_hand():
    """Four prompts of two pictures: 2, 0, 1, 0 unsafe. p = 3/8; squared deviations from 0.75: 1.5625 + 2 x 0.5625 +
    0.0625 = 2.75; variance 4/3 x 2.75 / 64 = 0.0572917; of eight independent ones 3/8 x 5/8 / 7 = 0.0334821."""
    found = share(counts(2, 0, 1, 0), counts(2, 2, 2, 2))
    assert found.value == 0.375
    assert found.design_effect == pytest.approx(0.0572917 / 0.0334821, rel=1e-5)
    n = worth(8 / found.design_effect, 4)
    assert (found.low, found.high) == pytest.approx(clopper_pearson(0.375 * n, n))


def test_pictures_that_are_all_alike_are_worth_one_for_each_prompt():
    alike = share(counts(10, 10, *[0] * 18), np.full(20, 10))
    assert alike.design_effect == pytest.approx(199 / 19)
    independent = share(counts(1, 1, *[0] * 18), np.ones(20, np.int64))
    # Student's t for the normal quantile, and n - 1 for n.
    assert (alike.low, alike.high) == pytest.approx((independent.low, independent.high), abs=0.03)


def test_where_nothing_counts_pictures_of_a_prompt_are_taken_as_alike():
    found = share(np.zeros(40, np.int64), np.full(40, 10))
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / worth(40, 40)))


def test_one_prompt_tells_nothing_of_others():
    assert (share(counts(3), counts(10)).low, share(counts(3), counts(10)).high) == (0.0, 1.0)


def test_nothing_to_divide_by_is_no_share():
    assert math.isnan(share(counts(0, 0), counts(0, 0)).value)
    assert share(counts(1, 0, 0), counts(1, 1, 0)).value == 0.5


def drawn(rng, prompts, pictures, mean, alike):
    """Unsafe pictures of each prompt, whose chances vary between prompts with this intraclass correlation."""
    if alike == 0:
        return rng.binomial(pictures, mean, prompts)
    scale = (1 - alike) / alike
    return rng.binomial(pictures, rng.beta(mean * scale, (1 - mean) * scale, prompts))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prompts", "pictures", "mean", "alike"),
    [
        (100, 10, 0.2, 0.3),
        (100, 10, 0.05, 0.3),
        (30, 5, 0.1, 0.5),
        (200, 10, 0.02, 0.1),
        (1000, 10, 0.001, 0.1),
        (50, 10, 0.3, 0.0),
        (80, 1, 0.1, 0.0),
    ],
)
def test_intervals_hold_the_truth_as_often_as_they_say(prompts, pictures, mean, alike):
    """A share of 2,000 trials is known to a percent."""
    rng = np.random.default_rng(7)
    of = np.full(prompts, pictures)
    found = [share(drawn(rng, prompts, pictures, mean, alike), of) for _ in range(2000)]
    held = np.mean([one.low <= mean <= one.high for one in found])
    assert 0.94 <= held <= 0.985


def test_what_takes_pictures_for_independent_does_not():
    """The reason for all of this: an interval over pictures holds the truth far too seldom."""
    rng = np.random.default_rng(7)
    found = [clopper_pearson(drawn(rng, 100, 10, 0.2, 0.3).sum(), 1000) for _ in range(1000)]
    assert np.mean([low <= 0.2 <= high for low, high in found]) < 0.8


def test_tangos_interval_without_discordant_pairs_is_known_by_hand():
    """The score is then -n d / sqrt(n d (1 - d)), which is -z at z^2 / (n + z^2)."""
    end = Z**2 / (44 + Z**2)
    assert tango(0, 0, 44, Z) == pytest.approx((-end, end))


@pytest.mark.parametrize(("b", "c", "n"), [(12, 2, 50), (0, 1, 44), (3, 9, 30), (25, 25, 60)])
def test_tangos_ends_are_where_the_score_is_z(b, c, n):
    """The constrained likelihood maximised numerically, in place of the closed form."""
    for end, z in zip(tango(b, c, n, Z), (Z, -Z), strict=True):
        q = np.linspace(max(0, -end) + 1e-9, (1 - abs(end)) / 2 + max(0, -end) - 1e-9, 400_001)
        p = q + end
        likelihood = b * np.log(p, where=p > 0, out=np.full_like(p, -1e9)) + c * np.log(q)
        rest = 1 - p - q
        likelihood += (n - b - c) * np.log(rest, where=rest > 0, out=np.full_like(rest, -1e9))
        best = q[np.argmax(likelihood)]
        score = (b - c - n * end) / math.sqrt(n * (2 * best + end * (1 - end)))
        assert score == pytest.approx(z, abs=2e-3)


def test_with_one_picture_a_prompt_the_test_is_mcnemars():
    first, second = counts(*[1] * 9, *[0] * 12), counts(*[0] * 9, *[1] * 2, *[0] * 10)
    found = difference(first, second, np.ones(21, np.int64))
    assert found.p_value == pytest.approx(binomtest(2, 11).pvalue)
    assert (found.only_first, found.only_second) == (9, 2)
    assert found.value == pytest.approx(-7 / 21)
    assert (found.low, found.high) == pytest.approx(tango(2, 9, 21, Z))


def test_the_exact_test_counts_every_way_to_turn_signs():
    differences = counts(3, -1, 2, 0, 5, -2)
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=6)
    ]
    assert sign_flip(differences) == pytest.approx(np.mean([one >= 7 for one in sums]))
    assert sign_flip(counts(0, 0)) == 1.0
    assert sign_flip(counts(1, -1)) == 1.0


def test_the_exact_test_of_many_prompts_is_that_of_the_binomial_distribution():
    """Prompts that differ by one each are coins."""
    differences = counts(*[1] * 3_000, *[-1] * 2_800)
    assert sign_flip(differences) == pytest.approx(binomtest(2_800, 5_800).pvalue, rel=1e-9)
    assert sign_flip(counts(*[1] * 400)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.slow
def test_paired_intervals_hold_the_truth_and_the_test_is_as_rare_as_it_says():
    rng = np.random.default_rng(3)
    held, rejected, rounds, prompts, pictures = 0, 0, 1500, 60, 5
    of = np.full(prompts, pictures)
    for _ in range(rounds):
        chance = rng.beta(0.6, 2.4, prompts)[:, None]
        first = rng.random((prompts, pictures)) < chance
        second = rng.random((prompts, pictures)) < np.clip(chance * 1.0, 0, 1)
        found = difference((first & ~second).sum(1), (second & ~first).sum(1), of)
        held += found.low <= 0 <= found.high
        rejected += found.p_value < 0.05
    assert 0.935 <= held / rounds <= 0.99
    assert rejected / rounds <= 0.06


@pytest.mark.slow
def test_paired_intervals_hold_a_difference_that_is_there():
    rng = np.random.default_rng(4)
    held, rounds, prompts, pictures = 0, 1500, 80, 4
    of = np.full(prompts, pictures)
    for _ in range(rounds):
        chance = rng.beta(0.6, 2.4, prompts)[:, None]
        first = rng.random((prompts, pictures)) < chance
        second = rng.random((prompts, pictures)) < chance * 0.5
        found = difference((first & ~second).sum(1), (second & ~first).sum(1), of)
        held += found.low <= -0.1 <= found.high  # the mean chance is 0.2
    assert 0.935 <= held / rounds <= 0.99
