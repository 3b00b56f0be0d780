"""Drawings from package archives: fetched, catalogued, rastered; used by the sample and by the safeguard's data."""
