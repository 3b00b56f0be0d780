"""What tests and benchmarks of the whole need in place of the real thing: a store with faults, tiny models."""

__all__ = ()
