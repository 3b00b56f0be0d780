"""The loop: batches that do not move, pieces that are not made twice, and nothing kept of what is hopeless.

The generator is a fake in this process; real ones, and kills, are in test_generator_process.py and the command's tests.
"""

from __future__ import annotations

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


def stage(folder, generator, draws=DRAWS, batch=2):
    store = LocalStore(folder)
    begin(store, generating(draws, GeneratorSettings(name="noise"), IDENTITY, "p.csv"), draws.prompts)
    return Generating(store, draws, generator, IDENTITY, batch)


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
