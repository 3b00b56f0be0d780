"""How the sample under curate/data/laion_subset is built; run through scripts/build_sample.py."""
