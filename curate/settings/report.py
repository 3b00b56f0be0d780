"""Settings of the report."""

from __future__ import annotations

from curate.settings.group import Group


class ReportSettings(Group):
    """What `run` ends with, and `report` writes again; see `curate.report`."""

    write: bool = True
    """Whether `run` ends with report.html; CURATE_REPORT=false in the environment is the default of all runs there."""
    images: bool = False
    """Show every picture as it is, blurred until asked for, in report-with-images.html; report.html shows what may be
    unsafe as a mosaic of 16 pixels."""
