"""The resolved configuration as frozen types: a file for each group under conf/.

Nouns: `Settings` (all that one command needs), a group for each part of it, a pass (a policy of the run, or the
policies that rows bring: each pass gives every sample one row).
Law: parsed once, at the edge; an unknown key is an error that names it. What stands below a field documents it.

| module | holds |
|---|---|
| group | what groups are made of |
| dataset, model, engine, filter, job, report, tune, serve, generator | a group each |
| run | `Settings` |
| catalogue | every setting there is, read off the types |
| config_groups | the names that can be chosen in conf/ |
| validation | from plain fields to a frozen type, or one line |
| secrets | what is written of settings that hold secrets |
| dataset_name | what data are called that nobody named |
"""

__all__ = (
    "catalogue",
    "config_groups",
    "dataset",
    "dataset_name",
    "engine",
    "filter",
    "generator",
    "group",
    "job",
    "model",
    "run",
    "secrets",
    "serve",
    "tune",
    "validation",
)
