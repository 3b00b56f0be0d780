"""Places are bounded, given in order, and given back by whoever stops waiting."""

from __future__ import annotations

import asyncio
import random

from curate.guard.places import Places


def test_what_fits_is_taken_and_given_back_once():
    places = Places(3, 100)
    first = places.take(2, 60)
    assert places.take(2, 0) is None
    assert places.take(1, 60) is None
    assert places.take(1, 40) is not None
    first.leave()
    first.leave()
    assert (places.items, places.nbytes) == (1, 40)


def test_one_always_fits_where_nothing_is_held():
    places = Places(3, 100)
    giant = places.take(1, 1000)
    assert giant is not None
    assert places.take(1, 0) is None
    giant.settle(10)
    assert places.take(1, 0) is not None


def test_who_waits_gets_a_place_in_order_and_who_stops_waiting_loses_none():
    order = []

    async def hold(places, name):
        async with places.entered():
            order.append(name)
            await asyncio.sleep(0)

    async def go():
        places = Places(1, 100)
        tasks = [asyncio.create_task(hold(places, n)) for n in range(20)]
        await asyncio.sleep(0)
        assert places.waiting == 19
        for n in (3, 7, 19):
            tasks[n].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return places

    places = asyncio.run(go())
    assert order == [n for n in range(20) if n not in (3, 7, 19)]
    assert (places.items, places.nbytes, places.waiting) == (0, 0, 0)


def test_whatever_is_cancelled_whenever_nothing_is_lost():
    async def go(seed):
        chance = random.Random(seed)
        places = Places(3, 50)

        async def hold():
            async with places.entered(chance.randrange(40)) as place:
                await asyncio.sleep(0)
                place.settle(chance.randrange(60))
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)

        tasks = [asyncio.create_task(hold()) for _ in range(60)]
        for _ in range(80):
            await asyncio.sleep(0)
            chance.choice(tasks).cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (places.items, places.nbytes, places.waiting) == (0, 0, 0)

    for seed in range(50):
        asyncio.run(go(seed))
