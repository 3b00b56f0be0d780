"""Tests of curate/report/."""
