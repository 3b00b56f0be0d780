"""What tests and benchmarks of the whole need in place of the real thing: a fake engine, tiny models."""
