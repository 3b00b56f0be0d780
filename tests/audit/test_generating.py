"""The loop: batches that do not move, pieces that are not made twice, and nothing kept of what is hopeless.

The generator is a fake in this process; real ones, and kills, are in test_generator_process.py and the command's tests.
"""

from __future__ import annotations

import threading
from itertools import chain

import pytest

from curate.audit import generating as module
from curate.audit.draws import Draws
from curate.audit.generating import Generating
from curate.audit.generator import Failed, GeneratorFailed
from curate.audit.record import begin, generating, read_record
from curate.core.errors import Drained, InputError
from curate.settings.generator import GeneratorSettings
from curate.storage.local_store import LocalStore
from tests.support.audit_cases import IDENTITY, NoiseGenerator, prompt

PROMPTS = [prompt(0), prompt(1, text="forbidden things"), prompt(2), prompt(3, text="impossible things")]
DRAWS = Draws(prompts=PROMPTS, images=3, seed=0, samples_per_shard=5)


def tars(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "images").glob("*"))}


def stage(folder, generator, draws=DRAWS, batch=2, share=(0, 1)):
    store = LocalStore(folder)
    begin(store, generating(draws, GeneratorSettings(name="noise"), IDENTITY, "p.csv"), draws.prompts)
    return Generating(store, draws, generator, IDENTITY, batch, share)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    stage(folder, NoiseGenerator()).run()
    return tars(folder)


def test_every_draw_is_asked_for_once_in_batches_of_its_shard(tmp_path):
    generator = NoiseGenerator()
    stage(tmp_path, generator).run()
    assert [len(batch) for batch in generator.asked] == [2, 2, 1, 2, 2, 1, 2]
    assert list(chain(*generator.asked)) == [f"{p:06d}-{n:04d}" for p in range(4) for n in range(3)]
    assert list(tars(tmp_path)) == ["00000.tar", "00001.tar", "00002.tar"]


def test_what_is_finished_is_looked_at_and_not_made_again(tmp_path, undisturbed):
    stage(tmp_path, NoiseGenerator()).run()
    again = NoiseGenerator()
    stage(tmp_path, again).run()
    assert again.asked == []
    assert tars(tmp_path) == undisturbed


class DiesAt(NoiseGenerator):
    """A fake whose process is gone at its Nth batch."""

    def __init__(self, number):
        super().__init__()
        self.left = number

    def generate(self, draws):
        self.left -= 1
        if self.left < 0:
            raise GeneratorFailed("gone")
        return super().generate(draws)


@pytest.mark.parametrize("number", range(7))
def test_going_on_equals_not_having_been_interrupted_and_repeats_no_batch(tmp_path, undisturbed, number):
    first, second = DiesAt(number), NoiseGenerator()
    with pytest.raises(GeneratorFailed):
        stage(tmp_path, first).run()
    stage(tmp_path, second).run()
    assert tars(tmp_path) == undisturbed
    every = [draw.key for shard in range(DRAWS.shards) for draw in DRAWS.of_shard(shard)]
    assert list(chain(*first.asked, *second.asked)) == every


def test_a_signal_ends_it_behind_the_batch(tmp_path, undisturbed):
    generator = NoiseGenerator()
    one = stage(tmp_path, generator)

    def generate(draws, made=generator.generate):
        one._end()  # as `drains` does at a signal
        return made(draws)

    generator.generate = generate
    with pytest.raises(Drained):
        one.run()
    assert len(generator.asked) == 1
    rest = NoiseGenerator()
    stage(tmp_path, rest).run()
    assert len(rest.asked) == 6
    assert tars(tmp_path) == undisturbed


def test_two_processes_in_one_folder_share_the_work_and_give_the_same(tmp_path, undisturbed):
    """In turns, batch by batch: each begins with its own shards, and then helps from the ends of the other's."""
    generators = NoiseGenerator(), NoiseGenerator()
    turns = [threading.Semaphore(1), threading.Semaphore(0)]

    def work(mine):
        made = generators[mine].generate

        def generate(draws):
            turns[mine].acquire()
            try:
                return made(draws)
            finally:
                turns[1 - mine].release()

        generators[mine].generate = generate
        try:
            stage(tmp_path, generators[mine], share=(mine, 2)).run()
        finally:
            for _ in range(100):
                turns[1 - mine].release()

    threads = [threading.Thread(target=work, args=(mine,)) for mine in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tars(tmp_path) == undisturbed
    assert generators[0].asked[0] == [draw.key for draw in DRAWS.of_shard(0)[:2]]
    assert generators[1].asked[0] == [draw.key for draw in DRAWS.of_shard(1)[:2]]
    assert len(generators[0].asked) + len(generators[1].asked) <= 9  # 7, and what both were at
    assert list((tmp_path / "work" / "pieces").glob("*/*")) == []


def test_whoever_helps_begins_at_the_end(tmp_path):
    generator = NoiseGenerator()
    stage(tmp_path, generator, share=(1, 2)).run()
    first = [batch[0] for batch in generator.asked]
    assert first == [DRAWS.of_shard(s)[n].key for s, n in ((1, 0), (1, 2), (1, 4), (0, 4), (0, 2), (0, 0), (2, 0))]


class Hopeless(NoiseGenerator):
    """A fake that takes nothing it is given."""

    def _one(self, draw):
        return Failed(reason="no such parameter: colour")


@pytest.mark.parametrize("most", [4, 20])
def test_where_everything_fails_nothing_is_kept_and_one_line_says_why(tmp_path, monkeypatch, undisturbed, most):
    monkeypatch.setattr(module, "HOPELESS", most)
    with pytest.raises(InputError, match=r"nothing but failures from the start .*: no such parameter: colour"):
        stage(tmp_path, Hopeless()).run()
    assert tars(tmp_path) == {}
    stage(tmp_path, NoiseGenerator()).run()
    assert tars(tmp_path) == undisturbed


def test_other_versions_are_told_and_recorded(tmp_path, capsys):
    with pytest.raises(GeneratorFailed):
        stage(tmp_path, DiesAt(2)).run()
    later = NoiseGenerator()
    later.made_with = lambda: {"noise": "2"}
    stage(tmp_path, later).run()
    assert "other versions (noise 1, now 2)" in capsys.readouterr().err
    assert read_record(LocalStore(tmp_path))["made_with"] == [{"noise": "1"}, {"noise": "2"}]
