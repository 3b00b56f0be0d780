"""The safeguard in front of a generative model: decisions on pictures as they come.

>>> from curate.guard import Guard
>>> guard = Guard(model="llavaguard_0.5b", policy="kids", thresholds="filter-recall.yaml")
>>> if any(guard(images)): ...

Nouns: `Guard`, `Decision` (true where a picture is blocked), `Decider` (a filter's rules), `LiveJudge` (an engine).
Law: what was not judged never passes.

| module | does |
|---|---|
| decision, decider | what is said of a picture; by which rules |
| live_judge, places | an engine that answers whoever asks; bounds on what is held |
"""

__all__ = (
    "decider",
    "decision",
    "live_judge",
    "places",
)
