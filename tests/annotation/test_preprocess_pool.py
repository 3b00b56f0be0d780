"""Preparing samples, in this process and in worker processes that die."""

import asyncio
import io
import logging
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import ClassVar

import psutil
import pytest
from PIL import Image

from curate.annotation.preprocess_pool import Limits, PreprocessPool, prepare
from curate.core.errors import EngineDead, InputError, RequestRejected
from curate.core.types import Failure, Question, Sample, Status
from curate.engines.base import Payload
from curate.images.decoding import sha256_of
from curate.images.jpeg_reduction import Needed
from curate.processes.piped_process import PipedProcess, ProcessDied
from tests.support.waiting import HANG_SECONDS, wait_until

LIMITS = Limits(max_bytes=2**20, max_pixels=10_000)
QUESTIONS = tuple(Question(policy=name, text=name, categories=("NA: None",), violable=()) for name in ("a", "b", "c"))


def picture(red: int, width: int = 4, height: int = 3) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (red, 0, 0)).save(out, "PNG")
    return out.getvalue()


def sample(image: bytes | None, index: int = 0, **fields) -> Sample:
    return Sample(key=str(index), index=index, image=image, sidecar={"txt": b"x"}, meta={"m": 1}, **fields)


@dataclass(frozen=True)
class RedRenderer:
    """Renders to the red of the first pixel; red 13 exits the process, 14 is a defect, policy "b" refuses 15."""

    needed: ClassVar[Needed | None] = Needed(side=2)

    def render(self, image: Image.Image, sha256: str, question: Question) -> Payload:
        red = image.getpixel((0, 0))[0]
        if red == 13:
            os._exit(7)
        if red == 14:
            raise ZeroDivisionError("a defect")
        if red == 15 and question.policy == "b":
            raise RequestRejected("too long")
        return Payload(data=(red, question.policy, os.getpid()), nbytes=1)


def missing_model() -> RedRenderer:
    raise InputError("no such model: mend it")


def dies_at_once() -> RedRenderer:
    os._exit(3)


def test_prepare_renders_every_question_in_order():
    image = picture(9)
    prepared = prepare(sample(image), QUESTIONS, RedRenderer(), LIMITS)
    assert (prepared.sha256, prepared.width, prepared.height, prepared.failure) == (sha256_of(image), 4, 3, None)
    assert [p.data[:2] for (p,) in prepared.payloads] == [(9, "a"), (9, "b"), (9, "c")]


def test_prepare_keeps_a_refusal_to_its_question():
    prepared = prepare(sample(picture(15)), QUESTIONS, RedRenderer(), LIMITS)
    kinds = [type(p) for (p,) in prepared.payloads]
    assert kinds == [Payload, Failure, Payload]
    assert prepared.payloads[1] == (Failure(status=Status.REJECTED_BY_ENGINE, detail="too long"),)


@pytest.mark.parametrize(
    ("image", "status"),
    [
        (None, Status.MISSING_IMAGE),
        (b"", Status.UNDECODABLE),
        (b"<svg/>", Status.UNSUPPORTED_FORMAT),
        (picture(1)[:-30], Status.UNDECODABLE),
        (picture(1, 101, 100), Status.TOO_MANY_PIXELS),
        (bytes(2**20 + 1), Status.TOO_MANY_BYTES),
    ],
)
def test_prepare_names_what_cannot_be_asked(image, status):
    prepared = prepare(sample(image), QUESTIONS, RedRenderer(), LIMITS)
    assert prepared.failure is not None
    assert prepared.failure.status == status
    assert prepared.sha256 == (None if image is None else sha256_of(image))
    assert (prepared.payloads, prepared.width) == ((), None)


def test_the_sources_own_failure_stands():
    failure = Failure(status=Status.MISSING_IMAGE, detail="null image")
    assert prepare(sample(picture(1), failure=failure), QUESTIONS, RedRenderer(), LIMITS).failure == failure
    assert prepare(sample(None, failure=failure), QUESTIONS, RedRenderer(), LIMITS).sha256 is None


async def prepare_all(samples, workers, factory=RedRenderer):
    async with PreprocessPool(factory, LIMITS, workers=workers) as pool:
        return await asyncio.gather(*(pool.prepare(s, QUESTIONS) for s in samples))


def without_pid(prepared):
    kept = tuple(p if isinstance(p, Failure) else p.data[:2] for (p,) in prepared.payloads)
    return replace(prepared, payloads=kept)


@pytest.mark.slow
def test_processes_give_what_this_process_gives_and_end_with_the_pool():
    samples = [sample(picture(red), red) for red in (1, 2, 3, 15)] + [sample(None, 5), sample(b"?", 6)]
    here = [without_pid(prepare(s, QUESTIONS, RedRenderer(), LIMITS)) for s in samples]
    in_thread = asyncio.run(prepare_all(samples, 0))
    in_processes = asyncio.run(prepare_all(samples, 2))
    assert [without_pid(p) for p in in_thread] == here
    assert [without_pid(p) for p in in_processes] == here
    pids = {p.data[2] for prepared in in_processes for (p,) in prepared.payloads if isinstance(p, Payload)}
    assert os.getpid() not in pids
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert {p.data[2] for (p,) in in_thread[0].payloads} == {os.getpid()}


