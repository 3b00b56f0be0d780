"""Files that travel with the package: found inside an installed wheel or in the checkout it was installed from."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def conf_dir() -> Path:
    """Folder of the configuration groups: curate/conf in a wheel, conf/ in a checkout."""
    return _inside_or_beside("conf")


def jobs_dir() -> Path:
    """Folder of the job script templates: curate/jobs in a wheel, jobs/ in a checkout."""
    return _inside_or_beside("jobs")


def packaged(path: str) -> str:
    """Absolute path of `path` inside the package, e.g. "data/laion_subset/00000.tar"; may hold wildcards."""
    return str(PACKAGE / path)


def _inside_or_beside(name: str) -> Path:
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name
