"""What the engines of a node have to themselves; there is no GPU here, so that their number is a stand-in."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest

from curate.core.errors import InputError
from curate.engines import gpus
from curate.launch import device_placement
from curate.launch.device_placement import PORTS, divide, placements
from curate.settings.engine import EngineSettings


@pytest.fixture
def four_gpus(monkeypatch):
    monkeypatch.setattr(device_placement, "visible_gpus", lambda: ("0", "1", "2", "3"))


def test_gpus_cores_ports_and_caches_are_each_ones_own():
    found = divide(4, [str(n) for n in range(8)], range(10), {})
    assert [p.gpus for p in found] == [("0", "1"), ("2", "3"), ("4", "5"), ("6", "7")]
    assert [p.environment["CUDA_VISIBLE_DEVICES"] for p in found] == ["0,1", "2,3", "4,5", "6,7"]
    assert sorted(core for p in found for core in p.cores) == list(range(10))
    ports = [int(p.environment["VLLM_PORT"]) for p in found]
    assert [b - a for a, b in pairwise(ports)] == [PORTS // 4] * 3
    for cache in ("VLLM_CACHE_ROOT", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        assert len({p.environment[cache] for p in found}) == 4


def test_what_the_environment_names_is_divided_further():
    outer = {"VLLM_PORT": "31000", "VLLM_CACHE_ROOT": "/scratch/task-7"}
    found = divide(2, [], {0, 1}, outer)
    assert [p.environment["VLLM_PORT"] for p in found] == ["31000", "31032"]
    assert [p.environment["VLLM_CACHE_ROOT"] for p in found] == [
        "/scratch/task-7/process-0",
        "/scratch/task-7/process-1",
    ]
    assert "CUDA_VISIBLE_DEVICES" not in found[0].environment


def test_a_variable_of_kubernetes_is_no_port():
    (placement,) = divide(1, [], {0}, {"VLLM_PORT": "tcp://10.0.0.1:8000"})
    assert placement.environment["VLLM_PORT"].isdecimal()


def test_fewer_cores_than_engines_are_shared():
    assert [p.cores for p in divide(3, [], {5}, {})] == [frozenset({5})] * 3


def test_one_engine_for_every_group_of_gpus(four_gpus):
    assert [p.gpus for p in placements(EngineSettings())] == [("0",), ("1",), ("2",), ("3",)]
    assert [p.gpus for p in placements(EngineSettings(tensor_parallel=2))] == [("0", "1"), ("2", "3")]
    assert len(placements(EngineSettings(tensor_parallel=3))) == 1
    assert [p.name for p in placements(EngineSettings(processes=2))] == [
        "engine process 0 (GPU 0)", "engine process 1 (GPU 1)",
    ]  # fmt: skip


def test_engines_without_a_gpu_are_as_many_as_asked_for(four_gpus):
    assert len(placements(EngineSettings(name="fake"))) == 1
    assert [p.gpus for p in placements(EngineSettings(name="server", processes=2))] == [(), ()]


def test_more_engines_than_gpus_are_refused(four_gpus):
    with pytest.raises(InputError, match=r"engine\.processes=3: .* need 6 GPUs, and 4 are visible"):
        placements(EngineSettings(processes=3, tensor_parallel=2))


def test_gpus_keep_the_names_that_an_outer_variable_gives_them(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(gpus, "built_for_cpu", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus.visible_gpus() == ("0", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6, GPU-8932f937,99")
    assert gpus.visible_gpus() == ("6", "GPU-8932f937")


def test_a_cpu_build_has_one_engine_on_all_cores():
    (placement,) = placements(EngineSettings())
    assert placement.cores == os.sched_getaffinity(0)