@pytest.mark.slow
def test_a_picture_that_kills_its_worker_fails_alone():
    samples = [sample(picture(red), red) for red in (11, 12, 13, 16, 17, 18)]
    prepared = asyncio.run(prepare_all(samples, 2))
    assert [p.failure is None for p in prepared] == [True, True, False, True, True, True]
    killer = prepared[2]
    assert killer.failure == Failure(status=Status.UNDECODABLE, detail="killed the decoder 2 times: exit code 7")
    assert killer.sha256 == sha256_of(samples[2].image)


@pytest.mark.slow
def test_a_worker_killed_by_others_costs_no_sample():
    async def scenario():
        async with PreprocessPool(RedRenderer, LIMITS, workers=1) as pool:
            first = await pool.prepare(sample(picture(1)), QUESTIONS[:1])
            os.kill(first.payloads[0][0].data[2], signal.SIGKILL)
            return first, await pool.prepare(sample(picture(2)), QUESTIONS[:1])

    first, second = asyncio.run(scenario())
    assert second.failure is None
    assert second.payloads[0][0].data[2] != first.payloads[0][0].data[2]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.slow
def test_what_a_renderer_comes_upon_is_the_fate_of_that_picture_alone(workers):
    before, odd, after = asyncio.run(prepare_all([sample(picture(n)) for n in (1, 14, 2)], workers))
    assert [one.failure for one in (before, after)] == [None, None]
    detail = "the image processor failed: ZeroDivisionError: a defect"
    assert odd.payloads[0] == (Failure(status=Status.REJECTED_BY_ENGINE, detail=detail),)


def test_what_a_decoder_comes_upon_is_the_fate_of_that_picture_alone(monkeypatch):
    def decoder(image, **_):
        raise KeyError("no colour table")

    monkeypatch.setattr("curate.annotation.preprocess_pool.decode", decoder)
    (odd,) = asyncio.run(prepare_all([sample(picture(1))], 0))
    assert odd.failure == Failure(status=Status.UNDECODABLE, detail="its decoder failed: KeyError: 'no colour table'")
    assert odd.sha256


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.slow
def test_what_the_factory_finds_wrong_reaches_the_user(workers):
    async def warm_up():
        async with PreprocessPool(missing_model, LIMITS, workers=workers) as pool:
            await pool.warm_up()

    with pytest.raises(InputError, match="no such model: mend it"):
        asyncio.run(warm_up())
    with pytest.raises(InputError, match="no such model: mend it"):
        asyncio.run(prepare_all([sample(picture(1))], workers, missing_model))


@pytest.mark.slow
def test_a_worker_that_cannot_load_is_no_fault_of_the_samples():
    async def warm_up():
        async with PreprocessPool(dies_at_once, LIMITS, workers=1) as pool:
            await pool.warm_up()

    with pytest.raises(EngineDead, match="exit code 3"):
        asyncio.run(warm_up())


@pytest.mark.slow
def test_a_cancelled_caller_leaves_the_worker_usable():
    async def scenario():
        async with PreprocessPool(RedRenderer, LIMITS, workers=1) as pool:
            await pool.warm_up()
            abandoned = [asyncio.create_task(pool.prepare(sample(picture(red)), QUESTIONS)) for red in (1, 2, 3)]
            await asyncio.sleep(0)
            for task in abandoned:
                task.cancel()
            return await pool.prepare(sample(picture(4)), QUESTIONS)

    assert asyncio.run(scenario()).payloads[0][0].data[0] == 4


def signals_and_threads(question):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        os.kill(os.getpid(), number)
    return question, os.environ["OMP_NUM_THREADS"]


def big_or_killed(question):
    if question == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return bytes(question)


def slow_or_killed(question):
    time.sleep(0.3)  # so that the next question is in the pipe, or on its way into it
    return big_or_killed(question)


@pytest.mark.slow
@pytest.mark.parametrize("size", [10, 2**22], ids=["in the pipe", "larger than the pipe"])
def test_the_question_behind_one_that_kills_is_answered(size):
    process = PipedProcess(slow_or_killed)
    process.ask(1)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(process.ask, "die")
        wait_until(lambda: not process._last_answered.is_set(), "nothing was asked", every=0.001)
        second = threads.submit(process.ask, bytes(size))
        with pytest.raises(ProcessDied, match="SIGKILL"):
            first.result()
        assert len(second.result()) == size
    process.stop()


