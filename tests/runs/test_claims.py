"""Claims and leases: one holder at a time, stale ones taken over, no clock trusted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from curate.core.types import Damage
from curate.runs.claims import CLAIMS, WORKERS, Claims
from curate.runs.commits import Commit, committed, read_commit
from curate.storage.local_store import LocalStore


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path)


def elsewhere(store, worker, beat):
    """Write the heartbeat of a worker on another machine, whose processes cannot be looked at from here."""
    place = {"kernel": "another", "pid": 1, "started": "1"}
    store.replace(f"{WORKERS}/{worker}.json", json.dumps({"beat": beat, "place": place, "progress": {}}).encode())


def claims(store, worker, lease=60.0):
    one = Claims(store, worker, lease=lease)
    one.beat({})
    return one


def test_a_claim_excludes_others_until_released(store):
    a, b = claims(store, "a"), claims(store, "b")
    claim = a.take("shard")
    assert claim is not None
    assert b.take("shard") is None
    assert a.take("shard") is None
    a.release(claim)
    assert b.take("shard") is not None


class ListingStore(LocalStore):
    """Counts its listings: on an object store each costs a request, or one for every thousand names."""

    listings = 0

    def names(self, folder):
        self.listings += 1
        return super().names(folder)


def test_many_shards_are_tried_after_one_listing(tmp_path):
    counting = ListingStore(tmp_path)
    a, b = claims(counting, "a"), claims(counting, "b")
    for n in range(5):
        a.take(f"held-{n}")
    counting.listings = 0
    found = b.newest()
    assert [b.take(f"held-{n}", found) for n in range(5)] == [None] * 5
    assert b.take("free", found) is not None
    assert counting.listings == 1


def test_an_old_listing_gives_no_shard_to_two(store):
    a, b = claims(store, "a"), claims(store, "b")
    before = a.newest()
    assert b.take("shard") is not None
    assert a.take("shard", before) is None


def test_an_old_listing_of_a_stale_claim_gives_no_shard_to_two(store):
    a, b, c = claims(store, "a"), claims(store, "b", lease=0.01), claims(store, "c", lease=0.01)
    assert a.take("shard")
    elsewhere(store, "a", 1)
    before = b.newest()
    for taker in (b, c):
        taker.take("shard", before)
    time.sleep(0.05)
    assert c.take("shard") is not None
    assert b.take("shard", before) is None


def test_shard_ids_with_dots_and_common_prefixes_do_not_meet(store):
    a, b = claims(store, "a"), claims(store, "b")
    assert a.take("x") is not None
    assert b.take("x.000001") is not None
    assert b.take("x.y") is not None


@pytest.mark.slow
def test_a_dead_process_on_this_machine_is_noticed_at_once(store, tmp_path):
    script = (
        "import sys; from curate.runs.claims import Claims; from curate.storage.local_store import LocalStore;"
        f"c = Claims(LocalStore({str(tmp_path)!r}), 'dead'); c.beat({{}}); assert c.take('shard')"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    taken = claims(store, "b", lease=3600).take("shard")
    assert taken is not None
    assert taken.epoch == 1
    assert store.names(CLAIMS) == ["shard.000001.json"]


@pytest.mark.slow
def test_a_silent_worker_elsewhere_loses_its_claim_only_after_the_lease(store):
    a, b = claims(store, "a"), claims(store, "b", lease=0.2)
    assert a.take("shard")
    elsewhere(store, "a", 1)
    assert b.take("shard") is None
    time.sleep(0.1)
    elsewhere(store, "a", 2)
    assert b.take("shard") is None, "a changed heartbeat renews the lease"
    time.sleep(0.3)
    assert b.take("shard") is not None


def test_file_times_and_clocks_do_not_matter(store, tmp_path):
    a, b = claims(store, "a"), claims(store, "b", lease=3600)
    assert a.take("shard")
    elsewhere(store, "a", 1)
    for path in tmp_path.rglob("*.json"):
        os.utime(path, (0, 0))
    assert b.take("shard") is None


def test_of_many_takers_of_a_stale_claim_one_wins(store):
    a = claims(store, "a")
    assert a.take("shard")
    elsewhere(store, "a", 1)
    takers = [claims(store, f"t{n}", lease=0.01) for n in range(16)]
    for taker in takers:
        taker.take("shard")
    time.sleep(0.05)
    with ThreadPoolExecutor(16) as pool:
        won = [claim for claim in pool.map(lambda taker: taker.take("shard"), takers) if claim]
    # A later taker may find the winner's own heartbeat older than this test's tiny lease only by its own first look.
    assert len(won) == 1


def test_held_names_the_holders(store):
    a, b = claims(store, "a"), claims(store, "b")
    a.take("one")
    b.take("two")
    assert a.held() == {"one": "a", "two": "b"}


def test_commits_survive_the_round_trip(store):
    commit = Commit(
        shard="s", policy="p", fingerprint="f", plan_hash="h", rows=2, statuses={"labelled": 1, "undecodable": 1},
        ratings={"Safe": 1}, categories={}, sha256="00", file_bytes=1, version=None, damage=Damage(index=2, reason="ü"),
    )  # fmt: skip
    store.create("commits/p/s.json", commit.to_json())
    assert committed(store, "p") == {"s"}
    assert read_commit(store, "p", "s") == commit
