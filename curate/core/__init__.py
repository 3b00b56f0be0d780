"""Words that every room shares, and a few helpers without a subject of their own.

Nouns: `Sample`, `ShardRef`, `Question`, `Verdict`, `Annotation` (types), `CurateError` and its exit codes (errors).
Law: what is here knows no other room; what only one room uses is not here.

| module | holds |
|---|---|
| types | the nouns, frozen |
| errors | what a person meets: one line and an exit code each |
| secrets | what is secret in URLs, names and messages, and how it is masked |
| calibration | a monotone map of p_unsafe: fitted by evaluation, applied by filtering |
| version | of the package |
| threads | blocking work and tasks beside a coroutine |
| package_files | what travels with the package: conf, data, scripts |
| yaml_files | YAML that the project wrote itself |
| content_policy | what a browser may run of a page |
| closest_names | what somebody meant who wrote a name that is not there |
"""

__all__ = (
    "calibration",
    "closest_names",
    "content_policy",
    "errors",
    "package_files",
    "secrets",
    "threads",
    "types",
    "version",
    "yaml_files",
)