@pytest.mark.slow
def test_answers_reach_those_who_asked():
    process = PipedProcess(big_or_killed)
    with ThreadPoolExecutor(4) as threads:
        assert [len(answer) for answer in threads.map(process.ask, range(200))] == list(range(200))
    process.stop()


@pytest.mark.slow
def test_workers_leave_signals_to_their_parent_and_use_one_thread():
    before = dict(os.environ)
    process = PipedProcess(signals_and_threads)
    try:
        assert [process.ask(n) for n in range(3)] == [(0, "1"), (1, "1"), (2, "1")]
    finally:
        process.stop()
    assert dict(os.environ) == before


@pytest.mark.slow
def test_a_worker_killed_while_it_writes_is_noticed():
    """Its answer is larger than the pipe, so it blocks in the middle of writing until we read."""
    process = PipedProcess(big_or_killed)
    assert len(process.ask(10)) == 10
    process._pipe.send(2**22)
    worker = psutil.Process(process._process.pid)
    wait_until(
        lambda: worker.status() == psutil.STATUS_SLEEPING and process._pipe.poll(), "it did not block", every=0.01
    )
    os.kill(process._process.pid, signal.SIGKILL)
    process._pipe.send = lambda question: None  # it is asked already
    with pytest.raises(ProcessDied, match="SIGKILL"):
        process.ask(2**22)
    assert len(process.ask(11)) == 11
    with pytest.raises(ProcessDied, match="SIGKILL"):
        process.ask("die")
    process.stop()


@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed():
    program = """
        import asyncio, io, os, signal
        from tests.annotation.test_preprocess_pool import *

        async def main():
            pool = PreprocessPool(RedRenderer, LIMITS, workers=1)
            prepared = await pool.prepare(sample(picture(1)), QUESTIONS[:1])
            print(prepared.payloads[0][0].data[2], flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

        if __name__ == "__main__":
            asyncio.run(main())
    """
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, timeout=HANG_SECONDS, check=False)
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: has_ended(int(done.stdout)), "the worker outlived its parent", every=0.01)


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_jpegs_are_reduced_to_what_the_renderer_needs_only_where_that_is_asked_for():
    class SizeRenderer:
        needed = Needed(side=20)

        def render(self, image: Image.Image, sha256: str, question: Question) -> Payload:
            return Payload(data=image.size, nbytes=1)

    out = io.BytesIO()
    Image.new("RGB", (80, 60)).save(out, "JPEG")
    whole = prepare(sample(out.getvalue()), QUESTIONS[:1], SizeRenderer(), LIMITS)
    reduced = prepare(sample(out.getvalue()), QUESTIONS[:1], SizeRenderer(), replace(LIMITS, reduced=True))
    assert whole.payloads[0][0].data == (80, 60)
    assert reduced.payloads[0][0].data == (40, 30)
    assert (reduced.width, reduced.height) == (whole.width, whole.height) == (80, 60)


def noisy_tiff() -> bytes:
    """A picture about which libtiff prints something by itself."""
    out = io.BytesIO()
    Image.frombytes("RGB", (64, 64), random.Random(1).randbytes(64 * 64 * 3)).save(out, "TIFF", compression="tiff_lzw")
    data = bytearray(out.getvalue())
    data[2000:6000] = b"\xff" * 4000
    return bytes(data)


@pytest.mark.slow
def test_what_decoders_print_is_told_with_the_key_and_nowhere_else(capfd, caplog):
    caplog.set_level(logging.INFO, "curate.annotation.preprocess_pool")
    samples = [sample(image, n) for n, image in enumerate((picture(1), noisy_tiff(), picture(2), noisy_tiff()))]

    async def prepared():
        async with PreprocessPool(RedRenderer, LIMITS, workers=1) as pool:
            return [await pool.prepare(one, QUESTIONS[:1]) for one in samples]

    found = asyncio.run(prepared())
    assert [one.failure and one.failure.status for one in found] == [None, Status.UNDECODABLE, None, Status.UNDECODABLE]
    assert found[1] == prepare(samples[1], QUESTIONS[:1], RedRenderer(), LIMITS), "rows know nothing of the noise"
    capfd.readouterr()  # that of this very process
    told = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in told] == ["1", "3"]
    assert all("Using code not yet in table" in line for line in told)


@pytest.mark.slow
def test_noise_of_worker_processes_is_not_on_the_terminal(capfd):
    async def prepared():
        async with PreprocessPool(RedRenderer, LIMITS, workers=1) as pool:
            await pool.prepare(sample(noisy_tiff()), QUESTIONS[:1])

    asyncio.run(prepared())
    assert capfd.readouterr() == ("", "")


def test_a_preparing_process_loads_no_storage_and_no_tables():
    shown = "import sys, curate.annotation.preprocess_pool; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True).stdout.split()
    assert not {"aiohttp", "fsspec", "polars", "pyarrow", "pandas"} & set(loaded)
