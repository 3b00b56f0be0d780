"""Processes, GPUs and clusters: where workers run. The run's folder stays the truth.

Nouns: `Placement` (what an engine process has to itself), `Node` (the engine processes of a machine).
Law: a launcher only places processes; how many there are changes nothing in the result.

| module | does |
|---|---|
| device_placement | divides GPUs, cores, ports and caches |
| node, engine_process | several engines on one machine, and one of them |
| static_sharding | which shards a worker may take where the storage cannot decide |
| slurm | a run as a SLURM array; another scheduler is a file beside it |
| judge_in_subprocess | a few pictures judged in a process that ends with the verdicts |
"""

__all__ = (
    "device_placement",
    "judge_in_subprocess",
    "node",
    "slurm",
    "static_sharding",
)
