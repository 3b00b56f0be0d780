"""What a SIGKILL costs: at most 1,000 images or a minute of work, whichever is less.

The engine is the fake one because it can be told at which pictures to stop, and to note what it judged.
"""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from curate.annotation import reorder_buffer
from curate.annotation.reorder_buffer import BACKLOG, PATIENCE_SECONDS, Backlog, ReorderBuffer
from curate.runs import journal
from tests.support.jobs import environment, fake_run, picture, rows, write_tar
from tests.support.waiting import HANG_SECONDS, wait_until

EACH, STUCK = 1_400, 900

NOTING = """
import os, sys
from curate.engines.fake import FakeEngine
judge = FakeEngine.judge
notes = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
async def noted(self, payload, question):
    answer = await judge(self, payload, question)
    os.write(notes, f"{payload.data}\\n".encode())
    return answer
FakeEngine.judge = noted
from curate.cli.program import main
sys.exit(main(sys.argv[2:]))
"""


def start(notes: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """`annotate` with an engine that notes each picture once it is judged."""
    command = [sys.executable, "-c", NOTING, str(notes), "annotate", *arguments]
    return subprocess.Popen(command, env=environment())


def noted(notes: Path) -> list[str]:
    return notes.read_text().split() if notes.exists() else []


def wait_until_stuck(worker: subprocess.Popen[bytes], notes: Path) -> list[str]:
    """Until nothing more is judged; the most that can be unsaved is so then. A pause before that is none."""
    counts = [0]

    def is_stuck() -> bool:
        counts.append(len(noted(notes)))
        return counts[-1] == counts[-2] >= 2 * STUCK + BACKLOG // 2

    wait_until(is_stuck, "judging did not go on behind the slow pictures, or did not end", alive=worker, every=1)
    return noted(notes)


@pytest.mark.slow
def test_a_kill_costs_less_than_1000_images_even_where_a_slow_one_holds_up_the_others(tmp_path: Path):
    for number in range(2):
        write_tar(tmp_path / f"{number:05d}.tar", range(number * EACH, (number + 1) * EACH))
    digests = [hashlib.sha256(picture(number * EACH + STUCK)).hexdigest() for number in range(2)]
    stuck = ",".join(f"{digest}:hang" for digest in digests)
    arguments = fake_run(f"{tmp_path}/{{00000..00001}}.tar", tmp_path / "run", "job.lease=2")[1:]
    first, second = tmp_path / "first", tmp_path / "second"

    worker = start(first, *arguments, "engine.timeout=1000", f"engine.args.fail={{{stuck}}}")
    judged = wait_until_stuck(worker, first)
    worker.kill()
    worker.wait()
    assert start(second, *arguments).wait(timeout=HANG_SECONDS) == 0

    twice = [digest for digest, times in Counter(judged + noted(second)).items() if times > 1]
    assert BACKLOG // 2 <= len(twice) <= 1000
    assert len(rows(tmp_path / "run")) == len(set(judged + noted(second))) == 2 * EACH


def test_rows_and_backlog_together_stay_within_the_bounds():
    assert journal.PART_ROWS + BACKLOG < 1000
    assert journal.PART_SECONDS + PATIENCE_SECONDS <= 60


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the window takes for the time."""
    found = SimpleNamespace(now=0.0, monotonic=lambda: found.now)
    monkeypatch.setattr(reorder_buffer, "time", found)
    return found


async def comes_to(value: int, event: asyncio.Event) -> int:
    await event.wait()
    return value


def test_nothing_begins_while_what_is_finished_waits_for_half_a_minute(clock: SimpleNamespace):
    async def judge() -> None:
        slow, quick = asyncio.Event(), asyncio.Event()
        quick.set()
        backlog = Backlog(in_flight=4)
        one: ReorderBuffer[int] = ReorderBuffer(backlog)
        one.begin(comes_to(0, slow))
        clock.now = 100.0
        await asyncio.sleep(0)
        assert not one.is_due, "nothing is finished, so that a kill would cost nothing but what is in flight"
        one.begin(comes_to(1, quick))
        await asyncio.sleep(0.01)
        clock.now += PATIENCE_SECONDS - 1
        assert not one.is_due
        clock.now += 1
        assert one.is_due
        slow.set()
        assert [await one.take() for _ in range(2)] == [0, 1]
        one.begin(comes_to(2, asyncio.Event()))
        assert not one.is_due, "what was delivered does not count any more"
        await one.cancel()
        assert backlog.samples == 0

    asyncio.run(judge())


def test_nothing_begins_while_too_much_is_begun_over_all_shards():
    async def judge() -> None:
        backlog = Backlog(in_flight=4)
        mine: ReorderBuffer[int] = ReorderBuffer(backlog)
        others: ReorderBuffer[int] = ReorderBuffer(backlog)
        mine.begin(comes_to(0, asyncio.Event()))
        for _ in range(BACKLOG - 2):
            others.begin(comes_to(0, asyncio.Event()))
        assert not mine.is_due
        others.begin(comes_to(0, asyncio.Event()))
        assert mine.is_due
        assert others.is_due
        await others.cancel()
        assert not mine.is_due
        await mine.cancel()

    asyncio.run(judge())
