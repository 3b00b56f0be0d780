"""What each engine process of a node has to itself: GPUs, cores, ports and compile caches.

Engines that share any of these slow each other down or fail at their start: OpenMP threads of two engines on one core
spin for it, a port that one found free is taken by the other, and both write one file of a cache.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from curate.core.errors import InputError
from curate.engines.gpus import visible_gpus
from curate.settings.engine import EngineSettings

PORTS = 64
"""Ports that the engines of one worker keep to; jobs/annotate.sh spaces the tasks of an array by as many."""
_FIRST_PORT = 20_000
_PORT_RANGES = 600

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where one engine process runs.

    Attributes:
        number: from 0.
        gpus: by their names in CUDA_VISIBLE_DEVICES; empty on a CPU.
        cores: that it and its readers keep to.
        environment: variables it is started with.
    """

    number: int
    gpus: tuple[str, ...]
    cores: frozenset[int]
    environment: Mapping[str, str]

    @property
    def name(self) -> str:
        """What a person is told about."""
        gpus = f" (GPU {','.join(self.gpus)})" if self.gpus else ""
        return f"engine process {self.number}{gpus}"


def placements(engine: EngineSettings) -> tuple[Placement, ...]:
    """The placements on this machine, one for each engine process; just one where this process can be it.

    Raises:
        InputError: `engine.processes` takes more GPUs than there are.
    """
    gpus = visible_gpus() if engine.name == "vllm" else ()
    each = engine.tensor_parallel
    count = max(1, len(gpus) // each) if engine.processes == "auto" else engine.processes
    if gpus and 1 < count > len(gpus) // each:
        raise InputError(
            f"engine.processes={count}: with engine.tensor_parallel={each} these need {count * each} GPUs, and "
            f"{len(gpus)} are visible; leave engine.processes at auto, or lower it"
        )
    return divide(count, gpus[: count * each], os.sched_getaffinity(0), os.environ)


def divide(
    count: int, gpus: Sequence[str], cores: Collection[int], environment: Mapping[str, str]
) -> tuple[Placement, ...]:
    """`count` placements that share none of `gpus`, ports or caches, and no core while there are enough.

    Args:
        count: number of placements.
        gpus: a multiple of `count`; neighbours stay together.
        cores: numbers of the cores.
        environment: of this process; ports and caches that it names are divided further.
    """
    ordered = sorted(cores, key=lambda core: (_first_sibling(core), core))
    return tuple(
        Placement(
            number=number,
            gpus=(own := tuple(_part(gpus, number, count))),
            cores=frozenset(_part(ordered, number, count) or ordered),
            environment=_environment(number, count, own, environment),
        )
        for number in range(count)
    )


def _environment(number: int, count: int, gpus: Sequence[str], outer: Mapping[str, str]) -> dict[str, str]:
    caches = _cache_root(outer) / f"process-{number}"
    return {
        "VLLM_PORT": str(_first_port(outer) + number * max(1, PORTS // count)),
        "VLLM_CACHE_ROOT": str(caches),
        "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"),
        "TRITON_CACHE_DIR": str(caches / "triton"),
        **({"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {}),
    }


def _first_port(outer: Mapping[str, str]) -> int:
    """The first port of this worker's range: as given, or unlike that of other workers on this machine."""
    given = outer.get("VLLM_PORT", "")
    # Kubernetes sets a variable of this name to a URL where a service is called "vllm".
    return int(given) if given.isdecimal() else _FIRST_PORT + os.getpid() % _PORT_RANGES * PORTS


def _cache_root(outer: Mapping[str, str]) -> Path:
    """Where vLLM would keep its caches; they outlive the run, so that the next one starts faster."""
    given = outer.get("VLLM_CACHE_ROOT") or f"{outer.get('XDG_CACHE_HOME') or '~/.cache'}/vllm"
    return Path(given).expanduser()


def _part(items: Sequence[T], number: int, count: int) -> Sequence[T]:
    return items[len(items) * number // count : len(items) * (number + 1) // count]


def _first_sibling(core: int) -> int:
    """The first of the hardware threads that share a physical core with this one, so that they stay together."""
    try:
        listed = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text()
    except OSError:
        return core
    return int(listed.replace("-", ",").split(",")[0])
