"""Limits in all and for each token."""

from __future__ import annotations

import pytest

from curate.serving.admission import Admission
from curate.serving.errors import Refused
from curate.settings.serve import ServeSettings


def admission(**given):
    now = [0.0]
    made = Admission(ServeSettings(**given), clock=lambda: now[0])
    made.closed = None
    return made, now


def refusal(call):
    with pytest.raises(Refused) as refused:
        call()
    return refused.value.status, refused.value.code, refused.value.retry_after


def ask(made, images, token="a"):
    with made.entered(token, 1) as entry:
        entry.hold(images)


def test_pictures_and_bytes_are_bounded_and_given_back():
    made, _ = admission(max_held=4, max_held_bytes=100)
    with made.entered("a", 60) as first:
        first.hold(3)
        assert refusal(lambda: made.entered("b", 60).__enter__()) == (429, "overloaded", 1)
        first.settle(10)
        with made.entered("b", 60) as second:
            assert refusal(lambda: second.hold(2)) == (429, "overloaded", 1)
    assert (made.images, made.nbytes) == (0, 0)


def test_a_token_has_its_pictures_a_minute_and_is_told_when_there_are_more():
    made, now = admission(images_a_minute=6)
    ask(made, 4)
    assert refusal(lambda: ask(made, 4)) == (429, "rate_limit_exceeded", 20)
    ask(made, 4, token="b")
    now[0] += 20
    ask(made, 4)
    assert refusal(lambda: ask(made, 7))[:2] == (400, "too_many_images")


def test_a_token_has_its_pictures_at_once():
    made, _ = admission(images_at_once=3)
    with made.entered("a", 1) as first:
        first.hold(2)
        assert refusal(lambda: ask(made, 2)) == (429, "too_many_in_flight", 1)
        ask(made, 1)
        ask(made, 3, token="b")
    ask(made, 3)


def test_nobody_enters_what_is_closed():
    made, _ = admission()
    made.closed = "it ends"
    assert refusal(lambda: ask(made, 1)) == (503, "not_ready", 5)
