"""Benchmarks: `make bench` runs them in one go and writes tests/benchmarks/results/*.json.

Timings are of one machine in one run; what can be compared are the ratios between contenders in one file. A benchmark
is a module here with `run(folder) -> Result`, named in `__main__`.
"""
