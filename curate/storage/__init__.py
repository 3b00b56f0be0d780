"""A run's folder as a store, on a file system or in an object store.

Nouns: `Store` (the contract), create-if-absent, `LocalStore`, `ObjectStore`, `RetryingStore`.
Law: a name appears complete or not at all, and where several workers create it, exactly one succeeds.

| module | does |
|---|---|
| store | the contract |
| factory | the store behind a path or URL |
| local_store, object_store | it on POSIX; on S3 and its like |
| retrying_store, transient_errors | waits for a storage that recovers; which errors pass |
| credentials | of S3, from where every AWS tool takes them |
| seekable_reader | what the readers of stores have in common |
"""

__all__ = (
    "factory",
    "retrying_store",
    "store",
    "transient_errors",
)
